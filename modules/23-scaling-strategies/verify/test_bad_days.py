"""23.5: a broker that is away, which is no reason for a restart, and a worker that hangs, which is one."""

import time
from contextlib import ExitStack
from typing import Any

from celery.states import SUCCESS
from pool import Pool

from celerylab.verify.cluster import ClusterView
from celerylab.verify.cluster_faults import broker_down, process_stopped
from celerylab.verify.expect import BrokerUnreachableError, expect, lasting, poll
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

AWAY_SECONDS, BACK_SECONDS, ECHO_SECONDS = 120, 75, 30
RESTART_SECONDS = 90
HANG_SECONDS = 600  # longer than anybody looks
SILENT_SECONDS = 15
LOOK = "celerylab logs 23 worker"


@objective("23.5")
def test_no_worker_is_restarted_while_the_broker_is_away(pool: Pool, cluster: ClusterView, worker: WorkerClient, stack: Stack) -> None:
    pool.ready()
    before = pool.restarts()
    with ExitStack() as stopped:
        # Where we may, workers are stopped for the moment in which the broker goes. Some learn of it by reading, some while they have something to
        # say to it: so all do.
        if stack.outputs["cluster"]["local"]:
            for pod in pool.living():
                stopped.enter_context(process_stopped(cluster, pod.name, _container(pool)))
        with broker_down(cluster):
            lasting(3, "each of them sends an event every two seconds, which is due when it goes on")
            stopped.close()
            lasting(AWAY_SECONDS - 3, "liveness probes that ask the broker have to fail often enough for a restart")
            gone = _away(worker)
    poll(lambda: len(pool.nodes()) >= len(before), BACK_SECONDS, every=1)
    answering, after = pool.nodes(), pool.restarts()
    expect(
        gone, observed="the broker answered while it should have been away", expected="a broker that is away", look="celerylab status 23"
    )
    restarted = sum(after.get(pod, 1) - count if pod in after else 1 for pod, count in before.items())
    expect(
        restarted == 0,
        observed=f"workers were restarted {restarted} times because the broker was away for {AWAY_SECONDS} s",
        expected="no restart: it brings no broker back",
        look=LOOK,
        restarted=restarted,
        inspects="inspect" in str(_probe(pool)),
    )
    expect(
        len(answering) >= len(before),
        observed=f"{BACK_SECONDS} s after the broker was back, {len(answering)} of {len(before)} workers answer",
        expected="all of them",
        look=LOOK,
        back=False,
    )
    result = worker.outcome(worker.send("celerylab_probe.echo", "after"), ECHO_SECONDS, LOOK)
    expect(result.state == SUCCESS, observed=f"an echo ended {result.state}", expected="SUCCESS: the pool works again", look=LOOK)


@objective("23.5")
def test_a_worker_that_hangs_is_restarted(pool: Pool, cluster: ClusterView, worker: WorkerClient, stack: Stack) -> None:
    local = bool(stack.outputs["cluster"]["local"])
    with pool.pinned(2), ExitStack() as healed:
        nodes = {pod: pool.nodes()[pod] for pod in pool.ready()}
        blocked, *others = list(nodes)
        hung = {blocked: "its main loop was blocked", **{pod: "it got SIGSTOP" for pod in others[:1] if local}}
        uids = {pod.name: (pod.uid, pod.restarts) for pod in pool.living() if pod.name in hung}
        started = time.monotonic()

        def restarted() -> set[str]:
            now = {pod.uid: pod.restarts for pod in pool.living()}
            return {name for name, (uid, count) in uids.items() if now.get(uid, count + 1) > count}

        # Where nobody restarts it, it would hang for the checks that come after this one.
        healed.callback(lambda: pool.end(sorted({blocked} - restarted())))
        worker.app.control.broadcast("drill_block", arguments={"seconds": HANG_SECONDS}, destination=[nodes[blocked]])
        for pod in hung:
            if pod != blocked:
                healed.enter_context(process_stopped(cluster, pod, _container(pool)))
        # Positive control: they do hang.
        poll(lambda: not set(hung) & set(pool.nodes()), SILENT_SECONDS)
        silent = set(hung) - set(pool.nodes())
        expect(
            silent == set(hung),
            observed=f"{', '.join(sorted(silent)) or 'none'} of {', '.join(hung)} stopped answering",
            expected="that each of them hangs: shop.drill is in the application's include, and the worker is what was stopped",
            look="celerylab shell 23 worker -- celery --app shop control --help",
            drill=False,
        )
        poll(lambda: restarted() == set(hung), RESTART_SECONDS - (time.monotonic() - started), every=0.5)
        took, found = time.monotonic() - started, restarted()
        left = ", ".join(f"{pod} ({hung[pod]})" for pod in hung if pod not in found)
        grace = _grace(pool)
        expect(
            found == set(hung),
            observed=f"{took:.0f} s after {' and '.join(sorted(set(hung.values())))} nobody has restarted {left}",
            expected=f"a restart within {RESTART_SECONDS} s",
            look=LOOK,
            hung_restarted=False,
            grace_seconds=grace,
        )
        poll(lambda: len(pool.nodes()) >= len(nodes), BACK_SECONDS, every=0.5)
        answering = pool.nodes()
        expect(
            len(answering) >= len(nodes),
            observed=f"{len(answering)} of {len(nodes)} workers answer after the restart",
            expected="all of them: a restart that starts nothing heals nothing",
            look=LOOK,
            back=False,
        )


def _away(worker: WorkerClient) -> bool:
    try:
        worker.names()
    except BrokerUnreachableError:
        return True
    return False


def _container(pool: Pool) -> str:
    """Name of the container that the worker runs in."""
    return str(pool.deployment.raw.spec.template.spec.containers[0].name)


def _probe(pool: Pool) -> Any:
    """The worker's liveness probe, or None."""
    return pool.deployment.raw.spec.template.spec.containers[0].liveness_probe


def _grace(pool: Pool) -> int:
    """Seconds that a worker gets to stop when its liveness probe has failed; 0 without a probe."""
    probe, whole = _probe(pool), pool.deployment.raw.spec.template.spec.termination_grace_period_seconds
    return int((probe.termination_grace_period_seconds or whole or 0) if probe else 0)
