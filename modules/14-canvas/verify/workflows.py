"""The shop's workflows as its office starts them, what must come out of them, and what is going on meanwhile."""

import json
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery.result import AsyncResult
from celery.states import READY_STATES

from celerylab.verify.expect import NotAsExpectedError, NotObservedError, wait_for
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.http_stub import HttpStub
from celerylab.verify.redis_server import redis_client
from celerylab.verify.stack import Stack
from celerylab.verify.worker import Outcome, WorkerClient, broker_errors

LOOK = "celerylab logs 14 worker-1 -n 60"
READY_SECONDS = 30
START_SECONDS = 30
IDLE_SECONDS = 20
RECEIPTS = 20

_START = """
import json, sys
from shop import workflows
workflow, arguments = json.load(sys.stdin)
print(json.dumps(getattr(workflows, workflow)(*arguments).id))
"""
_RACE = """
import json, sys, time
from shop import workflows
warm, names, seconds = json.load(sys.stdin)
workflows.collect(warm).get(timeout=seconds)
started = time.monotonic()
chains = [workflows.figures(name).get(timeout=seconds) for name in names]
apart = time.monotonic() - started
started = time.monotonic()
group = workflows.collect(names).get(timeout=seconds)
together = time.monotonic() - started
print(json.dumps({"chains": chains, "group": group, "apart": apart, "together": together}, default=repr))
"""


@dataclass(frozen=True)
class Race:
    """Rows of chains, run one after the other, and of a group, and the seconds that both took."""

    chains: Any
    group: Any
    apart: float
    together: float


@dataclass(frozen=True)
class Office:
    """Calls functions of the lab's `shop.workflows`, as a program of the application on `host`."""

    host: ObservedHost

    def start(self, worker: WorkerClient, workflow: str, day: str, names: list[str]) -> AsyncResult:
        """Starts `report` or `close`; its result, to be followed with `ended`."""
        with worker.timing():
            return worker.app.AsyncResult(self._ask(_START, [workflow, [day, names]], workflow, START_SECONDS))

    def race(self, warm: list[str], names: list[str], seconds: float) -> Race:
        """Runs `figures` of each of `names`, then `collect` of all of them; no step may take longer than `seconds`. `warm` goes before both."""
        return Race(**self._ask(_RACE, [warm, names, seconds], "figures and collect", (len(names) + 2) * seconds))

    def _ask(self, script: str, request: Any, what: str, seconds: float) -> Any:
        ran = self.host.as_application("python", "-c", script, stdin=json.dumps(request), seconds=seconds)
        said = ((ran.stdout if ran.code == 0 else ran.stderr).strip().splitlines() or ["nothing"])[-1]
        if ran.code != 0:
            ended = "did not end in time" if ran.code == 124 else f"ended with {ran.code}"
            raise NotAsExpectedError(
                f"a program that calls {what} of shop.workflows {ended} and said: {said[:300]}",
                "a workflow that starts, and whose result can be read",
                LOOK,
                {"caller_code": ran.code},
            )
        return json.loads(said)


def ended(worker: WorkerClient, result: AsyncResult, seconds: float, what: str, **evidence: Any) -> Outcome:
    """How a workflow ended. Fails like `expect`, saying that `what` is not there yet, where that takes longer than `seconds`."""
    wait_for(
        lambda: worker.state(result) in READY_STATES,
        seconds,
        expected=f"that it ends within {seconds:g} s",
        observed=lambda: f"{what} is still {worker.state(result)}",
        look=LOOK,
        every=0.05,
        **{"state": "PENDING", **evidence},
    )
    return worker.outcome(result, seconds, LOOK)


def row(branch: str) -> dict[str, Any]:
    """The row that a branch must have in a report."""
    amounts = [zlib.crc32(f"{branch}/{number}".encode()) % 20_000 for number in range(RECEIPTS)]
    return {"branch": branch, "receipts": RECEIPTS, "cents": sum(amounts)}


def mapping(outcome: Outcome) -> dict[str, Any]:
    """What a workflow gave, where that is a mapping; else an empty one."""
    return outcome.result if isinstance(outcome.result, dict) else {}


def rows_of(report: dict[str, Any]) -> list[Any]:
    """The rows of a report, by branch; none where they are no rows."""
    rows = report.get("rows")
    are_rows = isinstance(rows, list) and all(isinstance(one, dict) and "branch" in one for one in rows)
    return sorted(rows, key=lambda one: str(one["branch"])) if are_rows else []


