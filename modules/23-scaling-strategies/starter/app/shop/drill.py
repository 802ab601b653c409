"""A drill: makes a worker hang, as a callback that waits for ever does. You and `celerylab verify` practise with it; keep it."""

import time

from celery.worker.control import control_command


@control_command(args=[("seconds", float)], signature="SECONDS")
def drill_block(state, seconds=60.0):
    """Holds up the main process, which receives messages and answers questions. Its children go on with their tasks."""
    time.sleep(seconds)
    return {"ok": "awake again"}
