"""A clock that is wrong for one service bites and heals; the host's clock, and its other services, keep time."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from celerylab.providers.engine import left_behind
from celerylab.verify.expect import NotObservedError
from celerylab.verify.faults import clock_wrong
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WORKER_UNIT, WorkerClient
from tests.live.conftest import LiveStack, copy_checkout

AHEAD_SECONDS = 3600


@pytest.fixture(scope="module")
def deployed(root: Path, module_02: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    """Module 02's solution, on a host that has datefudge."""
    checkout = copy_checkout(root, tmp_path_factory.mktemp("clock") / "checkout")
    folder = checkout / "modules" / module_02.name
    module = yaml.safe_load((folder / "module.yaml").read_text(encoding="utf-8"))
    module["vars"] = {**module.get("vars", {}), "base_extra_packages": ["datefudge"]}
    (folder / "module.yaml").write_text(yaml.safe_dump(module), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELERYLAB_PROJECT", str(checkout))
        live = LiveStack(folder)
        try:
            live.up()
            yield live
        finally:
            live.remove()
    assert left_behind(live.instance) == []


@pytest.fixture
def stack(deployed: LiveStack) -> Stack:
    return Stack(deployed.name, deployed.outputs())


@pytest.fixture
def node(stack: Stack) -> ObservedHost:
    return ObservedHost("node-1", stack.hosts["node-1"]["container"])


@pytest.fixture
def worker(stack: Stack) -> Iterator[WorkerClient]:
    client = WorkerClient(stack)
    yield client
    client.close()


def worker_is_ahead(worker: WorkerClient) -> float:
    """By how many seconds the worker's clock is ahead of ours, as it says when a task ended."""
    result = worker.send("celerylab_probe.echo", "what is the time?")
    assert worker.outcome(result, 60).state == "SUCCESS"
    ended = result.date_done
    return float(((ended if ended.tzinfo else ended.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


@pytest.mark.parametrize("seconds", [AHEAD_SECONDS, -AHEAD_SECONDS])
def test_one_service_lives_in_another_time_and_comes_back(node: ObservedHost, worker: WorkerClient, seconds: int) -> None:
    redis = node.main_pid("redis-server.service")
    assert worker_is_ahead(worker) == pytest.approx(0, abs=60)
    with clock_wrong(node, WORKER_UNIT, seconds):
        assert worker_is_ahead(worker) == pytest.approx(seconds, abs=60)  # it bites
        assert float(node.check_output("date +%s")) == pytest.approx(time.time(), abs=60)
    assert worker_is_ahead(worker) == pytest.approx(0, abs=60)  # it heals
    assert "DATEFUDGE" not in node.as_root("sh", "-c", f"tr '\\0' '\\n' < /proc/{node.main_pid(WORKER_UNIT)}/environ")
    assert node.unit(WORKER_UNIT, "DropInPaths")["DropInPaths"].count("celerylab-clock") == 0
    assert node.main_pid("redis-server.service") == redis


def test_intervals_stay_right(node: ObservedHost, worker: WorkerClient) -> None:
    with clock_wrong(node, WORKER_UNIT, -AHEAD_SECONDS):
        worker_is_ahead(worker)
        began = time.monotonic()
        assert worker.outcome(worker.send("celerylab_probe.sleep", 2, "of-the-clock"), 60).state == "SUCCESS"
        assert 2 <= time.monotonic() - began < AHEAD_SECONDS / 2


def test_an_exception_brings_the_right_time_back(node: ObservedHost, worker: WorkerClient) -> None:
    with pytest.raises(KeyError), clock_wrong(node, WORKER_UNIT, AHEAD_SECONDS):
        raise KeyError("on the way")
    assert worker_is_ahead(worker) == pytest.approx(0, abs=60)


def test_a_host_without_the_library_says_what_is_missing(node: ObservedHost) -> None:
    before = node.main_pid(WORKER_UNIT)
    node.as_root("sh", "-c", "mv /usr/lib/*/datefudge /var/tmp/away")
    try:
        with pytest.raises(NotObservedError, match="base_extra_packages"), clock_wrong(node, WORKER_UNIT, 1):
            pytest.fail("it began")
    finally:
        node.as_root("sh", "-c", "mv /var/tmp/away /usr/lib/$(uname -m)-linux-gnu/datefudge")
    assert node.main_pid(WORKER_UNIT) == before
