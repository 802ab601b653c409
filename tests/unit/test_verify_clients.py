"""The clients that checks use: the HTTP stub's against the stub itself, and what is read from messages and workers."""

import importlib.util
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.states import RETRY, SUCCESS

from celerylab.verify.expect import NotObservedError
from celerylab.verify.http_stub import Behaviour, HttpStub
from celerylab.verify.rabbitmq import Message
from celerylab.verify.replies import use_replies
from celerylab.verify.worker import WorkerClient

pytestmark = pytest.mark.unit

PROGRAM = Path(__file__).resolve().parents[2] / "roles" / "http_stub" / "files" / "http_stub.py"
TOKEN = "a token"


@pytest.fixture
def address() -> Iterator[str]:
    """host:port of a running stub that wants TOKEN."""
    spec = importlib.util.spec_from_file_location("http_stub_program", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    program.Handler.stub, program.Handler.token = program.Stub(100), TOKEN
    server = program.Server(("127.0.0.1", 0), program.Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(address: str, token: str = TOKEN) -> HttpStub:
    return HttpStub(SimpleNamespace(endpoint=lambda _: address, secrets={"stub_token": token}))  # type: ignore[arg-type]


def call(address: str, key: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{address}/v1/charges/{key}", data=b"{}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_stub_fails_as_it_is_told_and_remembers(address: str) -> None:
    stub = client(address)
    stub.behave(["run-1", "run-2"], Behaviour(status=503, times=1))
    assert [call(address, key) for key in ("run-1", "run-1", "run-2", "other")] == [503, 200, 503, 200]
    calls = stub.calls("run-")
    assert {key: [one.status for one in found] for key, found in calls.items()} == {"run-1": [503, 200], "run-2": [503]}
    assert calls["run-1"][0].time <= calls["run-1"][1].time
    stub.heal(["run-2"])
    assert call(address, "run-2") == 200


def test_a_stub_that_refuses_or_is_away_is_nothing_that_a_learner_did(address: str) -> None:
    with pytest.raises(NotObservedError, match="401"):
        client(address, "wrong").calls("")
    with pytest.raises(NotObservedError, match="does not answer"):
        client("127.0.0.1:1").calls("")


def test_a_message_tells_its_task_and_its_deaths() -> None:
    death = {"queue": "shop", "reason": "rejected", "count": 1}
    message = Message({"id": "7", "task": "payments.charge", "x-death": [death]}, {}, b'[["order-1", 700], {}, {}]')
    assert (message.task_id, message.task, message.arguments, message.deaths) == ("7", "payments.charge", ["order-1", 700], [death])
    alive = Message({}, {}, b"")
    assert (alive.task_id, alive.task, alive.deaths) == ("", "", [])


def test_a_task_declares_what_its_worker_says() -> None:
    answers = {
        "one": ["payments.charge [max_retries=3]", "payments.charge_all [max_retries=5]"],
        "two": ["payments.charge"],
        "three": ["other [max_retries=3]"],
    }
    worker: Any = object.__new__(WorkerClient)
    worker._ask = lambda *_: answers
    assert worker.declared("payments.charge", "max_retries") == {"one": "3", "two": None}


@pytest.mark.parametrize("own", [True, False], ids=["our backend", "Celery's own, which would lose it"])
def test_an_end_survives_a_retry_that_is_reported_late(own: bool) -> None:
    app = Celery("observer", broker=f"memory://{uuid.uuid4().hex}", backend="rpc://", set_as_current=False)
    if own:
        use_replies(app)
    task = uuid.uuid4().hex
    request = SimpleNamespace(reply_to=app.thread_oid, correlation_id=task, id=task)
    with app.producer_or_acquire() as producer:
        app.backend.on_task_call(producer, task)
    for state in (RETRY, SUCCESS, RETRY):  # the last one is that of the first attempt, from a process that was slow
        app.backend.store_result(task, ConnectionError("busy") if state == RETRY else "done", state, request=request)
    seen = [app.backend.get_task_meta(task)["status"] for _ in range(2)]
    assert (seen == [SUCCESS, SUCCESS]) == own
