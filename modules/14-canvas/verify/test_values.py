"""14.1 and 14.3: what chains, groups and chords give, how long a group takes, and a report without two of its branches."""

import json
from typing import Any

from celery.states import SUCCESS
from workflows import LOOK, Office, all_ready, branches, calls, ended, mapping, row, rows_of

from celerylab.verify.expect import expect, wait_for
from celerylab.verify.http_stub import Behaviour, HttpStub
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

SLOTS = 8
SLOW = 0.8  # seconds that a branch takes
STEP_SECONDS = 10  # what one chain, or one group, may take at most: eight slow branches and some
SHARE = 0.25
DONE_SECONDS = 15
FILED_SECONDS = 5


@objective("14.1")
def test_a_group_of_eight_takes_a_quarter_of_the_time_of_eight_chains(
    office: Office, stub: HttpStub, worker: WorkerClient, stack: Stack, run: str
) -> None:
    there = all_ready(stack, worker)
    expect(
        sum(there.values()) >= SLOTS,
        observed=" and ".join(f"{count} processes of {name}" for name, count in sorted(there.items())),
        expected=f"{SLOTS} slots or more, else a group of {SLOTS} cannot run at once",
        look="celerylab shell 14 worker-1 -- systemctl status celery@default",
        slots=sum(there.values()),
    )
    names = branches(run, SLOTS)
    stub.behave(names, Behaviour(delay=SLOW))
    race = office.race(branches(f"{run}-warm", SLOTS), names, STEP_SECONDS)
    golden = [row(name) for name in names]
    for what, found in (("chains", race.chains), ("a group", race.group)):
        expect(
            found == golden,
            observed=f"{what} of {SLOTS} branches gave {json.dumps(found)[:300]}",
            expected=f"the branches' rows, in their order, such as {json.dumps(golden[0])}",
            look=LOOK,
            right_values=found == golden,
        )
    with worker.timing():
        expect(
            race.together <= SHARE * race.apart,
            observed=f"{SLOTS} branches took {race.apart:.1f} s one after the other and {race.together:.1f} s as a group: "
            f"{race.together / race.apart:.0%}",
            expected=f"at most {SHARE:.0%} of it on {SLOTS} slots",
            look="celerylab hint 14.1",
            share=round(race.together / race.apart, 2),
        )


@objective("14.1")
def test_chords_give_the_right_values(office: Office, worker: WorkerClient, run: str) -> None:
    names = branches(run, 3)
    cents = sum(row(name)["cents"] for name in names)
    report = ended(worker, office.start(worker, "report", run, names), DONE_SECONDS, "the report of three healthy branches")
    found = mapping(report)
    expect(
        report.state == SUCCESS
        and rows_of(found) == [row(name) for name in names]
        and found.get("cents") == cents
        and not found.get("errors"),
        observed=f"the report of three healthy branches ended {report.state} with {report.result!r}"[:400],
        expected=f"SUCCESS with their three rows, no errors, and {cents} cents",
        look=LOOK,
        right_values=False,
    )
    books = ended(worker, office.start(worker, "close", run, names), DONE_SECONDS, "close of three healthy branches")
    expect(
        books.state == SUCCESS and books.result == {"day": run, "branches": 3, "cents": cents},
        observed=f"the books of three healthy branches ended {books.state} with {books.result!r}"[:400],
        expected=f"SUCCESS with 3 branches and {cents} cents",
        look=LOOK,
        right_values=False,
    )


@objective("14.3")
def test_a_report_without_two_branches_says_so(office: Office, stub: HttpStub, worker: WorkerClient, run: str) -> None:
    names = branches(run, 10)
    down, unknown = names[2], names[7]
    stub.behave([down], Behaviour(status=503))
    stub.behave([unknown], Behaviour(status=404))
    good = [name for name in names if name not in (down, unknown)]
    report = ended(worker, office.start(worker, "report", run, names), DONE_SECONDS, "with two of ten branches failing, the report")
    found = mapping(report)
    rows, errors = rows_of(found), _errors(found)
    facts = {"state": report.state, "rows": len(rows), "errors": len(errors)}
    expect(
        report.state == SUCCESS,
        observed=f"with two of ten branches failing, the report ended {report.state} with {report.result!r}"[:400],
        expected="SUCCESS: a report of the others",
        look=LOOK,
        **facts,
    )
    expect(
        rows == [row(name) for name in good],
        observed=f"a report with {len(rows)} rows: {json.dumps(rows)[:300]}",
        expected=f"the 8 rows of the branches that have delivered, such as {json.dumps(row(good[0]))}",
        look=LOOK,
        **facts,
    )
    expect(
        sorted(error["branch"] for error in errors) == sorted([down, unknown]) and errors and all(error["error"] for error in errors),
        observed=f"{len(errors)} errors in the report: {json.dumps(found.get('errors'))[:300]}",
        expected=f'two of the form {{"branch": ..., "error": ...}}: {down} answered 503 and {unknown} 404',
        look=LOOK,
        **facts,
    )
    expect(
        found.get("cents") == sum(row(name)["cents"] for name in good),
        observed=f"a sum of {found.get('cents')} cents",
        expected="the sum of the rows",
        look=LOOK,
        **facts,
    )
    wait_for(
        lambda: calls(stub, f"report-{run}") == 1,
        FILED_SECONDS,
        expected="that the head office got the report, once",
        observed=lambda: f"it got it {calls(stub, f'report-{run}')} times",
        look="celerylab shell 14 stub-1 -- http-stub calls report-",
        **facts,
    )


def _errors(report: dict[str, Any]) -> list[dict[str, Any]]:
    errors = report.get("errors")
    return [one for one in errors if isinstance(one, dict) and {"branch", "error"} <= one.keys()] if isinstance(errors, list) else []
