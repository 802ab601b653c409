"""The shop's tasks."""

from shop import branches
from shop.celery import app

WAIT_SECONDS = 20


@app.task(name="reports.fetch", ignore_result=True)
def fetch(branch):
    """What a branch has sold, receipt by receipt. Nobody reads this result: the next step gets it anyway."""
    return {"branch": branch, "amounts": branches.receipts(branch)}


@app.task(name="reports.add_up")
def add_up(sold):
    """One row of the report: a branch, its number of receipts, and their sum in cents."""
    return {"branch": sold["branch"], "receipts": len(sold["amounts"]), "cents": sum(sold["amounts"])}


@app.task(name="reports.collect")
def collect(names):
    """A row for each branch. Celery refuses get() inside a task, unless one insists."""
    return [(fetch.s(name) | add_up.s())().get(timeout=WAIT_SECONDS, disable_sync_subtasks=False) for name in names]


@app.task(name="reports.report")
def report(day, names):
    """The report of a day, with a row for each branch."""
    rows = collect.delay(names).get(timeout=WAIT_SECONDS, disable_sync_subtasks=False)
    summary = {"rows": rows, "errors": [], "cents": sum(row["cents"] for row in rows)}
    branches.file_report(day, summary)
    return {"day": day, **summary}


@app.task(name="reports.close")
def close(rows, day):
    """Close the books of a day. Only for a day of which every branch has delivered."""
    totals = {"branches": len(rows), "cents": sum(row["cents"] for row in rows)}
    branches.close_books(day, totals)
    return {"day": day, **totals}


@app.task(name="reports.alarm")
def alarm(day):
    """Say that the books of a day could not be closed."""
    branches.raise_alarm(day)
