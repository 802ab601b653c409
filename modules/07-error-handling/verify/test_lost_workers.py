"""07.5: a task that kills its worker, and a worker that is killed under a task."""

import uuid
from contextlib import ExitStack

from celery.result import AsyncResult
from celery.states import FAILURE, SUCCESS

from celerylab.verify.expect import expect, wait_for
from celerylab.verify.faults import process_killed, unit_stopped
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.plugin import objective
from celerylab.verify.rabbitmq import RabbitClient
from celerylab.verify.worker import WORKER_UNIT, WorkerClient

QUEUE, DEAD = "shop", "shop.dead"
MOST_STARTS = 5
SETTLED_SECONDS = 40
AGAIN_SECONDS = 30
LOOK = "celerylab logs 07 -n 60"


@objective("07.5")
def test_a_task_that_kills_its_process_ends_and_others_go_on(
    shop: WorkerClient, rabbit: RabbitClient, ledger: LedgerReader, node: ObservedHost
) -> None:
    key = f"07.5-die-{uuid.uuid4().hex}"

    def starts() -> int:
        return len(ledger.entries(key=key, kind="start"))

    with ExitStack() as unless_ended:
        unless_ended.callback(_empty_queue, node, rabbit)
        deadly = shop.send("celerylab_probe.die", key)
        wait_for(starts, 15, expected="a start of the task that kills its process", look=LOOK)
        _expect_flow(shop, "while another task kills one process after the other")
        end = wait_for(
            lambda: (starts() > MOST_STARTS and "does not end") or _end(shop, rabbit, deadly),
            SETTLED_SECONDS,
            expected=f"an end: FAILURE, or a message in {DEAD}",
            observed=lambda: f"the task that kills its process was started {starts()} times and has no end",
            look=LOOK,
            starts=starts(),
        )
        expect(
            starts() <= MOST_STARTS,
            observed=f"the task that kills its process was started {starts()} times and {end}",
            expected=f"at most {MOST_STARTS} starts, then FAILURE or a message in {DEAD}",
            look=LOOK,
            starts=starts(),
        )
        settled = starts()
        _expect_flow(shop, "after that")
        expect(starts() == settled, observed=f"the task {end} and was started again", expected="that the end is the end", look=LOOK)
        unless_ended.pop_all()
    rabbit.remove(DEAD, [deadly.id])


@objective("07.5")
def test_a_task_whose_worker_is_killed_runs_again_and_ends_once(
    shop: WorkerClient, rabbit: RabbitClient, ledger: LedgerReader, node: ObservedHost
) -> None:
    key = f"07.5-sleep-{uuid.uuid4().hex}"

    def count(kind: str) -> int:
        return len(ledger.entries(key=key, kind=kind))

    shop.send("celerylab_probe.sleep", 3, key)
    wait_for(lambda: count("start"), 15, expected="a start of the task", look=LOOK)
    with process_killed(node, node.main_pid(WORKER_UNIT), WORKER_UNIT):
        wait_for(
            lambda: count("end"),
            AGAIN_SECONDS,
            expected=f"that the task is done within {AGAIN_SECONDS} s all the same",
            observed=lambda: f"the worker's main process was killed; the task was started {count('start')} times and has not ended",
            look=LOOK,
            worker_killed=True,
            starts=count("start"),
        )
    _expect_flow(shop, "after its worker was killed")
    expect(
        count("end") == 1 and count("start") == 2,
        observed=f"a task of 3 s, whose worker was killed in its first second, was started {count('start')} times and ended {count('end')}",
        expected="started twice, ended once",
        look=LOOK,
        worker_killed=True,
        ends=count("end"),
    )


def _end(shop: WorkerClient, rabbit: RabbitClient, task: AsyncResult) -> str:
    if shop.state(task) == FAILURE:
        return "ended FAILURE"
    return f"is in {DEAD}" if any(message.task_id == task.id for message in rabbit.messages(DEAD)) else ""


def _expect_flow(shop: WorkerClient, when: str) -> None:
    for _ in range(3):
        token = uuid.uuid4().hex
        result = shop.outcome(shop.send("celerylab_probe.echo", token), 15, LOOK)
        expect(
            result.state == SUCCESS and result.result == token,
            observed=f"{when}, an echo ended {result.state} with {result.result!r}",
            expected="SUCCESS: other tasks keep flowing",
            look=LOOK,
        )


def _empty_queue(node: ObservedHost, rabbit: RabbitClient) -> None:
    """A task that never ends would spoil everything after it: the queue is emptied while no worker holds the message."""
    with unit_stopped(node, WORKER_UNIT):
        rabbit.purge(QUEUE)
