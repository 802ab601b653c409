"""Faults bite and heal; the ledger keeps what tasks did, and shows what it lost."""

import json
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest

from celerylab.ledger.server import Store
from celerylab.verify.control import control_problem
from celerylab.verify.expect import NotObservedError, wait_for
from celerylab.verify.faults import process_ended_afterwards, process_frozen, process_killed, stop_process, unit_stopped, units_killed
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WORKER_UNIT, WorkerClient
from celerylab_probe.ledger import Ledger
from tests.live.conftest import LiveStack


@pytest.fixture
def under_test(shared: LiveStack) -> Stack:
    return Stack(shared.name, shared.outputs())


@pytest.fixture
def node(under_test: Stack) -> ObservedHost:
    return ObservedHost("node-1", under_test.hosts["node-1"]["container"])


def test_a_stopped_unit_is_stopped_inside_and_runs_after_an_exception(node: ObservedHost) -> None:
    def fail_inside() -> None:
        with unit_stopped(node, "redis-server.service"):
            assert not node.service("redis-server").is_running  # it bites
            raise KeyError("on the way")

    with pytest.raises(KeyError):
        fail_inside()
    assert node.service("redis-server").is_running  # it heals


def test_a_killed_process_is_gone_and_its_unit_runs_afterwards(node: ObservedHost) -> None:
    before = node.main_pid(WORKER_UNIT)
    with process_killed(node, before, WORKER_UNIT):
        assert node.run("kill -0 %s", str(before)).rc != 0  # it bites
    wait_for(lambda: node.main_pid(WORKER_UNIT) not in (0, before), 15, expected="a new main process")  # it heals


def test_a_frozen_process_keeps_its_connections_and_goes_on_afterwards(node: ObservedHost) -> None:
    pid = node.main_pid("redis-server.service")
    with process_frozen(node, pid):
        assert node.check_output("ps -o stat= -p %s", str(pid)).startswith("T")  # it bites
    assert not node.check_output("ps -o stat= -p %s", str(pid)).startswith("T")  # it heals


def test_killed_units_stay_away_inside_and_run_afterwards(node: ObservedHost) -> None:
    before = node.main_pid(WORKER_UNIT)
    with units_killed(node, WORKER_UNIT):
        assert node.run("kill -0 %s", str(before)).rc != 0  # it bites
        assert node.unit(WORKER_UNIT, "ActiveState")["ActiveState"] in {"inactive", "failed"}
    wait_for(lambda: node.main_pid(WORKER_UNIT) not in (0, before), 15, expected="a new main process")  # it heals


def test_a_process_that_was_stopped_for_good_is_replaced_afterwards(node: ObservedHost) -> None:
    before = node.main_pid(WORKER_UNIT)
    with process_ended_afterwards(node, before, WORKER_UNIT):
        stop_process(node, before)
        assert node.check_output("ps -o stat= -p %s", str(before)).startswith("T")  # it bites
    wait_for(lambda: node.main_pid(WORKER_UNIT) not in (0, before), 15, expected="a new main process")  # it heals


def test_the_observer_has_no_privilege(node: ObservedHost) -> None:
    assert node.check_output("id -un") == "observer"
    assert node.run("cat /etc/celery/celery.env").rc != 0
    assert node.run("sudo -n true").rc != 0
    assert node.run("systemctl stop redis-server").rc != 0


def test_an_effect_of_a_task_reaches_the_ledger_once(under_test: Stack) -> None:
    worker, ledger, key = WorkerClient(under_test), LedgerReader(under_test), uuid.uuid4().hex
    wait_for(worker.names, 20, expected="a worker")
    worker.outcome(worker.send("celerylab_probe.mark", key, {"value": 7}), 10)
    entries = wait_for(lambda: ledger.entries(key=key), 5, expected="an entry")
    assert [(entry["kind"], entry["data"]) for entry in entries] == [("effect", {"value": 7})]
    worker.close()


