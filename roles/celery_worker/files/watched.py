"""The command `celery`; a worker that it starts has a heart, so that systemd restarts it when its main process hangs, and may log in JSON.

The main loop itself tells systemd (sd_notify) and touches a file, four times in the time after which it counts as hung. While there is no loop
to hang, a thread does: when the worker looks for its broker, when it lets tasks finish before it stops, and when the pool is solo and the main
process runs a task. So a broker that is away and a long task are no reason for a restart, and a stopped process always is.

Celery would send an event in the main loop for as long as the broker is away, where one is due just when it goes; here it tries once more.

CELERY_WORKER_WATCHDOG_SECONDS and CELERY_WORKER_HEARTBEAT_FILE come from the unit, and without them there is no heart; so does
CELERY_WORKER_LOG_FORMAT. The application knows nothing of this file.
"""

import contextlib
import faulthandler
import os
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from celery import bootsteps, maybe_patch_concurrency

maybe_patch_concurrency()  # as `celery` does, before anything else is imported

from celery import signals  # noqa: E402


class Heart:
    """One for a worker. `loops` says whether the main loop is the one that beats."""

    def __init__(self, seconds: float, file: Path, address: str) -> None:
        self.seconds = seconds
        self.interval = seconds / 4
        self.file = file
        self.address = f"\0{address[1:]}" if address.startswith("@") else address
        self.loops = False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)

    def start(self) -> None:
        """Begins to be watched: only now, because an application may take its time to be imported."""
        faulthandler.enable(sys.__stderr__)  # systemd ends what hangs with SIGABRT, and the journal then says where it hung
        self.beat(f"WATCHDOG_USEC={int(self.seconds * 1e6)}\nWATCHDOG=1")
        threading.Thread(target=self.beat_without_loop, name="heart", daemon=True).start()

    def beat(self, said: str = "WATCHDOG=1") -> None:
        """Says that the process lives. What cannot be written is left: it must not end a loop that works."""
        with contextlib.suppress(OSError):
            self.socket.sendto(said.encode(), self.address)
        with contextlib.suppress(OSError):
            self.file.touch()

    def beat_without_loop(self) -> None:
        """The thread."""
        while True:
            if not self.loops:
                self.beat()
            time.sleep(self.interval)

    def pause(self, **_: Any) -> None:
        """From now on the thread beats, until the main loop does again."""
        self.loops = False


class HeartStep(bootsteps.StartStopStep):
    """Lets the main loop beat, from when it is connected until the connection is lost or the worker stops."""

    requires = ("celery.worker.consumer:Connection", "celery.worker.consumer:Events")
    heart: Heart
    timer = None

    def start(self, consumer: Any) -> None:
        """Schedules the beats. The main loop runs what `call_soon` is given, also where timers have a thread of their own."""
        events = consumer.event_dispatcher
        if events is not None:  # what it cannot send it keeps for the next connection
            events.send = partial(events.send, retry_policy={"max_retries": 1})
        self.timer = consumer.timer.call_repeatedly(self.heart.interval, consumer.call_soon, (self.beat,))
        self.loops_soon = partial(consumer.call_soon, self.beat)
        self.loops_soon()
        if type(consumer.pool).__module__ == "celery.concurrency.solo":
            signals.task_prerun.connect(self.pause_for_task)

    def pause_for_task(self, **_: Any) -> None:
        """The task holds up the main loop; what is given to the loop now runs when the task has ended."""
        self.heart.pause()
        self.loops_soon()

    def stop(self, consumer: Any) -> None:
        """Hands over to the thread."""
        timer, self.timer = self.timer, None
        self.heart.pause()
        if timer is not None:
            consumer.timer.cancel(timer)

    terminate = shutdown = stop

    def beat(self) -> None:
        """Runs in the main loop; not when it comes after `stop`."""
        if self.timer is not None:
            self.heart.loops = True
            self.heart.beat()


def add_heart(sender: Any, **_: Any) -> None:
    """Gives the worker its heart, before its parts are put together."""
    HeartStep.heart = Heart(
        float(os.environ["CELERY_WORKER_WATCHDOG_SECONDS"]),
        Path(os.environ["CELERY_WORKER_HEARTBEAT_FILE"]),
        os.environ.get("NOTIFY_SOCKET", ""),
    )
    sender.app.steps["consumer"].add(HeartStep)
    signals.worker_shutting_down.connect(HeartStep.heart.pause)
    HeartStep.heart.start()


if "CELERY_WORKER_WATCHDOG_SECONDS" in os.environ:
    signals.worker_init.connect(add_heart)
if os.environ.get("CELERY_WORKER_LOG_FORMAT") == "json":
    import celery_worker_json_log  # noqa: F401 (it is beside this file, and does its work when it is imported)

if __name__ == "__main__":
    from celery.bin.celery import main

    sys.exit(main())
