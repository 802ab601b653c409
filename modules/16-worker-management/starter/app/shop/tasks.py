"""The shop's tasks. The web shop calls them by these names: keep the names. The longest of all tasks takes 10 s."""

import time

from shop.celery import app


@app.task(name="thumbnails.make")
def make(picture, seconds=1.0):
    """Makes a small picture of a large one. Nearly all of the time it waits for the storage, so it needs a process and hardly any processor."""
    time.sleep(seconds)
    return f"small-{picture}"
