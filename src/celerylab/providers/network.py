"""A Docker `internal` network with a subnet from our own pool: nothing on it reaches the machine's uplink."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool
from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider

from celerylab.errors import EngineError
from celerylab.providers.engine import engine, engine_errors, find_container, remove_container
from celerylab.topology.addresses import pool, subnets
from celerylab.topology.names import label


class NetworkProvider(ResourceProvider):
    """Inputs: `name`, `labels`. Outputs: those, `subnet` (CIDR) and `network_id`."""

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Takes the first free subnet of the pool; a network of that name left by an interrupted run is replaced."""
        name, labels = props["name"], dict(props["labels"])
        with engine_errors(f"creating network {name}"):
            _remove(name)
            for subnet in subnets(labels[label("instance")]):
                try:
                    network = engine().networks.create(
                        name,
                        driver="bridge",
                        internal=True,
                        labels=labels,
                        check_duplicate=True,
                        ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))]),
                    )
                except APIError as error:
                    if not _is_taken(error):
                        raise
                    continue
                return CreateResult(name, {"name": name, "labels": labels, "subnet": str(subnet), "network_id": network.id})
        raise EngineError(
            f"creating network {name}: every subnet of {pool()} is taken; destroy stacks you no longer need "
            "(`celerylab status --all`), or set CELERYLAB_POOL to another private range"
        )

    def read(self, id_: str, props: Mapping[str, Any]) -> ReadResult:
        """What Docker has; without an id where the network is gone, so that the next `up` makes it again."""
        with engine_errors(f"reading network {id_}"):
            try:
                network = engine().networks.get(id_)
            except NotFound:
                return ReadResult(None, {})
            return ReadResult(id_, {**props, "network_id": network.id, "subnet": network.attrs["IPAM"]["Config"][0]["Subnet"]})

    def diff(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> DiffResult:
        """A network cannot be changed, only replaced."""
        changed = [key for key in ("name", "labels") if old.get(key) != new.get(key)]
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=True)

    def delete(self, id_: str, _props: Mapping[str, Any]) -> None:
        """Removes the network and whatever still hangs on it; content if it is gone."""
        with engine_errors(f"removing network {id_}"):
            _remove(id_)


class Network(Resource, module="celerylab", name="Network"):
    """One lab network. `subnet` is CIDR, known once it exists."""

    name: Output[str]
    subnet: Output[str]
    network_id: Output[str]

    def __init__(self, resource: str, name: Input[str], labels: Input[Mapping[str, str]], opts: ResourceOptions | None = None) -> None:
        super().__init__(NetworkProvider(), resource, {"name": name, "labels": labels, "subnet": None, "network_id": None}, opts)


def _is_taken(error: APIError) -> bool:
    return any(words in (error.explanation or "").lower() for words in ("overlap", "already in use", "conflicts with", "address already"))


def _remove(name: str, seconds: float = 30) -> None:
    """Removes a network: containers of its own instance go with it, anybody else's are only taken off.

    The removal of another network may be taking the same containers away meanwhile; Docker keeps their endpoints for a moment longer.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            network = engine().networks.get(name)
            _empty(network)
            network.remove()
            return
        except NotFound:
            return
        except APIError as error:
            if "active endpoints" not in (error.explanation or "") or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _empty(network: Any) -> None:
    owner = network.attrs["Labels"].get(label("instance"))
    for attached in network.attrs.get("Containers", {}).values():
        container = find_container(attached["Name"])
        if container is not None and owner and container.labels.get(label("instance")) == owner:
            remove_container(container.name)
        else:
            with suppress(NotFound):
                network.disconnect(attached["Name"], force=True)
