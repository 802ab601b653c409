"""Failures of the link between two hosts. Each is a context manager, undone on any exit, with a test that it bites and heals.

They work on packets, below TCP, from beside the host: nothing on the host itself has the right to do it. Links to other hosts stay as they are,
and so does the way in through the gateway.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celerylab.providers.engine import engine, engine_errors
from celerylab.topology.names import label
from celerylab.verify.expect import NotObservedError
from celerylab.verify.held import held
from celerylab.verify.host_faults import container_of
from celerylab.verify.hosts import ObservedHost

_CARRIER = Path(__file__).with_name("carrier.py")


@contextmanager
def hosts_cut(one: ObservedHost, other: ObservedHost) -> Iterator[None]:
    """No packet passes between the two hosts inside the block, and neither is told: what they send each other is lost. Other links stay."""
    with _carried(one, other), _carried(other, one):
        yield


@contextmanager
def link_half_open(sender: ObservedHost, receiver: ObservedHost) -> Iterator[None]:
    """What `sender` sends to `receiver` is lost inside the block, and what comes back arrives: their connections stay, and no answer comes."""
    with _carried(sender, receiver):
        yield


@contextmanager
def link_slow(one: ObservedHost, other: ObservedHost, seconds: float) -> Iterator[None]:
    """Each packet between the two hosts takes `seconds` longer inside the block, in either direction: a round trip takes twice that.

    Connections of before go on, slower.
    """
    with _carried(one, other, seconds), _carried(other, one, seconds):
        yield


@contextmanager
def connections_half_open(host: ObservedHost, peer: ObservedHost) -> Iterator[None]:
    """`peer` has no more, inside the block, of its TCP connections with `host` until now, as after a loss of power; `host` was not told.

    It goes on believing in them until it sends something: whoever only waits for an answer waits for good. Programs of `peer` see their end
    at once, and new connections work. After the block the ends that `host` still believes in are closed with an error.
    """
    there = _address(host, peer)
    ports = _in_network_of(
        host, f"ss --no-header --tcp --numeric state established dst {there} | awk '{{print $3}}' | sed 's/.*://'"
    ).split()
    with _carried(peer, host):
        _in_network_of(peer, f"ss --kill --no-header --tcp dst {_address(peer, host)}")
        left = _in_network_of(peer, f"ss --no-header --tcp state established dst {_address(peer, host)}")
    if left:
        raise NotObservedError(f"connections of {peer.name} could not be ended: does this machine's kernel have CONFIG_INET_DIAG_DESTROY?")
    try:
        yield
    finally:
        if ports:
            _in_network_of(host, f"ss --kill --no-header --tcp 'dst {there} and ( {' or '.join(f'sport = :{port}' for port in ports)} )'")


@contextmanager
def _carried(host: ObservedHost, peer: ObservedHost, seconds: float | None = None) -> Iterator[None]:
    """What `host` sends to `peer` goes through a carrier inside the block: `seconds` late, or to nobody."""
    address = _address(host, peer)
    late = [] if seconds is None else [f"{seconds:g}", _hardware_address(peer, address)]
    rights = ["--cap-add=NET_ADMIN", f"--label={label('kind')}=fault", f"--network=container:{host.container}"]
    image = container_of(host).image.id
    line = ["docker", "run", "--rm", "--interactive", *rights, "--entrypoint=python3", image, "-c", _CARRIER.read_text(encoding="utf-8")]
    with held([*line, address, *late], f"the link from {host.name} to {peer.name}"):
        yield


def _address(host: ObservedHost, peer: ObservedHost) -> str:
    """The peer's address, as `host` knows it by name."""
    return str(host.check_output("getent hosts %s", peer.name)).split()[0]


def _hardware_address(host: ObservedHost, address: str) -> str:
    """MAC of the interface of `host` that has `address`."""
    for network in container_of(host).attrs["NetworkSettings"]["Networks"].values():
        if network["IPAddress"] == address:
            return str(network["MacAddress"])
    raise NotObservedError(f"{host.name} has no interface with {address}")


def _in_network_of(host: ObservedHost, script: str) -> str:
    """What `script` says that runs beside the host, in its network and with the right to change it."""
    with engine_errors(f"changing the network of {host.name}"):
        said = engine().containers.run(
            container_of(host).image.id,
            ["-c", script],
            entrypoint="sh",
            network_mode=f"container:{host.container}",
            cap_add=["NET_ADMIN"],
            labels={label("kind"): "fault"},
            remove=True,
        )
    return str(said.decode())
