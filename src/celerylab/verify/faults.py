"""Failures on purpose. Each is a context manager that is undone on any exit, and each has a test that it bites and that it heals."""

from collections.abc import Iterator
from contextlib import contextmanager

from celerylab.verify.hosts import ObservedHost


@contextmanager
def unit_stopped(host: ObservedHost, unit: str) -> Iterator[None]:
    """The systemd unit `unit` is stopped inside the block, and started again after it."""
    host.as_root("systemctl", "stop", unit)
    try:
        yield
    finally:
        host.as_root("systemctl", "start", unit)


def kill_process(host: ObservedHost, pid: int) -> None:
    """SIGKILL, as the kernel does when memory runs out. Who has to start the process again is what a check then watches."""
    host.as_root("kill", "-KILL", str(pid))


def restart_unit(host: ObservedHost, unit: str) -> None:
    """Restarts a unit without waiting for its start job, as a reboot of one service does."""
    host.as_root("systemctl", "restart", "--no-block", unit)
