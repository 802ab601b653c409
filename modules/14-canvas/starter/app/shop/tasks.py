"""Tasks about branches."""

from shop import branches
from shop.celery import app

WAIT_SECONDS = 20


@app.task(name="branches.fetch", ignore_result=True)
def fetch(branch):
    """What a branch has sold, receipt by receipt. Nobody reads this result: the next step gets it anyway."""
    return {"branch": branch, "amounts": branches.receipts(branch)}


@app.task(name="branches.add_up")
def add_up(sold):
    """One row of the report: a branch, its number of receipts, and their sum in cents."""
    return {"branch": sold["branch"], "receipts": len(sold["amounts"]), "cents": sum(sold["amounts"])}


@app.task(name="branches.collect")
def collect(names):
    """A row for each branch. Celery refuses get() inside a task, unless one insists."""
    return [(fetch.s(name) | add_up.s())().get(timeout=WAIT_SECONDS, disable_sync_subtasks=False) for name in names]
