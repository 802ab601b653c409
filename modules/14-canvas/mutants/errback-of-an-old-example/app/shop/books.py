"""Tasks that close the books of a day."""

from celery.result import AsyncResult
from celery.utils.log import get_task_logger

from shop import branches
from shop.celery import app

logger = get_task_logger(__name__)


@app.task(name="books.close")
def close(rows, day):
    """Close the books of a day. Only for a day of which every branch has delivered."""
    totals = {"branches": len(rows), "cents": sum(row["cents"] for row in rows)}
    branches.close_books(day, totals)
    return {"day": day, **totals}


@app.task(name="books.alarm")
def alarm(task_id, day):
    """Say that the books of a day could not be closed, and why."""
    logger.error("books of %s: %r", day, AsyncResult(task_id).get(propagate=False))
    branches.raise_alarm(day)
