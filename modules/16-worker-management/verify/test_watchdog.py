"""16.5: workers that are there and do nothing."""

import time
from contextlib import ExitStack

from celery.states import SUCCESS
from fleet import Batch, Fleet

from celerylab.verify.expect import expect, poll
from celerylab.verify.faults import process_ended_afterwards, stop_process
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WORKER_UNIT, WorkerClient

RESTART_SECONDS = 60
BLOCKED_SECONDS = 120  # longer than anybody looks
SILENT_SECONDS = 8
LOOK = "celerylab logs 16 worker-1 -n 60"


@objective("16.5")
def test_a_worker_that_hangs_is_started_again_and_a_busy_one_is_not(fleet: Fleet, batch: Batch, worker: WorkerClient, stack: Stack) -> None:
    before, nodes = {host: int(said["pid"]) for host, said in fleet.ready().items()}, fleet.nodes()
    blocked, stopped, busy = list(fleet.hosts)[:3]
    # Tasks are running everywhere: one that takes long is no reason to restart a worker.
    at_work = batch.spread(fleet, 20, lambda: batch.send("celerylab_probe.sleep", stack.module.longest_task_seconds))
    expect(at_work == set(fleet.hosts), observed=f"work on {sorted(at_work)}", expected="work on every host", look=LOOK)
    with ExitStack() as healed:
        for host in (blocked, stopped):
            healed.enter_context(process_ended_afterwards(fleet.hosts[host], before[host], WORKER_UNIT))
        started = time.monotonic()
        worker.app.control.broadcast("drill_block", arguments={"seconds": BLOCKED_SECONDS}, destination=[nodes[blocked]])
        stop_process(fleet.hosts[stopped], before[stopped])
        # Positive control: both hang, and whoever asks systemd whether they are active learns nothing.
        poll(lambda: not {blocked, stopped} & set(fleet.nodes()), SILENT_SECONDS)
        silent, active = {blocked, stopped} - set(fleet.nodes()), _active(fleet)
        now = fleet.pids()
        expect(
            silent == {blocked, stopped} or all(now.get(host, before[host]) != before[host] for host in (blocked, stopped)),
            observed=f"{', '.join(silent) or 'neither'} stopped answering after the main loop of {blocked} was blocked and {stopped} was stopped",
            expected="that both hang: shop.drill is in the application's include, and the worker's own process is the one that was stopped",
            look="on_node celery --app shop control --help",
            drill=False,
        )

        def back() -> set[str]:
            return {host for host, pid in fleet.pids().items() if host in (blocked, stopped) and pid != before[host]}

        poll(lambda: back() == {blocked, stopped}, RESTART_SECONDS - (time.monotonic() - started))
        returned = back()
        away = sorted({blocked, stopped} - returned)
        expect(
            not away,
            observed=f"{RESTART_SECONDS} s after {_what(away, blocked)}, no new worker answers there; meanwhile systemctl called {active} active",
            expected=f"another main process that answers, within {RESTART_SECONDS} s",
            look=f"celerylab shell 16 {away[0] if away else blocked} -- systemctl status {WORKER_UNIT}",
            blocked_is_back=blocked in returned,
            stopped_is_back=stopped in returned,
        )
    now = fleet.ready()
    expect(
        now[busy]["pid"] == before[busy],
        observed=f"the worker on {busy}, which did nothing but a task of {stack.module.longest_task_seconds} s, was restarted as well",
        expected="that a watchdog leaves a worker alone whose task takes long",
        look=LOOK,
        busy_restarted=True,
    )
    result = worker.outcome(worker.send("celerylab_probe.echo", "after"), 15, LOOK)
    expect(result.state == SUCCESS, observed=f"an echo ended {result.state}", expected="SUCCESS: the fleet works", look=LOOK)


def _active(fleet: Fleet) -> str:
    states = {host: fleet.hosts[host].run("systemctl is-active %s", WORKER_UNIT).stdout.strip() for host in fleet.hosts}
    return ", ".join(host for host, state in states.items() if state == "active") or "none of them"


def _what(hosts: list[str], blocked: str) -> str:
    return " and ".join(f"the main loop of {host} was blocked" if host == blocked else f"{host} got SIGSTOP" for host in hosts)
