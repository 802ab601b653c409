"""Whoever writes to the ledger and reads it comes to terms with one that is busy: the real server, with its first answers late."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from celerylab.ledger.server import Handler, Store
from celerylab.verify import ledger as reading
from celerylab.verify.expect import NotObservedError
from celerylab.verify.ledger import QUESTIONS, LedgerReader
from celerylab_probe import ledger as writing
from celerylab_probe.ledger import Ledger

PATIENCE = 0.3  # of both clients in these tests
LATE = 1.0
TOKEN = "t"


class BusyHandler(Handler):
    """Keeps the first `late` requests waiting, longer than the clients wait, and does nothing for them."""

    late = 0
    asked = 0

    def parse_request(self) -> bool:
        type(self).asked += 1
        if type(self).asked <= self.late:
            time.sleep(LATE)
            self.close_connection = True
            return False
        return super().parse_request()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    BusyHandler.store, BusyHandler.token = Store(str(tmp_path / "ledger.sqlite")), TOKEN
    BusyHandler.late = BusyHandler.asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), BusyHandler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TIMEOUT_SECONDS", PATIENCE)
    monkeypatch.setattr(writing, "TIMEOUT_SECONDS", PATIENCE)
    monkeypatch.setattr(writing, "AGAIN_SECONDS", PATIENCE)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def reader(server: ThreadingHTTPServer, token: str = TOKEN) -> LedgerReader:
    outputs = SimpleNamespace(endpoint=lambda _: f"127.0.0.1:{server.server_port}", secrets={"ledger_token": token})
    return LedgerReader(outputs)  # type: ignore[arg-type]


def keys() -> list[str]:
    """Keys of all entries that the ledger has, in the order of their arrival."""
    return [entry["key"] for entry in BusyHandler.store.after(0)]


def wait_for_keys(*expected: str) -> None:
    deadline = time.monotonic() + 20
    while keys() != list(expected):
        assert time.monotonic() < deadline, keys()
        time.sleep(0.05)


def test_a_busy_ledger_is_asked_three_times(server: ThreadingHTTPServer, spool: Path) -> None:
    Ledger(url(server), TOKEN, spool).record("effect", "k")
    BusyHandler.asked, BusyHandler.late = 0, QUESTIONS - 1
    assert [entry["key"] for entry in reader(server).entries()] == ["k"]
    assert BusyHandler.asked == QUESTIONS


def test_a_ledger_that_stays_busy_does_not_answer(server: ThreadingHTTPServer) -> None:
    BusyHandler.late = QUESTIONS + 1
    with pytest.raises(NotObservedError, match=r"the ledger does not answer: .*timed out"):
        reader(server).entries()
    assert BusyHandler.asked == QUESTIONS


def test_a_ledger_that_refuses_is_asked_once(server: ThreadingHTTPServer) -> None:
    with pytest.raises(NotObservedError, match="the ledger does not answer: HTTP Error 404"):
        reader(server, token="wrong").entries()
    assert BusyHandler.asked == 1


def test_an_entry_that_a_busy_ledger_did_not_take_is_sent_again_without_another(server: ThreadingHTTPServer, spool: Path) -> None:
    BusyHandler.late = 2
    client = Ledger(url(server), TOKEN, spool)
    client.record("effect", "first")
    assert keys() == []
    wait_for_keys("first")
    client.record("effect", "second")
    wait_for_keys("first", "second")
    assert list(spool.iterdir()) == []


ENDS = "sys.exit()"
ENDS_AS_A_POOL_PROCESS = "signals.worker_process_shutdown.send(sender=None, pid=1, exitcode=0); os._exit(0)"


@pytest.mark.parametrize("end", [ENDS, ENDS_AS_A_POOL_PROCESS], ids=["python", "pool"])
def test_a_process_that_ends_sends_what_it_has_once_more(server: ThreadingHTTPServer, spool: Path, end: str) -> None:
    BusyHandler.late = 1
    program = f"""
import os, sys
from celery import signals
from celerylab_probe import ledger, tasks
ledger.TIMEOUT_SECONDS, ledger.AGAIN_SECONDS = {PATIENCE}, 60
ledger.record("effect", "last")
{end}
"""
    environment = {**os.environ, "CELERYLAB_LEDGER_URL": url(server), "CELERYLAB_LEDGER_TOKEN": TOKEN, "STATE_DIRECTORY": str(spool)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
    assert keys() == ["last"]
    assert list(spool.iterdir()) == []


def test_a_process_that_is_forked_while_another_thread_sends_has_a_stream_of_its_own(server: ThreadingHTTPServer, spool: Path) -> None:
    client = Ledger(url(server), TOKEN, spool)
    client.record("effect", "parent")
    record: Callable[..., None] = client.record
    with client._lock:
        child = multiprocessing.get_context("fork").Process(target=record, args=("effect", "child"))
        child.start()
        child.join(timeout=20)
    assert child.exitcode == 0
    assert keys() == ["parent", "child"]
    assert [entry["seq"] for entry in BusyHandler.store.after(0)] == [1, 1]
