"""Failures of whole hosts. Each is a context manager, undone on any exit, with a test that it bites and heals."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celerylab.providers.boot import wait_for_boot
from celerylab.providers.engine import engine, engine_errors
from celerylab.verify.hosts import ObservedHost


@contextmanager
def host_killed(host: ObservedHost) -> Iterator[None]:
    """The host loses its power inside the block: every process gets SIGKILL at once. After it the host boots again, with its disk as it was."""
    container = container_of(host)
    with engine_errors(f"killing {host.name}"):
        container.kill("SIGKILL")
        container.wait()
    try:
        yield
    finally:
        with engine_errors(f"starting {host.name}"):
            container.start()
            wait_for_boot(container)


@contextmanager
def host_paused(host: ObservedHost) -> Iterator[None]:
    """Nothing on the host runs inside the block, as on a virtual machine that is moved: connections stay open, and nobody answers on them."""
    container = container_of(host)
    with engine_errors(f"pausing {host.name}"):
        container.pause()
    try:
        yield
    finally:
        with engine_errors(f"resuming {host.name}"):
            container.unpause()


def container_of(host: ObservedHost) -> Any:
    """The container that the host is."""
    with engine_errors(f"looking at {host.name}"):
        return engine().containers.get(host.container)
