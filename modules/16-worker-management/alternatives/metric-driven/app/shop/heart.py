"""A heart for the worker: its main loop tells systemd's watchdog, every three seconds, that it goes round.

Short, and it shows: while the broker is away there is no loop, so systemd starts the worker again and again.
"""

import os
import socket

from celery import bootsteps

from shop.celery import app

ADDRESS = os.environ.get("NOTIFY_SOCKET", "")


class Heart(bootsteps.StartStopStep):
    """Beats from when the worker is connected."""

    requires = ("celery.worker.consumer:Connection",)

    def start(self, consumer):
        """The timer runs in the main loop, so it stands still when that does."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.timer = consumer.timer.call_repeatedly(3, self.beat)
        self.beat()

    def stop(self, consumer):
        """No loop, no beat."""
        self.timer.cancel()

    def beat(self):
        """One sign of life."""
        self.socket.sendto(b"WATCHDOG=1", f"\0{ADDRESS[1:]}" if ADDRESS.startswith("@") else ADDRESS)


if ADDRESS:
    app.steps["consumer"].add(Heart)
