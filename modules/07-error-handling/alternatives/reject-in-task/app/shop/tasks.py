"""The shop's tasks. The web shop calls them by these names: keep the names."""

import random

from celery.exceptions import Reject
from celery.utils.log import get_task_logger

from shop import provider
from shop.celery import app

logger = get_task_logger(__name__)
LONGEST_WAIT = 4  # seconds


@app.task(name="payments.charge", bind=True, max_retries=4)
def charge(self, order_id, cents):
    """Charge a customer for an order. What cannot be charged is rejected: RabbitMQ keeps its message in shop.dead, the result is FAILURE."""
    try:
        answer = provider.charge(order_id, cents)
    except provider.Refused as error:
        raise Reject(str(error), requeue=False) from error
    except provider.Unavailable as error:
        if self.request.retries >= self.max_retries:
            raise Reject(f"{error}, {self.request.retries + 1} times", requeue=False) from error
        # Between half of the backoff and all of it: no two charges come back at the same moment, and none at once.
        backoff = min(LONGEST_WAIT, 2**self.request.retries)
        raise self.retry(exc=error, countdown=random.uniform(backoff / 2, backoff)) from error
    return {"order_id": order_id, "status": answer["status"]}
