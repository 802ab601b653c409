"""02.4: a worker that is there before its broker."""

from celerylab.verify.expect import expect, wait_for
from celerylab.verify.faults import outlast_attempts, restart_unit, unit_stopped
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WORKER_UNIT, WorkerClient

ATTEMPTS = 3  # whoever has tried so often goes on; Celery waits 2 s before the second time and 4 s before the third
ATTEMPT_SECONDS = 20  # by then a worker has tried so often, or has given up
READY_SECONDS = 30
LOOK = "celerylab logs 02"


@objective("02.4")
def test_worker_waits_for_a_broker_that_comes_later(node: ObservedHost, worker: WorkerClient, stack: Stack) -> None:
    wait_for(worker.names, 15, expected="a worker that answers before the fault", observed="no worker answered", look=LOOK)
    before = node.main_pid(WORKER_UNIT)
    with unit_stopped(node, stack.broker.unit):
        restart_unit(node, WORKER_UNIT)
        started = wait_for(
            lambda: (pid := node.main_pid(WORKER_UNIT)) not in (0, before) and pid,
            15,
            expected="a worker process that starts although the broker is down",
            observed=lambda: f"main process {node.main_pid(WORKER_UNIT)}",
            look=LOOK,
        )
        outlast_attempts(node, {WORKER_UNIT: started}, ATTEMPTS, ATTEMPT_SECONDS)
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
