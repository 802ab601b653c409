"""14.5 and 14.6: a workflow on a single slot, and what chords leave in the result store."""

import time
from contextlib import ExitStack

from celery.states import READY_STATES, SUCCESS
from workflows import LOOK, Office, all_ready, branches, chord_keys, ended, mapping, one_slot, row, until_idle, worker_hosts

from celerylab.verify.expect import NotAsExpectedError, NotObservedError, expect, wait_for
from celerylab.verify.faults import unit_stopped
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.http_stub import Behaviour, HttpStub
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WORKER_UNIT, WorkerClient

ALONE_SECONDS = 15  # eight short tasks, one after the other, take two or three
LONG_BRANCH = 3  # seconds that a chord is in flight
SEEN_SECONDS = 12
LOOK_KEYS = "celerylab hint 14.6"


@objective("14.5")
def test_a_whole_workflow_needs_no_more_than_one_slot(
    office: Office, worker: WorkerClient, stack: Stack, hosts: dict[str, ObservedHost], run: str
) -> None:
    all_ready(stack, worker)
    until_idle(stack, worker)  # else what others have left takes the only slot
    names = branches(run, 3)
    with ExitStack() as others:
        for name in worker_hosts(stack)[1:]:
            others.enter_context(unit_stopped(hosts[name], WORKER_UNIT))
        others.enter_context(one_slot(worker))
        try:
            echo = worker.outcome(worker.send("celerylab_probe.echo", run), ALONE_SECONDS, LOOK)
        except NotAsExpectedError as failure:
            raise NotObservedError(f"on one slot not even an echo came back: {failure.observed}") from None
        expect(echo.state == SUCCESS, observed=f"on one slot, an echo ended {echo.state}", expected="SUCCESS", look=LOOK)
        report = ended(worker, office.start(worker, "report", run, names), ALONE_SECONDS, "on one slot, the report")
        expect(
            report.state == SUCCESS and mapping(report).get("cents") == sum(row(name)["cents"] for name in names),
            observed=f"on one slot, the report ended {report.state} with {report.result!r}"[:400],
            expected="SUCCESS with the sum of three branches: no task waits for another one",
            look=LOOK,
            state=report.state,
        )


@objective("14.6")
def test_what_a_chord_keeps_has_an_end(office: Office, stub: HttpStub, worker: WorkerClient, stack: Stack, run: str) -> None:
    all_ready(stack, worker)
    settings = next(iter(worker.conf().values()))
    before = set(chord_keys(stack))  # what an earlier deployment has left for ever is not this one's
    names = branches(run, 4)
    stub.behave(names[:1], Behaviour(delay=LONG_BRANCH))
    stub.behave(names[1:2], Behaviour(status=503))  # a chord that fails keeps its keys
    books = office.start(worker, "close", run, names)
    seen: dict[str, int] = {}

    def in_flight() -> bool:
        seen.update({key: seconds for key, seconds in chord_keys(stack).items() if key not in before})
        return any(key.endswith((".s", ".j")) for key in seen)

    wait_for(
        in_flight,
        SEEN_SECONDS,
        expected="keys of a chord (celery-taskset-meta-...) in the result store while it is in flight",
        observed="none was seen",
        look=LOOK_KEYS,
        every=0.05,
        chord_keys=0,
    )
    deadline = time.monotonic() + SEEN_SECONDS
    while time.monotonic() < deadline and worker.state(books) not in READY_STATES:
        in_flight()
        time.sleep(0.1)
    in_flight()
    for_ever = sorted(key for key, seconds in seen.items() if seconds < 0)
    expect(
        seen and not for_ever,
        observed=f"{len(for_ever)} of {len(seen)} keys of a chord never expire, such as {(for_ever or ['none'])[0]}; "
        f"result_expires is {settings.get('result_expires')}, result_chord_expires {settings.get('result_chord_expires')}",
        expected="a time to live on each of them",
        look=LOOK_KEYS,
        chord_keys=len(seen),
        for_ever=len(for_ever),
        result_expires=str(settings.get("result_expires")),
    )
