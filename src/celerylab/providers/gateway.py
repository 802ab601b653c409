"""The one way into a lab: HAProxy on the lab's networks and on Docker's ordinary one, forwarding to free ports on 127.0.0.1.

No process on the user's machine ever dials a container's address, so that everything works under Docker Desktop as it does on Linux.
"""

import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docker.errors import APIError
from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import CreateResult, Resource

from celerylab.errors import EngineError
from celerylab.providers.engine import engine_errors
from celerylab.providers.support import SupportProvider, start_support
from celerylab.topology.names import label

PORTS = range(20000, 30000)
_ATTEMPTS = 25
_INSIDE = 10000  # first port that HAProxy listens on inside its container
_CONFIGURATION = """\
global
    maxconn 512
    log stdout format raw local0 notice
defaults
    mode tcp
    log global
    retries 1
    timeout connect 2s
    timeout client 1h
    timeout server 1h
"""


class GatewayProvider(SupportProvider):
    """Inputs: `name`, `image`, `labels`, `networks` (list of name and address), `targets` (endpoint to host:port), `fixed` (endpoint to port),
    `running`. Outputs: those and `ports` (endpoint to port on 127.0.0.1)."""

    replacing = ("name", "image", "labels", "networks", "targets", "fixed")

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Starts HAProxy on ports that are free now; they stay the same until the gateway is replaced."""
        name, targets = props["name"], dict(sorted(props["targets"].items()))
        with engine_errors(f"creating gateway {name}"):
            candidates = free_ports(props["labels"][label("instance")])
            for _ in range(_ATTEMPTS):
                ports = {endpoint: int(props["fixed"].get(endpoint) or next(candidates)) for endpoint in targets}
                published = {_INSIDE + index: port for index, port in enumerate(ports.values())}
                try:
                    start_support(name, props["image"], props["labels"], _COMMAND, props["networks"], _files(targets), published)
                except APIError as error:
                    if not _port_is_taken(error):
                        raise
                    _refuse_fixed(props["fixed"])
                    continue
                return CreateResult(name, {**props, "ports": ports})
        raise EngineError(f"creating gateway {name}: found no free port among {PORTS.start} to {PORTS.stop - 1} on 127.0.0.1")


class Gateway(Resource, module="celerylab", name="Gateway"):
    """`ports` maps each endpoint to its port on 127.0.0.1."""

    ports: Output[Mapping[str, Any]]

    def __init__(
        self,
        resource: str,
        name: Input[str],
        image: str,
        networks: Input[Sequence[Any]],
        targets: Input[Mapping[str, Any]],
        fixed: Mapping[str, int],
        labels: Mapping[str, str],
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {"name": name, "image": image, "networks": networks, "targets": targets, "fixed": dict(fixed), "labels": dict(labels)}
        super().__init__(GatewayProvider(), resource, {**inputs, "running": True, "ports": None}, opts)


def free_ports(seed: str) -> Iterator[int]:
    """Ports of our range that nobody listens on now, beginning at a place that `seed` (hexadecimal) decides."""
    start = int(seed, 16) % len(PORTS)
    for step in range(len(PORTS)):
        port = PORTS[(start + step) % len(PORTS)]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port
    raise EngineError(f"every port from {PORTS.start} to {PORTS.stop - 1} on 127.0.0.1 is taken")


_COMMAND = ["haproxy", "-W", "-f", "/etc/haproxy/haproxy.cfg"]


def _files(targets: Mapping[str, str]) -> dict[str, tuple[bytes, int, int]]:
    listeners = [
        f"listen {endpoint}\n    bind :{_INSIDE + index}\n    server target {target}\n"
        for index, (endpoint, target) in enumerate(targets.items())
    ]
    return {"/etc/haproxy/haproxy.cfg": ((_CONFIGURATION + "".join(listeners)).encode(), 0o644, 0)}


def _port_is_taken(error: APIError) -> bool:
    return any(
        words in (error.explanation or "") for words in ("port is already allocated", "address already in use", "ports are not available")
    )


def _refuse_fixed(fixed: Mapping[str, Any]) -> None:
    for endpoint, port in fixed.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", int(port)))
            except OSError:
                raise EngineError(
                    f"port {port:.0f} on 127.0.0.1 is taken; free it, choose another with "
                    f"`pulumi config set celerylab:ports {endpoint}=PORT`, or let celerylab choose with `pulumi config rm celerylab:ports`"
                ) from None
