"""Tasks that make the report of a day."""

from shop import branches
from shop.celery import app
from shop.tasks import WAIT_SECONDS, collect


@app.task(name="reports.report")
def report(day, names):
    """The report of a day, with a row for each branch."""
    rows = collect.delay(names).get(timeout=WAIT_SECONDS, disable_sync_subtasks=False)
    summary = {"rows": rows, "errors": [], "cents": sum(row["cents"] for row in rows)}
    branches.file_report(day, summary)
    return {"day": day, **summary}
