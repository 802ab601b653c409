"""The application that the roles' tests deploy."""

import os
import time
from pathlib import Path

from celery import Celery
from celery.utils.log import get_task_logger
from celery.worker.control import control_command

app = Celery("shop", broker=os.environ["BROKER_URL"], backend=os.environ["RESULT_URL"])
app.conf.broker_connection_retry_on_startup = True


@app.task(name="shop.echo")
def echo(value):
    return value


@app.task(name="shop.environment")
def environment(name):
    return os.environ.get(name)


@app.task(name="shop.nap")
def nap(seconds):
    time.sleep(seconds)
    return "rested"


@app.task(name="shop.touch")
def touch(path):
    try:
        Path(path).write_text("")
    except OSError as error:
        return error.strerror
    return "written"


@app.task(name="shop.count")
def count(first, last, seconds):
    """Logs a line for each number, with a pause after it."""
    for number in range(first, last):
        get_task_logger(__name__).info("counted %d", number)
        time.sleep(seconds)


@app.task(name="shop.fail")
def fail():
    print("it will fail,\nas it should")  # noqa: T201 (what a task prints is in its log)
    raise ValueError("of two\nlines")


@control_command(args=[("seconds", float)])
def block(state, seconds):
    """Holds up the main process of a worker, as a callback that waits would."""
    time.sleep(seconds)
