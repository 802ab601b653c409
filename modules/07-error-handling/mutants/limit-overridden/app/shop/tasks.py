"""The shop's tasks. The web shop calls them by these names: keep the names."""

import random

from celery.utils.log import get_task_logger

from shop import provider
from shop.celery import app

logger = get_task_logger(__name__)


@app.task(name="payments.charge", bind=True, max_retries=3)
def charge(self, order_id, cents):
    """Charge a customer for an order. Raises provider.Refused, or provider.Unavailable after the last attempt."""
    try:
        answer = provider.charge(order_id, cents)
    except provider.Unavailable as error:
        longest = min(4, 2 * 2**self.request.retries)
        raise self.retry(exc=error, countdown=random.uniform(0, longest), max_retries=5)
    logger.info("order %s: charged %s cents at attempt %s", order_id, cents, self.request.retries + 1)
    return {"order_id": order_id, "status": answer["status"]}
