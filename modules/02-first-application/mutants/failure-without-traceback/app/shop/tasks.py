"""The shop's tasks. The web shop, the till and the nightly job call them by these names: keep the names."""

from celery.exceptions import Ignore
from celery.states import FAILURE
from celery.utils.log import get_task_logger

from shop.celery import app

logger = get_task_logger(__name__)


@app.task(name="receipts.send")
def send_receipt(order_id, email):
    """Send the receipt of an order (the mail server comes later; for now a line in the log)."""
    logger.info("receipt for order %s goes to %s", order_id, email)
    return {"order_id": order_id, "email": email, "status": "sent"}


@app.task(name="bills.split", bind=True)
def split_bill(self, total_cents, people):
    """Share a bill. Returns the cents each person pays; who comes first pays the odd cents.

    Raises ValueError without people: the task is then FAILURE, and the caller learns why.
    """
    if people < 1:
        self.update_state(state=FAILURE, meta={"exc_type": "ValueError", "exc_message": ["nobody to pay"], "exc_module": "builtins"})
        raise Ignore
    share, odd_cents = divmod(total_cents, people)
    return [share + 1] * odd_cents + [share] * (people - odd_cents)


@app.task(name="reports.summarise")
def summarise(amounts):
    """Count, total and mean of the day's amounts, in cents."""
    count = len(amounts)
    total = sum(amounts)
    return {"count": count, "total": total, "mean": total / count if count else 0}
