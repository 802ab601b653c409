"""A small application for the chart: its tasks count their own starts and ends in Redis."""

import os
import time

import redis
from celery import Celery

app = Celery("shop")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_transport_options={"visibility_timeout": 300},
    result_expires=600,
)
counters = redis.Redis.from_url(os.environ["CELERY_RESULT_BACKEND"])


@app.task
def work(key: str, seconds: float) -> str:
    """Takes `seconds`; counts `started:KEY` and `ended:KEY`."""
    counters.incr(f"started:{key}")
    time.sleep(seconds)
    counters.incr(f"ended:{key}")
    return os.environ.get("RELEASE", "")
