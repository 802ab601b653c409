"""The shop's tasks. None of them waits for another one: what comes next is said in workflows.py."""

from celery.utils.log import get_task_logger

from shop import branches
from shop.celery import app

logger = get_task_logger(__name__)


@app.task(name="reports.fetch")
def fetch(branch):
    """What a branch has sold, receipt by receipt. Raises branches.BranchError where it does not deliver."""
    return {"branch": branch, "amounts": branches.receipts(branch)}


@app.task(name="reports.add_up")
def add_up(sold):
    """One row of the report: a branch, its number of receipts, and their sum in cents."""
    return {"branch": sold["branch"], "receipts": len(sold["amounts"]), "cents": sum(sold["amounts"])}


@app.task(name="reports.row")
def row(branch):
    """A branch's row in one step, or what kept it from us. Called as functions, tasks are functions: nothing is sent."""
    try:
        return {"row": add_up(fetch(branch))}
    except branches.BranchError as error:
        logger.warning("the report goes without %s: %s", branch, error)
        return {"error": {"branch": branch, "error": str(error)}}


@app.task(name="reports.publish")
def publish(found, day):
    """Add up what there is, and hand the report to the head office."""
    rows = [one["row"] for one in found if "row" in one]
    summary = {"rows": rows, "errors": [one["error"] for one in found if "error" in one], "cents": sum(row["cents"] for row in rows)}
    branches.file_report(day, summary)
    return {"day": day, **summary}


@app.task(name="reports.close")
def close(rows, day):
    """Close the books of a day. Only for a day of which every branch has delivered."""
    totals = {"branches": len(rows), "cents": sum(row["cents"] for row in rows)}
    branches.close_books(day, totals)
    return {"day": day, **totals}


@app.task(name="reports.alarm")
def alarm(request, exception, traceback, day):
    """Say that the books of a day could not be closed. Celery calls this in the process that noticed."""
    logger.error("the books of %s are open: %s", day, exception)
    branches.raise_alarm(day)
