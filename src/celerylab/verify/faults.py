"""Failures on purpose. Each is a context manager that is undone on any exit, and each has a test that it bites and that it heals."""

from collections.abc import Iterator
from contextlib import contextmanager

from celerylab.verify.hosts import ObservedHost

_REDIRECT = "celerylab_redirect"


@contextmanager
def unit_stopped(host: ObservedHost, unit: str) -> Iterator[None]:
    """The systemd unit `unit` is stopped inside the block, and started again after it."""
    host.as_root("systemctl", "stop", unit)
    try:
        yield
    finally:
        host.as_root("systemctl", "start", unit)


@contextmanager
def process_killed(host: ObservedHost, pid: int, unit: str) -> Iterator[None]:
    """Process `pid` of `unit` gets SIGKILL, as the kernel does when memory runs out. Whoever has to start it again is what the block watches;
    after it the unit is started if nobody did."""
    host.as_root("kill", "-KILL", str(pid))
    try:
        yield
    finally:
        host.as_root("systemctl", "start", unit)


@contextmanager
def connections_redirected(host: ObservedHost, account: str, port: int, to: int) -> Iterator[None]:
    """New TCP connections that processes of `account` on `host` open to `port`, of whatever address, end at `to` on the host itself.

    What is connected stays connected, and nobody else's connections change: an attacker in the middle, for one account.
    """
    rules = (
        f"table inet {_REDIRECT} {{ chain out {{ type nat hook output priority -100; "
        f"meta skuid {account} tcp dport {port} redirect to :{to}; }}; }}"
    )
    host.as_root("nft", rules)
    try:
        yield
    finally:
        host.as_root("nft", "delete", "table", "inet", _REDIRECT)


def restart_unit(host: ObservedHost, unit: str) -> None:
    """Restarts a unit without waiting for its start job, as a reboot of one service does."""
    host.as_root("systemctl", "restart", "--no-block", unit)
