"""The shop's tasks."""

import os

from redis import Redis

from shop import world
from shop.celery import app

SYNC_LOCK = "shop:stock-sync"
SYNC_LOCK_SECONDS = 120

store = Redis.from_url(os.environ["LAB_SCHEDULE_URL"])


@app.task(name="tills.check")
def check_tills():
    """Are all tills well?"""
    world.check_tills()


@app.task(name="stock.count")
def count_stock():
    """What is on the shelves?"""
    world.count_stock()


@app.task(name="stock.sync")
def sync_stock():
    """Order what is missing. Never twice at the same time: who comes while another one runs goes away again."""
    lock = store.lock(SYNC_LOCK, timeout=SYNC_LOCK_SECONDS)
    if not lock.acquire(blocking=False):
        return "another one runs"
    world.sync_stock()
    return "done"


@app.task(name="reports.file")
def file_report(kind):
    """A report for the manager: daily or monthly."""
    world.file_report(kind)


@app.task(name="reports.clean_up")
def clean_up():
    """Old data goes."""
    world.clean_up()


@app.task(name="reminders.remind")
def remind(text):
    """What somebody asked for through the schedule API."""
    world.remind(text)
