"""The shop's tasks. The web shop calls them by these names: keep the names. The longest of all tasks takes 120 s."""

import time

from shop.celery import app


@app.task(name="orders.resize")
def resize(picture, seconds=1.0):
    """Makes a small picture of a large one. Nearly all of the time it waits for the storage, so it needs a process and hardly any processor."""
    time.sleep(seconds)
    return f"small-{picture}"


@app.task(name="orders.price")
def price(order, seconds=1.0):
    """Works out what an order costs. It takes so many seconds of a processor, and waits for nothing."""
    enough = time.process_time() + seconds
    while time.process_time() < enough:
        pass
    return f"price-of-{order}"
