"""Tasks about branches. None of them waits for another one: what comes next is said in workflows.py."""

from celery.utils.log import get_task_logger

from shop import branches
from shop.celery import app

logger = get_task_logger(__name__)


@app.task(name="branches.fetch")
def fetch(branch):
    """What a branch has sold, receipt by receipt. Raises branches.BranchError where it does not deliver."""
    return {"branch": branch, "amounts": branches.receipts(branch)}


@app.task(name="branches.add_up")
def add_up(sold):
    """One row of the report: a branch, its number of receipts, and their sum in cents."""
    return {"branch": sold["branch"], "receipts": len(sold["amounts"]), "cents": sum(sold["amounts"])}


@app.task(name="branches.row")
def row(branch):
    """A branch's row in one step, or what kept it from us. Called as functions, tasks are functions: nothing is sent."""
    try:
        return {"row": add_up(fetch(branch))}
    except branches.BranchError as error:
        logger.warning("the report goes without %s: %s", branch, error)
        return {"error": {"branch": branch, "error": str(error)}}
