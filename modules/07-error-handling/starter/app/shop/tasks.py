"""The shop's tasks. The web shop calls them by these names: keep the names."""

from celery.utils.log import get_task_logger

from shop import provider
from shop.celery import app

logger = get_task_logger(__name__)


@app.task(name="payments.charge", bind=True, max_retries=None)
def charge(self, order_id, cents):
    """Charge a customer for an order. The provider has bad days, so try until it works."""
    try:
        answer = provider.charge(order_id, cents)
    except:
        logger.warning("charging did not work, trying again")
        raise self.retry(countdown=1)
    return {"order_id": order_id, "status": answer["status"]}
