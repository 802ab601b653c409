"""02.4: a worker that is there before its broker."""

import time

from celerylab.verify.expect import expect, lasting, wait_for
from celerylab.verify.faults import restart_unit, unit_stopped
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WORKER_UNIT, WorkerClient

ATTEMPT_SECONDS = 15  # by then a worker has tried to connect and said so, or has given up
ALONE_SECONDS = 3
READY_SECONDS = 30
LOOK = "celerylab logs 02"


@objective("02.4")
def test_worker_waits_for_a_broker_that_comes_later(node: ObservedHost, worker: WorkerClient, stack: Stack) -> None:
    wait_for(worker.names, 15, expected="a worker that answers before the fault", observed="no worker answered", look=LOOK)
    before = node.main_pid(WORKER_UNIT)
    with unit_stopped(node, stack.broker.unit):
        since = node.check_output("date +%s")
        restart_unit(node, WORKER_UNIT)
        started = wait_for(
            lambda: (pid := node.main_pid(WORKER_UNIT)) not in (0, before) and pid,
            15,
            expected="a worker process that starts although the broker is down",
            observed=lambda: f"main process {node.main_pid(WORKER_UNIT)}",
            look=LOOK,
        )
        _await_first_attempt(node, started, since)
        lasting(ALONE_SECONDS, "a worker that gives up needs so long to end")
    wait_for(
        worker.names,
        READY_SECONDS,
        expected=f"a worker that is ready within {READY_SECONDS} s of its broker",
        observed=lambda: f"the broker is back, no worker answers (main process was {started}, now {node.main_pid(WORKER_UNIT)})",
        look=LOOK,
    )
    now = node.main_pid(WORKER_UNIT)
    restarts = int(node.unit(WORKER_UNIT, "NRestarts")["NRestarts"])
    expect(
        now == started,
        observed=f"the worker gave up and was started anew: main process {started} became {now} ({restarts} restarts)",
        expected="the same main process, waiting",
        look=LOOK,
        restarts=restarts,
    )


def _await_first_attempt(node: ObservedHost, started: int, since: str) -> None:
    """Returns when the worker has seen that there is no broker: it says so in its log, or ends. A worker that logs nothing gets the time."""
    deadline = time.monotonic() + ATTEMPT_SECONDS
    while time.monotonic() < deadline and node.main_pid(WORKER_UNIT) == started:
        log = node.check_output("journalctl --no-pager --output=cat --unit=%s --since=@%s", WORKER_UNIT, since)
        if "annot connect" in log:
            return
        time.sleep(0.3)
