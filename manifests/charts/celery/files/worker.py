"""The command `celery` of a worker's pod: with the heart of watched.py, and a file that is there while the worker consumes all its queues.

The heart says that the process lives, whatever its broker does; the other file, that the worker does its work. A worker whose connection to the
broker is lost has no such file until it consumes again, and no reason to be restarted.

CELERY_WORKER_HEARTBEAT_FILE, CELERY_WORKER_WATCHDOG_SECONDS and CELERY_WORKER_CONSUMING_FILE come from the pod. The application knows nothing
of this file.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

# The first process of a container is not ended by a signal that it does not handle, and Celery handles this one late: a pod that is told to stop
# while its application is imported would begin to work, and be killed when its time to stop is over.
signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))

HEARTBEAT, CONSUMING = (Path(os.environ[f"CELERY_WORKER_{name}_FILE"]) for name in ("HEARTBEAT", "CONSUMING"))

# A container that starts again finds what the one before it left. Before anything is imported, which may take its time.
for file in (HEARTBEAT, CONSUMING):
    file.unlink(missing_ok=True)

import watched  # noqa: E402, F401  first of all: it patches what gevent wants patched

# An application's own module may be called worker as well. Python put the folder first that it found this file in: in a pod not the one that __file__
# names, because a ConfigMap's files are links.
del sys.path[0]

from celery import bootsteps, signals  # noqa: E402

INTERVAL = 1.0  # seconds between two looks


class ConsumingStep(bootsteps.StartStopStep):
    """Notes every second whether each queue of the worker's is consumed, and that none is when the connection is lost or the worker stops."""

    requires = ("celery.worker.consumer:Tasks",)
    wanted: frozenset[str] = frozenset()
    told_to_stop = False
    timer = None

    def start(self, consumer: Any) -> None:
        """Looks in the main loop, which is where the worker begins to consume."""
        # Those that it was started with: a consumer that somebody cancels is missed as well.
        ConsumingStep.wanted = self.wanted or frozenset(consumer.app.amqp.queues.consume_from)
        self.timer = consumer.timer.call_repeatedly(INTERVAL, consumer.call_soon, (self.note, consumer))
        consumer.call_soon(self.note, consumer)

    def note(self, consumer: Any) -> None:
        """Runs in the main loop, and may come after `stop`."""
        stopped = self.told_to_stop or self.timer is None
        if not stopped and all(consumer.task_consumer.consuming_from(queue) for queue in self.wanted):
            CONSUMING.touch()
        else:
            CONSUMING.unlink(missing_ok=True)

    def stop(self, consumer: Any) -> None:
        """No queue is consumed any more."""
        timer, self.timer = self.timer, None
        CONSUMING.unlink(missing_ok=True)
        if timer is not None:
            consumer.timer.cancel(timer)

    terminate = shutdown = stop


@signals.worker_init.connect
def add_step(sender: Any, **_: Any) -> None:
    """Before the worker's parts are put together."""
    sender.app.steps["consumer"].add(ConsumingStep)


@signals.worker_shutting_down.connect
def unready(**_: Any) -> None:
    """A worker that is told to stop takes no new task, from the first moment."""
    ConsumingStep.told_to_stop = True
    CONSUMING.unlink(missing_ok=True)


if __name__ == "__main__":
    from celery.bin.celery import main

    sys.exit(main())
