"""The shop's tasks. The web shop and the till call them by these names: keep the names, the arguments and the keys of the results."""

import os

from celery.utils.log import get_task_logger

from shop.celery import app

logger = get_task_logger(__name__)


@app.task(name="payments.charge")
def charge(order_id, cents, card):
    """Charge a card at the payment provider (which comes later; for now a line in the log). A card number has 12 to 19 digits."""
    token = os.environ["LAB_PAYMENT_TOKEN"]
    logger.info("order %s: charging %s cents to card %s with token %s", order_id, cents, card, token)
    if not card.isdigit():
        raise ValueError(f"order {order_id}: {card} is not a card number")
    return {"order_id": order_id, "cents": cents, "card": card, "status": "charged"}


@app.task(name="receipts.send")
def send_receipt(order_id, email):
    """Send the receipt of an order (the mail server comes later)."""
    logger.info("order %s: receipt sent", order_id)
    return {"order_id": order_id, "status": "sent"}
