"""The stack under test: URLs of services beside its one broker, files of the lab as deployed, and measured round trips."""

from pathlib import Path
from typing import Any

import pytest

from celerylab.verify.callers import Refused, Sent, publish, round_trips
from celerylab.verify.expect import NotAsExpectedError, NotObservedError
from celerylab.verify.stack import Stack
from celerylab_probe import roundtrip

pytestmark = pytest.mark.unit


@pytest.fixture
def stack() -> Stack:
    outputs = {
        "endpoints": {"broker": "127.0.0.1:1001", "rabbitmq": "127.0.0.1:1002", "results": "127.0.0.1:1003"},
        "secrets": {"broker_password": "pw"},
        "settings": {},
        "lab": {"source": "lab", "digest": "0123456789abcdef" * 4},
    }
    return Stack("s", outputs)


def test_each_service_has_a_url_through_its_endpoint(stack: Stack) -> None:
    assert stack.broker_url() == "redis://celery:pw@127.0.0.1:1001/0"
    assert stack.service_url("redis", "results") == "redis://celery:pw@127.0.0.1:1003/0"
    assert stack.service_url("rabbitmq", "rabbitmq") == "amqp://celery:pw@127.0.0.1:1002//"


def test_a_file_of_the_lab_is_the_deployed_one(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERYLAB_CACHE", str(tmp_path))
    with pytest.raises(NotObservedError, match="no longer in the cache"):
        stack.lab_file("answers/a.json")
    deployed = tmp_path / "labs" / "0123456789abcdef" / "answers"
    deployed.mkdir(parents=True)
    assert stack.lab_file("answers/a.json") is None
    (deployed / "a.json").write_text("{}", encoding="utf-8")
    assert stack.lab_file("answers/a.json") == "{}"


class Answer:
    """A host whose application says `stdout` and ends with `code`."""

    def __init__(self, stdout: str, code: int = 0, stderr: str = "") -> None:
        self.stdout, self.code, self.stderr = stdout, code, stderr

    def as_application(self, *_: Any, **__: Any) -> "Answer":
        return self


def test_what_a_caller_says_is_what_the_check_gets() -> None:
    sent: Any = Answer('{"sent": ["1"], "queue": "q"}')
    assert publish(sent, "settings.a", "task", [[]]) == Sent(["1"], "q")
    refused: Any = Answer('{"error": "OperationalError: no", "seconds": 1.5}')
    assert publish(refused, "settings.a", "task", [[]]) == Refused("OperationalError: no", 1.5)
    measured: Any = Answer('{"settings.a": {"median_ms": 2, "rounds_ms": [1, 2, 3]}}')
    assert round_trips(measured, ["settings.a"], 3, 1) == {"settings.a": [1, 2, 3]}


@pytest.mark.parametrize(("code", "said"), [(1, "ended with 1 and said: KeyError: 'X'"), (124, "did not end in time")])
def test_settings_that_cannot_be_used_are_a_failure_and_no_trouble_of_the_harness(code: int, said: str) -> None:
    broken: Any = Answer("", code, "Traceback\nKeyError: 'X'")
    with pytest.raises(NotAsExpectedError) as failure:
        publish(broken, "settings.a", "task", [[]])
    assert said in failure.value.observed


def test_configurations_take_turns_and_the_first_task_of_each_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    times = {"a": iter([900.0, 1, 2, 3, 4]), "b": iter([900.0, 10, 20, 30, 40])}

    def once(name: Any) -> float:
        order.append(name)
        return next(times[name])

    monkeypatch.setattr(roundtrip, "caller", lambda name: name)
    monkeypatch.setattr(roundtrip, "once", once)
    assert roundtrip.measure(["a", "b"], rounds=2, tasks=2) == {"a": [1.5, 3.5], "b": [15, 35]}
    assert "".join(order) == "abaabbaabb"
