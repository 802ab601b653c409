"""Callers of a lab's application: programs on its host that send tasks with the learner's own settings.

What a sender decides (delivery mode, queue, socket timeouts, where it looks for a result) can be observed only of a sender with those
settings; `WorkerClient` has its own.
"""

import json
from dataclasses import dataclass
from typing import Any

from celerylab.verify.expect import NotAsExpectedError
from celerylab.verify.hosts import ObservedHost, Ran

_PUBLISH = """
import json, sys, time
from celery import Celery
request = json.load(sys.stdin)
app = Celery("caller", set_as_current=False)
app.config_from_object(request["settings"])
started = time.monotonic()
try:
    sent = [app.send_task(request["task"], arguments, retry=request["retry"]).id for arguments in request["calls"]]
except Exception as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}", "seconds": time.monotonic() - started}))
else:
    print(json.dumps({"sent": sent, "queue": app.amqp.router.route({}, request["task"])["queue"].name}))
"""
_CALL = """
import json, sys
from celery import Celery
from celery.exceptions import TimeoutError
request = json.load(sys.stdin)
def client():
    app = Celery("caller", set_as_current=False)
    app.config_from_object(request["settings"])
    return app
app = client()
result = app.send_task(request["task"], request["arguments"])
try:
    result.get(timeout=request["seconds"], propagate=False)
except TimeoutError:
    pass
answer = {"id": result.id, "state": result.state, "value": result.result if result.successful() else repr(result.result)}
answer["queue"] = app.amqp.router.route({}, request["task"])["queue"].name
answer["state_for_another_client"] = client().AsyncResult(result.id).state
print(json.dumps(answer, default=repr))
"""


@dataclass(frozen=True)
class Sent:
    """Messages that a caller published: task ids, and the queue that its settings route them to."""

    ids: list[str]
    queue: str


@dataclass(frozen=True)
class Refused:
    """A caller that could not publish: the exception, and how long the attempt took."""

    error: str
    seconds: float


@dataclass(frozen=True)
class Call:
    """One task as its caller saw it. `state_for_another_client` is what a second client with the same settings sees."""

    id: str
    state: str
    value: Any
    queue: str
    state_for_another_client: str


def publish(
    host: ObservedHost, settings: str, task: str, calls: list[list[Any]], look: str = "", seconds: float = 20, retry: bool = True
) -> Sent | Refused:
    """Sends `task` once for each list of arguments in `calls`, by a caller that `settings` (a module's name) configures.

    `retry` is Celery's own retrying of a publication that failed. A caller that has not ended after `seconds` fails the check.
    """
    request = {"settings": settings, "task": task, "calls": calls, "retry": retry}
    answer = _json(host.as_application("python", "-c", _PUBLISH, stdin=json.dumps(request), seconds=seconds), settings, look)
    return Refused(answer["error"], answer["seconds"]) if "error" in answer else Sent(answer["sent"], answer["queue"])


def published(host: ObservedHost, settings: str, task: str, calls: list[list[Any]], look: str = "") -> Sent:
    """As `publish`, for a check that wants the messages to be taken: a refusal fails it."""
    answer = publish(host, settings, task, calls, look)
    if isinstance(answer, Refused):
        raise NotAsExpectedError(f"a caller with {settings} gets {answer.error}", "a broker that takes its messages", look, {})
    return answer


def call(host: ObservedHost, settings: str, task: str, arguments: list[Any], look: str = "", seconds: float = 10) -> Call:
    """Sends `task` and waits up to `seconds` for its result, as a caller that `settings` configures would."""
    request = {"settings": settings, "task": task, "arguments": arguments, "seconds": seconds}
    return Call(**_json(host.as_application("python", "-c", _CALL, stdin=json.dumps(request), seconds=seconds + 20), settings, look))


def round_trips(host: ObservedHost, settings: list[str], rounds: int, tasks: int, look: str = "") -> dict[str, list[float]]:
    """Milliseconds of `celerylab_probe.roundtrip` for each of `settings`, by round."""
    script = f"import sys; sys.argv[1:] = {[*settings, f'--rounds={rounds}', f'--tasks={tasks}']!r}\n"
    script += "from celerylab_probe.roundtrip import main; main()"
    found = _json(host.as_application("python", "-c", script, seconds=90), " ".join(settings), look)
    return {name: report["rounds_ms"] for name, report in found.items()}


def _json(result: Ran, settings: str, look: str) -> Any:
    if result.code == 0:
        return json.loads(result.stdout)
    said = (result.stderr.strip().splitlines() or ["nothing"])[-1]
    ended = "did not end in time" if result.code == 124 else f"ended with {result.code}"
    raise NotAsExpectedError(f"a caller with {settings} {ended} and said: {said[:300]}", "a caller that can send its tasks", look, {})
