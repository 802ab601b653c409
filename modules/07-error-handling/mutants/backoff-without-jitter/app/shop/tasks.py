"""The shop's tasks. The web shop calls them by these names: keep the names."""

from celery.utils.log import get_task_logger

from shop import provider
from shop.celery import app

logger = get_task_logger(__name__)


@app.task(
    name="payments.charge",
    bind=True,
    autoretry_for=(provider.Unavailable,),  # and nothing else: a refusal stays one
    max_retries=3,
    retry_backoff=2,  # at most 2 s, 4 s, 4 s ...
    retry_backoff_max=4,
    retry_jitter=False,
)
def charge(self, order_id, cents):
    """Charge a customer for an order. Raises provider.Refused, or provider.Unavailable after the last attempt."""
    answer = provider.charge(order_id, cents)
    logger.info("order %s: charged %s cents at attempt %s", order_id, cents, self.request.retries + 1)
    return {"order_id": order_id, "status": answer["status"]}
