"""How many tasks a second go through a Celery application, from the caller's send to the caller's result."""

import time
from typing import Any

from celery import Celery
from celery.exceptions import TimeoutError as CeleryTimeoutError

from celerylab.errors import CelerylabError

DAY_SECONDS = 86_400


def tasks_a_second(app: Celery, task: str, count: int, seconds: float = 120) -> float:
    """Sends `task` (called with one number) `count` times and waits until each result is there; what that makes a second.

    Workers begin with the first one while the rest is being sent. Raises CelerylabError where a task fails, or not all have ended within
    `seconds`.
    """
    started = time.monotonic()
    with app.producer_pool.acquire(block=True) as producer:
        waiting = {app.send_task(task, [number], producer=producer).id for number in range(count)}
    backend: Any = app.backend
    try:
        # Asks for all that are missing at once, again and again: a subscription to each would cost more than the task does.
        for identifier, meta in backend.get_many(set(waiting), timeout=seconds, interval=0.02):
            if meta["status"] != "SUCCESS":
                raise CelerylabError(f"a task of the load ended as {meta['status']}: {meta['result']}")
            waiting.discard(identifier)
    except CeleryTimeoutError:
        raise CelerylabError(f"{len(waiting)} of {count} tasks have no result after {seconds:g} s") from None
    return count / (time.monotonic() - started)
