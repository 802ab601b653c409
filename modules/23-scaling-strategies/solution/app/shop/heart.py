"""A heart for the worker: its main loop touches a file, and the kubelet looks how old that is. Nobody asks the broker.

The file is there while the worker consumes. Where there is no main loop, before the broker answers for the first time and while it is away, there is
no file either, and nothing that could hang.
"""

from functools import partial
from pathlib import Path

from celery import bootsteps, signals

BEAT = Path("/run/heart/beat")
INTERVAL = 5  # seconds


class Heart(bootsteps.StartStopStep):
    """Beats from when the worker consumes until it loses its broker or stops."""

    requires = ("celery.worker.consumer:Events", "celery.worker.consumer:Tasks")
    timer = None

    def start(self, consumer):
        """The timer runs in the main loop, so it stands still when that does."""
        # Celery says every two seconds that it is there, and where the broker has just gone it would try to say so for ever, in the main loop.
        events = consumer.event_dispatcher
        events.send = partial(events.send, retry_policy={"max_retries": 1})
        BEAT.touch()
        self.timer = consumer.timer.call_repeatedly(INTERVAL, BEAT.touch)

    def stop(self, consumer):
        """No loop, no beat."""
        if self.timer is not None:
            self.timer.cancel()
        BEAT.unlink(missing_ok=True)


@signals.worker_init.connect
def forget(**_):
    """A container that starts again finds what the one before it left."""
    BEAT.unlink(missing_ok=True)
