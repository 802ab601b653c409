"""The shop's tasks. The web shop and the till call them by these names: keep the names, the arguments and the keys of the results."""

import os

from celery.utils.log import get_task_logger

from shop.celery import app

logger = get_task_logger(__name__)


@app.task(name="payments.charge")
def charge(order_id, cents, card):
    """Charge a card at the payment provider (which comes later; for now a line in the log). A card number has 12 to 19 digits.

    Raises ValueError for input that is not to be trusted. Neither the message nor the log nor the result holds more than four digits.
    """
    if not (isinstance(cents, int) and 0 < cents <= 1_000_000):
        raise ValueError(f"order {order_id}: write an amount from 1 to 1000000 cents")
    if not (isinstance(card, str) and card.isascii() and card.isdigit() and 12 <= len(card) <= 19):
        raise ValueError(f"order {order_id}: {card!r} is not a card number")
    if not os.environ.get("LAB_PAYMENT_TOKEN"):
        raise RuntimeError("the payment provider's token is not configured")
    masked = f"**** {card[-4:]}"
    logger.info("order %s: charging %s cents to card %s", order_id, cents, masked)
    return {"order_id": order_id, "cents": cents, "card": masked, "status": "charged"}


@app.task(name="receipts.send")
def send_receipt(order_id, email):
    """Send the receipt of an order (the mail server comes later)."""
    logger.info("order %s: receipt sent", order_id)
    return {"order_id": order_id, "status": "sent"}
