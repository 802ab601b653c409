"""16.3: a worker is gone, from one moment to the next."""

import time
from typing import Any

from celery.states import SUCCESS
from fleet import Batch, Fleet

from celerylab.verify.expect import expect, poll, wait_for
from celerylab.verify.faults import units_killed
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

MOST_VISIBILITY = 45  # seconds; somebody waits for the task
MORE_SECONDS = 15
TASKS, TASK_SECONDS = 12, 6
REDIS_DEFAULT = 3600
LOOK = "celerylab logs 16 worker-1 -n 60"


@objective("16.3")
def test_the_broker_delivers_again_in_time(fleet: Fleet, stack: Stack) -> None:
    allowed = {host: _visibility(said, stack) for host, said in fleet.ready().items()}
    expect(
        allowed and max(allowed.values()) <= MOST_VISIBILITY,
        observed=f"visibility_timeout of the broker is {' and '.join(f'{seconds:g} s' for seconds in sorted(set(allowed.values())))}",
        expected=f"at most {MOST_VISIBILITY} s: for so long nobody touches the tasks of a worker that is gone",
        look="on_node celery --app shop inspect stats",
        visibility_seconds=max(allowed.values()),
    )


@objective("16.3")
def test_what_a_killed_worker_was_doing_starts_elsewhere_and_a_long_task_is_not_started_twice(
    fleet: Fleet, batch: Batch, worker: WorkerClient, stack: Stack
) -> None:
    allowed = min(max(_visibility(said, stack) for said in fleet.ready().values()), MOST_VISIBILITY) + MORE_SECONDS
    [long] = batch.send("celerylab_probe.sleep", stack.module.longest_task_seconds)
    [(_, safe)] = wait_for(lambda: batch.entries("start"), 15, expected="a start of the longest task", look=LOOK)
    batch.send("celerylab_probe.sleep", TASK_SECONDS, count=TASKS)
    victim = wait_for(lambda: next((host for _, host in batch.entries("start") if host != safe), None), 15, expected="work on another host")
    batch.started_within(3)
    with units_killed(fleet.hosts[victim], *fleet.units(victim)):
        killed = time.monotonic()
        ended = batch.counts("end")
        lost = [key for key, host in batch.entries("start") if host == victim and key not in ended]
        expect(lost, observed=f"no task was at work on {victim}", expected="tasks in flight when the worker was killed", look=LOOK)

        def waiting() -> set[str]:
            return set(lost) - {key for key, host in batch.entries("start") if host != victim}

        poll(lambda: not waiting(), allowed)
        missing = len(waiting())
        expect(
            missing == 0,
            observed=f"{allowed:g} s after {victim} was killed, {missing} of {len(lost)} tasks that were at work have not started elsewhere",
            expected=f"a start of each on another host by then (visibility timeout and {MORE_SECONDS} s)",
            look=LOOK,
            missing=missing,
        )
        took = time.monotonic() - killed
        for key, task in batch.tasks.items():
            result = worker.outcome(task, TASKS * TASK_SECONDS, LOOK)
            expect(
                result.state == SUCCESS,
                observed=f"{key} ended {result.state}; the lost tasks started again {took:.0f} s after {victim} was killed",
                expected="SUCCESS of every task, on the workers that are left",
                look=LOOK,
            )
        starts, ends = batch.counts("start"), batch.counts("end")
    expect(
        starts[long] == 1 and ends[long] == 1,
        observed=f"a task of {stack.module.longest_task_seconds} s on {safe}, which nobody touched, started {starts[long]} times",
        expected="one start: a broker that loses patience with a task that is running gives it to a second worker",
        look=LOOK,
        long_starts=starts[long],
    )
    repeated = [key for key in batch.tasks if key not in lost and starts[key] > 1]
    expect(
        set(ends.values()) == {1} and not repeated,
        observed=f"{len(repeated)} tasks started twice although their worker lived, {sum(count > 1 for count in ends.values())} ended twice",
        expected="one end of each task, and a second start of the lost ones alone",
        look=LOOK,
        long_starts=max(starts[key] for key in batch.tasks if key not in lost),
    )
    fleet.ready()


def _visibility(said: dict[str, Any], stack: Stack) -> float:
    """After how many seconds the broker of a worker delivers again; RabbitMQ does at once, when the connection is gone."""
    if stack.broker_name != "redis":
        return 0
    return float(said["broker"]["transport_options"].get("visibility_timeout", REDIS_DEFAULT))
