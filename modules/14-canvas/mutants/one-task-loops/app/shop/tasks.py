"""The shop's tasks. None of them waits for another one: what comes next is said in workflows.py."""

from shop import branches
from shop.celery import app


@app.task(name="reports.fetch")
def fetch(branch):
    """What a branch has sold, receipt by receipt. Raises branches.BranchError where it does not deliver."""
    return {"branch": branch, "amounts": branches.receipts(branch)}


@app.task(name="reports.try_fetch")
def try_fetch(branch):
    """The same for a report that can do without a branch: the error is a value, and goes along with the others."""
    try:
        return {"branch": branch, "amounts": branches.receipts(branch)}
    except branches.BranchError as error:
        return {"branch": branch, "error": str(error)}


@app.task(name="reports.add_up")
def add_up(sold):
    """One row of the report: a branch, its number of receipts, and their sum in cents. An error is passed on."""
    if "error" in sold:
        return sold
    return {"branch": sold["branch"], "receipts": len(sold["amounts"]), "cents": sum(sold["amounts"])}


@app.task(name="reports.collect")
def collect(names):
    """A row for each branch."""
    return [add_up(fetch(name)) for name in names]


@app.task(name="reports.total")
def total(rows):
    """Rows and errors apart, and the sum of what is there."""
    good = [row for row in rows if "error" not in row]
    return {"rows": good, "errors": [row for row in rows if "error" in row], "cents": sum(row["cents"] for row in good)}


@app.task(name="reports.publish")
def publish(summary, day):
    """Hand the report to the head office."""
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