def test_start_and_end_of_a_task_that_dies_are_told_apart(under_test: Stack) -> None:
    worker, ledger, key = WorkerClient(under_test), LedgerReader(under_test), uuid.uuid4().hex
    wait_for(worker.names, 20, expected="a worker")
    worker.outcome(worker.send("celerylab_probe.die", key), 20)
    assert [entry["kind"] for entry in ledger.entries(key=key)] == ["start"]
    worker.outcome(worker.send("celerylab_probe.sleep", 0.1, key + "-b"), 20)
    assert [entry["kind"] for entry in ledger.entries(key=key + "-b")] == ["start", "end"]
    worker.close()


def test_the_ledger_wants_its_token(under_test: Stack) -> None:
    url = f"http://{under_test.endpoint('ledger')}/entries"
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(url, timeout=5)
    assert refusal.value.code == 404


def test_a_ledger_that_was_away_gets_everything_afterwards(under_test: Stack, shared: LiveStack, tmp_path: Path) -> None:
    client = Ledger(f"http://{under_test.endpoint('ledger')}", under_test.secrets["ledger_token"], tmp_path)
    key = uuid.uuid4().hex
    client.record("start", key)
    shared.container("ledger").stop(timeout=5)
    client.record("effect", key, 1)
    assert list(tmp_path.iterdir())  # spooled
    shared.container("ledger").start()
    wait_for(lambda: control_problem(under_test) is None, 20, expected="a ledger that is back")
    time.sleep(0.5)
    client.record("end", key)
    assert [entry["kind"] for entry in LedgerReader(under_test).entries(key=key)] == ["start", "effect", "end"]
    assert not list(tmp_path.iterdir())


def test_a_loss_is_a_gap_and_a_gap_is_never_counted(under_test: Stack, tmp_path: Path) -> None:
    client = Ledger(f"http://{under_test.endpoint('ledger')}", under_test.secrets["ledger_token"], tmp_path)
    key = uuid.uuid4().hex
    client.record("effect", key, 1)
    client._sequence += 1  # an entry that got lost with its process and its spool
    client.record("effect", key, 3)
    with pytest.raises(NotObservedError, match=r"the ledger has gaps: .* lacks \[2\]"):
        LedgerReader(under_test).entries(key=key)
    # Fill it again, so that the stack is as it was.
    entry = {"client": client._client, "seq": 2, "kind": "effect", "key": key, "time": 0, "data": 2}
    headers = {"Authorization": f"Bearer {under_test.secrets['ledger_token']}"}
    request = urllib.request.Request(f"http://{under_test.endpoint('ledger')}/entries", json.dumps([entry]).encode(), headers)
    urllib.request.urlopen(request, timeout=5).close()
    assert len(LedgerReader(under_test).entries(key=key)) == 3


def test_the_same_entry_twice_is_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "entries.sqlite"))
    entry = {"client": "a", "seq": 1, "kind": "start", "key": "k", "time": 1.0, "data": None}
    store.add([entry])
    store.add([entry, {**entry, "seq": 2}])
    assert [row["seq"] for row in store.after(0)] == [1, 2]
    assert [row["seq"] for row in store.after(1)] == [2]


def test_a_gateway_that_is_gone_is_trouble_of_the_harness(shared: LiveStack, under_test: Stack) -> None:
    assert control_problem(under_test) is None
    shared.container("gateway").stop(timeout=5)
    try:
        assert "the gateway's endpoint" in str(control_problem(under_test))
        verdicts = shared.verdicts("02.2")
        assert verdicts["02.2"]["verdict"] == "NOT_OBSERVED"
    finally:
        shared.container("gateway").start()
    wait_for(lambda: control_problem(under_test) is None, 20, expected="a gateway that is back")


def test_a_host_that_does_not_answer_is_trouble_of_the_harness(shared: LiveStack, under_test: Stack) -> None:
    shared.container().pause()
    try:
        assert "node-1" in str(control_problem(under_test))
        assert shared.verdicts("02.2")["02.2"]["verdict"] == "NOT_OBSERVED"
    finally:
        shared.container().unpause()
