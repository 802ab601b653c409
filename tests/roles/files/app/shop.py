"""The application that the roles' tests deploy."""

import os
import time

from celery import Celery

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
        with open(path, "w"):
            return "written"
    except OSError as error:
        return error.strerror
