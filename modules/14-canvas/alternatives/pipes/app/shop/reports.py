"""The task that makes the report of a day."""

from shop import branches
from shop.celery import app


@app.task(name="reports.publish")
def publish(found, day):
    """Add up what there is, and hand the report to the head office."""
    rows = [one["row"] for one in found if "row" in one]
    summary = {"rows": rows, "errors": [one["error"] for one in found if "error" in one], "cents": sum(row["cents"] for row in rows)}
    branches.file_report(day, summary)
    return {"day": day, **summary}
