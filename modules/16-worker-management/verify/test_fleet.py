"""16.1: a worker on every host, each with a name of its own, and no one of them is needed."""

from celery.states import SUCCESS
from fleet import Batch, Fleet

from celerylab.verify.expect import expect, poll
from celerylab.verify.faults import unit_stopped
from celerylab.verify.plugin import objective
from celerylab.verify.worker import WorkerClient

ANSWER_SECONDS = 20
TASKS, TASK_SECONDS = 12, 15
LOOK = "on_node celery --app shop inspect ping"


@objective("16.1")
def test_a_worker_of_every_host_answers_under_a_name_of_its_own(fleet: Fleet, worker: WorkerClient) -> None:
    poll(lambda: set(fleet.nodes()) == set(fleet.hosts), ANSWER_SECONDS)
    names = worker.names()
    expect(
        set(fleet.nodes()) == set(fleet.hosts),
        observed=f"a ping is answered by {', '.join(names) or 'nobody'}",
        expected=f"a node of each of {', '.join(fleet.hosts)}, whose name ends with @ and the host",
        look=LOOK,
        nodes=len(names),
    )


@objective("16.1")
def test_every_host_does_work(fleet: Fleet, batch: Batch) -> None:
    at_work = batch.spread(fleet, ANSWER_SECONDS, lambda: batch.send("celerylab_probe.sleep", 0.5))
    expect(
        at_work == set(fleet.hosts),
        observed=f"of {len(batch.tasks)} tasks some started on {', '.join(sorted(at_work)) or 'no host'}",
        expected=f"work on each of {', '.join(fleet.hosts)}",
        look="celerylab shell 16 worker-1 -- systemctl status celery@default",
        hosts_at_work=len(at_work),
    )


@objective("16.1")
def test_without_one_of_them_the_others_answer_and_work(fleet: Fleet, worker: WorkerClient) -> None:
    before = fleet.ready()
    gone, *others = fleet.hosts
    with unit_stopped(fleet.hosts[gone], *fleet.units(gone)):
        poll(lambda: sorted(fleet.nodes()) == sorted(others), ANSWER_SECONDS)
        left = fleet.nodes()
        expect(
            sorted(left) == sorted(others),
            observed=f"with the units of {gone} stopped, {', '.join(left.values()) or 'nobody'} answer",
            expected=f"the workers of {' and '.join(others)}, and no other",
            look=LOOK,
            left=len(left),
        )
        for number, task in enumerate([worker.send("celerylab_probe.echo", number) for number in range(TASKS)]):
            result = worker.outcome(task, TASK_SECONDS, LOOK)
            expect(
                result.state == SUCCESS and result.result == number,
                observed=f"with {gone} stopped, an echo of {number} ended {result.state} with {result.result!r}",
                expected="SUCCESS: the others take over",
                look=LOOK,
            )
        now = fleet.pids()
        expect(
            {host: now.get(host) for host in others} == {host: before[host]["pid"] for host in others},
            observed=f"workers were {[before[host]['pid'] for host in others]} on {', '.join(others)}, and are {[now.get(host) for host in others]}",
            expected=f"that stopping {gone} leaves them alone",
            look=LOOK,
        )
    fleet.ready()
