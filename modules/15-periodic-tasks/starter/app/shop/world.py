"""The world outside: tills, the warehouse, the office, people. It writes down what happens to it. Not yours to change."""

import time

from celery import current_task

from celerylab_probe.ledger import record

SYNC_SECONDS = 4


def check_tills():
    """Ask all tills whether they are well."""
    _happened("tills")


def count_stock():
    """Count what is on the shelves."""
    _happened("count")


def file_report(kind):
    """Put a report on the manager's desk."""
    _happened(f"report-{kind}")


def clean_up():
    """Throw away what nobody needs any more."""
    _happened("cleanup")


def remind(text):
    """Remind somebody of something."""
    _happened(f"reminder-{text}")


def sync_stock():
    """Compare the shelves with the warehouse, and order what is missing. Takes SYNC_SECONDS."""
    run = {"run": current_task.request.id, "by": _sender()}
    record("start", "stock", run)
    time.sleep(SYNC_SECONDS)
    record("end", "stock", run)


def _happened(what):
    record("effect", what, {"by": _sender()})


def _sender():
    """Name of the host that has sent the running task: beat's, for one that was due."""
    return str(current_task.request.origin).rpartition("@")[2]
