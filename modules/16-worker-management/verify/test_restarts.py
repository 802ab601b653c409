"""16.2: a deployment restarts all workers while they are busy."""

import re

from celery.states import READY_STATES, SUCCESS
from fleet import Batch, Fleet

from celerylab.verify.expect import expect, poll
from celerylab.verify.faults import restart_unit
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WORKER_UNIT, WorkerClient

TASKS = 20
AT_WORK_SECONDS = 7  # so long a scaler may take to give each task a process
ENDED_SECONDS = 60
LOOK = "celerylab logs 16 worker-1 -n 60"
UNITS = {"min": 60, "s": 1, "ms": 0.001, "h": 3600, "us": 1e-6}


@objective("16.2")
def test_systemd_gives_every_worker_the_time_that_it_needs(fleet: Fleet, stack: Stack) -> None:
    longest = stack.module.longest_task_seconds
    for name, host in fleet.hosts.items():
        said = host.unit(WORKER_UNIT, "TimeoutStopUSec")["TimeoutStopUSec"]
        expect(
            said == "infinity" or _seconds(said) > longest,
            observed=f"on {name} TimeoutStopSec of {WORKER_UNIT} is {said}",
            expected=f"more than {longest} s, which the longest task takes",
            look=f"celerylab shell 16 {name} -- systemctl cat {WORKER_UNIT}",
            stop_seconds=_seconds(said),
        )


@objective("16.2")
def test_a_restart_of_all_workers_under_load_loses_and_repeats_nothing(
    fleet: Fleet, batch: Batch, worker: WorkerClient, stack: Stack
) -> None:
    before = fleet.ready()
    batch.send("celerylab_probe.sleep", stack.module.longest_task_seconds - 2, count=TASKS)
    running = batch.started_within(AT_WORK_SECONDS)
    expect(
        batch.hosts() == set(fleet.hosts),
        observed=f"{running} tasks are running, on {', '.join(sorted(batch.hosts())) or 'no host'}",
        expected="tasks at work on every host before the restart",
        look=LOOK,
    )
    for host in fleet.hosts.values():
        restart_unit(host, WORKER_UNIT)
    poll(lambda: all(worker.state(task) in READY_STATES for task in batch.tasks.values()), ENDED_SECONDS)
    states = [worker.state(task) for task in batch.tasks.values()]
    expect(
        states == [SUCCESS] * TASKS,
        observed=f"{running} of {TASKS} tasks were running; {TASKS - states.count(SUCCESS)} are {' and '.join(sorted(set(states) - {SUCCESS}))} now",
        expected="SUCCESS of all: what runs is finished before its worker stops",
        look=LOOK,
        failed=TASKS - states.count(SUCCESS),
    )
    starts, ends = batch.counts("start"), batch.counts("end")
    expect(
        set(starts.values()) == {1} and set(ends.values()) == {1} and len(ends) == TASKS,
        observed=f"{sum(count > 1 for count in starts.values())} tasks were started again, {sum(count > 1 for count in ends.values())} ended twice",
        expected="one start and one end of each: what runs is finished, and not repeated",
        look=LOOK,
        repeated=sum(count > 1 for count in starts.values()),
    )
    after = fleet.ready()
    kept = [host for host in fleet.hosts if after[host]["pid"] == before[host]["pid"]]
    expect(
        not kept,
        observed=f"the main process of {' and '.join(kept)} is the same as before",
        expected="new ones on every host, for a restart is what this was about",
        look=LOOK,
    )


def _seconds(said: str) -> float:
    """Seconds of a time as systemd writes it, such as `1min 30s`."""
    return sum(float(number) * UNITS.get(unit, 1) for number, unit in re.findall(r"([\d.]+)([a-z]+)", said))
