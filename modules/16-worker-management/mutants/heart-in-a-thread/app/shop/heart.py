"""Tells systemd's watchdog that the worker is alive."""

import os
import socket
import time
from threading import Thread

from celery.signals import worker_init

ADDRESS = os.environ.get("NOTIFY_SOCKET", "")


def beat():
    """Says so every two seconds."""
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    while True:
        notify.sendto(b"WATCHDOG=1", f"\0{ADDRESS[1:]}" if ADDRESS.startswith("@") else ADDRESS)
        time.sleep(2)


@worker_init.connect
def start(**_):
    """Begins with the worker."""
    Thread(target=beat, name="heart", daemon=True).start()
