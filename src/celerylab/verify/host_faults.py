"""Failures of whole hosts and of the links between them. Each is a context manager, undone on any exit, with a test that it bites and heals."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celerylab.providers.engine import engine, engine_errors
from celerylab.verify.expect import NotObservedError
from celerylab.verify.hosts import ObservedHost

BOOT_SECONDS = 60
_NOBODY = "02:00:00:00:00:01"  # an address of the second layer that no host has


@contextmanager
def host_killed(host: ObservedHost) -> Iterator[None]:
    """The host loses its power inside the block: every process gets SIGKILL at once. After it the host boots again, with its disk as it was."""
    container = _container(host)
    with engine_errors(f"killing {host.name}"):
        container.kill("SIGKILL")
        container.wait()
    try:
        yield
    finally:
        with engine_errors(f"starting {host.name}"):
            container.start()
        _wait_until_booted(host)


@contextmanager
def host_paused(host: ObservedHost) -> Iterator[None]:
    """Nothing on the host runs inside the block, as on a virtual machine that is moved: connections stay open, and nobody answers on them."""
    container = _container(host)
    with engine_errors(f"pausing {host.name}"):
        container.pause()
    try:
        yield
    finally:
        with engine_errors(f"resuming {host.name}"):
            container.unpause()


@contextmanager
def hosts_cut(one: ObservedHost, other: ObservedHost) -> Iterator[None]:
    """No packet passes between the two hosts inside the block, and neither is told: what they send each other is lost. Other links stay."""
    with _silenced(one, other), _silenced(other, one):
        yield


@contextmanager
def _silenced(host: ObservedHost, peer: ObservedHost) -> Iterator[None]:
    """What `host` sends to `peer` goes to nobody inside the block."""
    address = _address(host, peer)
    device = f"dev $(ip -o route get {address} | cut -d' ' -f3)"
    _in_network_of(host, f"ip neigh replace {address} lladdr {_NOBODY} nud permanent {device}")
    try:
        yield
    finally:
        _in_network_of(host, f"ip neigh del {address} {device}")


def _address(host: ObservedHost, peer: ObservedHost) -> str:
    """The peer's address, as `host` knows it by name."""
    return str(host.check_output("getent hosts %s", peer.name)).split()[0]


def _in_network_of(host: ObservedHost, script: str) -> None:
    """Runs `script` beside the host, in its network and with the right to change it, which nothing on the host itself has."""
    with engine_errors(f"changing the network of {host.name}"):
        engine().containers.run(
            _container(host).image.id,
            ["-c", script],
            entrypoint="sh",
            network_mode=f"container:{host.container}",
            cap_add=["NET_ADMIN"],
            remove=True,
        )


def _container(host: ObservedHost) -> Any:
    with engine_errors(f"looking at {host.name}"):
        return engine().containers.get(host.container)


def _wait_until_booted(host: ObservedHost) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while host.run("systemctl is-system-running").stdout.strip() not in ("running", "degraded"):
        if time.monotonic() > deadline:
            raise NotObservedError(f"{host.name} did not boot within {BOOT_SECONDS} s")
        time.sleep(0.2)
