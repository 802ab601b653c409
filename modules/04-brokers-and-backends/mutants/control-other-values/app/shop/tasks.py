"""The shop's tasks. The longest of them, a monthly report, takes 8 seconds."""

import time

from shop.celery import app


@app.task(name="orders.register")
def register_order(order_id, total_cents):
    """Enter an order into the books."""
    return {"order_id": order_id, "total_cents": total_cents}


@app.task(name="reports.monthly")
def monthly_report(month):
    """The report of a month. It really takes as long as this."""
    time.sleep(8)
    return {"month": month, "pages": 13}
