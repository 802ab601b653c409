"""Tasks that close the books of a day."""

from shop import branches
from shop.celery import app


@app.task(name="books.close")
def close(rows, day):
    """Close the books of a day. Only for a day of which every branch has delivered."""
    totals = {"branches": len(rows), "cents": sum(row["cents"] for row in rows)}
    branches.close_books(day, totals)
    return {"day": day, **totals}


@app.task(name="books.alarm")
def alarm(day):
    """Say that the books of a day could not be closed."""
    branches.raise_alarm(day)
