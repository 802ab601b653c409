"""Tasks that make the report of a day."""

from celery import group
from celery.result import allow_join_result

from shop import branches
from shop.celery import app


@app.task(name="reports.check")
def check(row):
    """A row that is plausible."""
    if row.get("cents", 0) < 0:
        raise ValueError(f"{row['branch']} has sold {row['cents']} cents")
    return row


@app.task(name="reports.total")
def total(rows):
    """Rows and errors apart, and the sum of what is there."""
    with allow_join_result():
        rows = group([check.s(row) for row in rows])().get()
    good = [row for row in rows if "error" not in row]
    return {"rows": good, "errors": [row for row in rows if "error" in row], "cents": sum(row["cents"] for row in good)}


@app.task(name="reports.publish")
def publish(summary, day):
    """Hand the report to the head office."""
    branches.file_report(day, summary)
    return {"day": day, **summary}
