"""Probe tasks: the same observable handle in every module, so that a check sees behaviour without reading the learner's code.

Add `celerylab_probe.tasks` to the `include` of your Celery app. A key names one run in the ledger.
"""

import os
import signal
import time
from typing import Any

from celery import shared_task
from celery.signals import worker_process_shutdown, worker_ready

from celerylab_probe.ledger import flush, flush_orphans, record


@shared_task(name="celerylab_probe.echo")
def echo(value: Any) -> Any:
    """Returns `value`."""
    return value


@shared_task(name="celerylab_probe.sleep")
def sleep(seconds: float, key: str) -> float:
    """Sleeps for `seconds` between a start and an end in the ledger."""
    record("start", key)
    time.sleep(seconds)
    record("end", key)
    return seconds


@shared_task(name="celerylab_probe.mark")
def mark(key: str, value: Any) -> Any:
    """One effect in the ledger."""
    record("effect", key, value)
    return value


@shared_task(name="celerylab_probe.die")
def die(key: str) -> None:
    """Kills the process that runs it, as running out of memory does."""
    record("start", key)
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="celerylab_probe.leak")
def leak(megabytes: int, key: str) -> int:
    """Holds `megabytes` for a moment; returns the id of the process, which a memory limit changes for the next task."""
    record("start", key)
    held = bytearray(megabytes * 2**20)
    held[::4096] = b"x" * len(held[::4096])  # touched, so that it is resident
    record("end", key, os.getpid())
    return os.getpid()


@shared_task(name="celerylab_probe.hang")
def hang(key: str) -> None:
    """Never returns: only a time limit ends it."""
    record("start", key)
    while True:
        time.sleep(0.2)


@shared_task(name="celerylab_probe.fail")
def fail(key: str) -> None:
    """Raises RuntimeError after a start in the ledger."""
    record("start", key)
    raise RuntimeError(f"asked to fail: {key}")


@worker_ready.connect
def _send_orphans(**_: Any) -> None:
    flush_orphans()


@worker_process_shutdown.connect
def _send_rest(**_: Any) -> None:
    flush()
