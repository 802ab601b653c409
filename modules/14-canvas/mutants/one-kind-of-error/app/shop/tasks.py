"""Tasks about branches. None of them waits for another one: what comes next is said in workflows.py."""

from shop import branches
from shop.celery import app


@app.task(name="branches.fetch")
def fetch(branch):
    """What a branch has sold, receipt by receipt. Raises branches.BranchError where it does not deliver."""
    return {"branch": branch, "amounts": branches.receipts(branch)}


@app.task(name="branches.try_fetch")
def try_fetch(branch):
    """The same for a report that can do without a branch: the error is a value, and goes along with the others."""
    try:
        return {"branch": branch, "amounts": branches.receipts(branch)}
    except branches.Unavailable as error:
        return {"branch": branch, "error": str(error)}


@app.task(name="branches.add_up")
def add_up(sold):
    """One row of the report: a branch, its number of receipts, and their sum in cents. An error is passed on."""
    if "error" in sold:
        return sold
    return {"branch": sold["branch"], "receipts": len(sold["amounts"]), "cents": sum(sold["amounts"])}