def branches(run: str, count: int) -> list[str]:
    """Names of `count` branches."""
    return [f"{run}-b{number}" for number in range(count)]


def calls(stub: HttpStub, key: str) -> int:
    """How often a key was called: a branch, or `report-DAY`, `books-DAY`, `alarm-DAY` of the head office."""
    return len(stub.calls(key).get(key, []))


def slots(worker: WorkerClient) -> dict[str, int]:
    """Processes of each worker's pool, as they are now."""
    found = {}
    for name, stats in worker.stats().items():
        pool = stats["pool"]
        found[name] = len(pool["processes"]) if isinstance(pool.get("processes"), list) else int(pool["max-concurrency"])
    return found


def worker_hosts(stack: Stack) -> list[str]:
    """Names of the hosts with workers."""
    return sorted(name for name, host in stack.hosts.items() if host["group"] == "worker")


def all_ready(stack: Stack, worker: WorkerClient) -> dict[str, int]:
    """Slots of each worker, once every worker host has one that answers."""
    wanted = set(worker_hosts(stack))
    found: dict[str, int] = {}

    def ready() -> bool:
        found.clear()
        found.update(slots(worker))
        return wanted <= {name.rpartition("@")[2] for name in found}

    wait_for(
        ready,
        READY_SECONDS,
        expected=f"a worker on each of {', '.join(sorted(wanted))}",
        observed=lambda: f"{', '.join(sorted(found)) or 'nobody'} answers",
        look="celerylab status 14",
    )
    return found


def busiest(worker: WorkerClient) -> str:
    """Host of the worker that runs the most tasks now; empty where nobody runs any."""
    with broker_errors():
        active = worker.app.control.inspect(timeout=0.5).active() or {}
    name, tasks = max(active.items(), key=lambda item: len(item[1]), default=("", []))
    return name.rpartition("@")[2] if tasks else ""


def until_idle(stack: Stack, worker: WorkerClient) -> None:
    """Returns once no message waits and none is being worked on, so that nothing more can come; or after a while, whatever there is."""
    deadline = time.monotonic() + IDLE_SECONDS
    queues = {queue["name"] for found in worker.active_queues().values() for queue in found} | {"celery"}
    while time.monotonic() < deadline:
        with broker_errors(), redis_client(stack.broker_url()) as client:
            left = sum(int(client.llen(queue)) for queue in queues) + int(client.hlen("unacked"))  # type: ignore[arg-type]
        if left == 0:
            return
        time.sleep(0.2)


def chord_keys(stack: Stack) -> dict[str, int]:
    """What chords keep in the result store now, with seconds to live; -1 means for ever."""
    with broker_errors(), redis_client(stack.broker_url(kind="result_url")) as client:
        found = {key: int(client.ttl(key)) for key in client.scan_iter("*celery-taskset-meta-*", count=500)}  # type: ignore[arg-type]
    return {key: seconds for key, seconds in found.items() if seconds != -2}  # -2: it went while we looked


@contextmanager
def one_slot(worker: WorkerClient) -> Iterator[None]:
    """Inside the block the only worker that is up has one slot. Raises NotObservedError where it keeps more.

    One process goes at a time, and the next one when it has gone: a worker that is asked twice forgets a slot that it still has.
    """
    whole = _only_worker(worker)
    left = whole
    deadline = time.monotonic() + READY_SECONDS
    try:
        while left > 1 and time.monotonic() < deadline:
            replies = worker.app.control.broadcast("pool_shrink", arguments={"n": 1}, reply=True, timeout=2.0, limit=1)
            if any("error" in answer for reply in replies or [] for answer in reply.values()):
                time.sleep(0.3)  # none is idle
                continue
            left -= 1
            while _only_worker(worker) > left and time.monotonic() < deadline:
                time.sleep(0.2)
        kept = _only_worker(worker)
        if kept != 1:
            raise NotObservedError(f"the pool of {', '.join(slots(worker))} cannot be made smaller: it keeps {kept} slots")
        yield
    finally:
        worker.app.control.broadcast("pool_grow", arguments={"n": whole - left}, reply=True, timeout=2.0, limit=1)


def _only_worker(worker: WorkerClient) -> int:
    """Slots of the only worker that is up. Raises NotObservedError where none, or more than one, answers."""
    deadline = time.monotonic() + READY_SECONDS
    while len(found := slots(worker)) != 1:
        if time.monotonic() > deadline:
            raise NotObservedError(f"one worker was to be left, and {', '.join(sorted(found)) or 'nobody'} answers")
    return sum(found.values())
