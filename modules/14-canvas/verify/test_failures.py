"""14.2 and 14.4: a header that fails, and a worker that dies in the middle of one."""

import time

from celery.states import FAILURE, SUCCESS
from workflows import LOOK, Office, all_ready, branches, busiest, calls, ended, mapping, row, rows_of, until_idle

from celerylab.verify.expect import NotObservedError, expect, wait_for
from celerylab.verify.faults import process_killed
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.http_stub import Behaviour, HttpStub
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WORKER_UNIT, WorkerClient

LOOK_STUB = "celerylab shell 14 stub-1 -- http-stub calls"
FAILED_SECONDS = 10
TOLD_SECONDS = 10
SLOW_BRANCH, SLOW_OFFICE = 5, 5  # seconds: there is time to kill a worker meanwhile; the client gives up after 8
RUNNING_SECONDS = 15
RECOVERED_SECONDS = 40


@objective("14.2")
def test_books_are_closed_once_on_a_good_day_and_never_on_a_bad_one(
    office: Office, stub: HttpStub, worker: WorkerClient, stack: Stack, run: str
) -> None:
    good, bad = f"{run}-good", f"{run}-bad"
    fine = ended(worker, office.start(worker, "close", good, branches(good, 5)), FAILED_SECONDS, "close of a good day")
    expect(
        fine.state == SUCCESS and calls(stub, f"books-{good}") == 1,
        observed=f"on a good day, close ended {fine.state} and the head office was asked {calls(stub, f'books-{good}')} times",
        expected="SUCCESS, and once (else its silence on a bad day would mean nothing)",
        look=LOOK_STUB,
        state=fine.state,
    )
    names = branches(bad, 5)
    stub.behave([names[1]], Behaviour(status=503))
    stub.behave([names[3]], Behaviour(status=404))
    started = time.monotonic()
    books = office.start(worker, "close", bad, names)
    failed = ended(worker, books, FAILED_SECONDS, "with two of five branches failing, close", bad_state="PENDING")
    seconds = time.monotonic() - started
    expect(
        failed.state == FAILURE,
        observed=f"with two of five branches failing, close ended {failed.state} after {seconds:.1f} s with {failed.result!r}"[:400],
        expected=f"FAILURE within {FAILED_SECONDS} s",
        look=LOOK,
        bad_state=failed.state,
        closed=calls(stub, f"books-{bad}"),
    )
    wait_for(
        lambda: calls(stub, f"alarm-{bad}"),
        TOLD_SECONDS,
        expected="an alarm at the head office",
        observed="the chord has failed and no alarm was raised",
        look=LOOK_STUB,
        alarms=0,
    )
    until_idle(stack, worker)
    alarms, closed = calls(stub, f"alarm-{bad}"), calls(stub, f"books-{bad}")
    expect(
        alarms == 1 and closed == 0 and calls(stub, f"alarm-{good}") == 0,
        observed=f"{alarms} alarms for the bad day and {calls(stub, f'alarm-{good}')} for the good one; "
        f"the books of the bad day were closed {closed} times",
        expected="one alarm for the bad day, and its books left open",
        look=LOOK_STUB,
        alarms=alarms,
        closed=closed,
    )


@objective("14.4")
def test_a_worker_is_killed_under_a_header_and_the_body_runs_once(
    office: Office, stub: HttpStub, worker: WorkerClient, stack: Stack, hosts: dict[str, ObservedHost], run: str
) -> None:
    all_ready(stack, worker)
    names, key = branches(run, 8), f"report-{run}"
    stub.behave(names, Behaviour(delay=SLOW_BRANCH))
    stub.behave([key], Behaviour(delay=SLOW_OFFICE))
    report = office.start(worker, "report", run, names)
    victim = hosts[
        wait_for(
            lambda: busiest(worker),
            RUNNING_SECONDS,
            expected="a worker that runs a task of the header",
            observed="nobody runs one",
            look=LOOK,
        )
    ]
    with process_killed(victim, victim.main_pid(WORKER_UNIT), WORKER_UNIT):
        deadline = time.monotonic() + RECOVERED_SECONDS
        while time.monotonic() < deadline and not calls(stub, key):
            time.sleep(0.2)
        again = sum(calls(stub, name) > 1 for name in names)
        expect(
            calls(stub, key),
            observed=f"the worker of {victim.name} was killed, and {again} of {len(names)} branches were asked once more; "
            f"after {RECOVERED_SECONDS} s the report is {worker.state(report)} and was not filed",
            expected=f"that the report is filed within {RECOVERED_SECONDS} s all the same",
            look=LOOK,
            filed=0,
            again=again,
        )
    until_idle(stack, worker)
    filed, again = calls(stub, key), sum(calls(stub, name) > 1 for name in names)
    expect(
        filed == 1,
        observed=f"after a worker was killed under the header, the report was filed {filed} times",
        expected="once: the body of a chord runs once, and its message is given away once",
        look=LOOK_STUB,
        filed=filed,
        again=again,
    )
    outcome = ended(worker, report, RUNNING_SECONDS, "the report, which has been filed,")
    expect(
        outcome.state == SUCCESS and rows_of(mapping(outcome)) == [row(name) for name in names],
        observed=f"the report ended {outcome.state} with {outcome.result!r}"[:400],
        expected="SUCCESS with the rows of all eight branches",
        look=LOOK,
        filed=filed,
    )
    if not again:
        raise NotObservedError("no branch was asked twice: the worker that was killed ran nothing, so nothing was seen")
