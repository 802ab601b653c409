"""What gateway and ledger share: a small container without privileges that is made, found again and removed as a whole."""

from collections.abc import Mapping, Sequence
from typing import Any

from docker.errors import ImageNotFound
from pulumi.dynamic import DiffResult, ReadResult, ResourceProvider, UpdateResult

from celerylab.errors import EngineError
from celerylab.providers.engine import engine, engine_errors, find_container, put_files, remove_container

Files = Mapping[str, tuple[bytes, int, int]]


def start_support(
    name: str,
    image: str,
    labels: Mapping[str, str],
    command: Sequence[str],
    networks: Sequence[Mapping[str, str]],
    files: Files,
    published: Mapping[int, int] | None = None,
    capabilities: Sequence[str] = (),
) -> Any:
    """Starts the container `name` on `networks` (list of name and IPv4 address) as nobody, with no capability at all; or as root, which may do
    what `capabilities` say and nothing else.

    `published` maps ports of the container to ports on 127.0.0.1; only then is it on Docker's ordinary bridge as well.
    Raises EngineError where the image is missing; leaves nothing where anything fails.
    """
    remove_container(name)
    client = engine()
    first = None if published else networks[0]
    host_config = client.api.create_host_config(
        cap_drop=["ALL"],
        cap_add=list(capabilities),
        security_opt=["no-new-privileges"],
        sysctls={"net.ipv4.ip_forward": "0"},  # nobody's way out of the lab leads through here
        restart_policy={"Name": "unless-stopped"},
        mem_limit="64m",
        dns=["127.0.0.1"],
        port_bindings={inside: ("127.0.0.1", outside) for inside, outside in (published or {}).items()},
        network_mode=first["name"] if first else "bridge",
    )
    own = {first["name"]: client.api.create_endpoint_config(ipv4_address=first["address"])} if first else {}
    try:
        created = client.api.create_container(
            image,
            command=list(command),
            name=name,
            user="root" if capabilities else "nobody",
            labels=dict(labels),
            ports=list(published or {}),
            host_config=host_config,
            networking_config=client.api.create_networking_config(own) if own else None,
        )
    except ImageNotFound:
        raise EngineError(f"image {image} is not on this machine; bake it with `celerylab images bake`") from None
    container = client.containers.get(created["Id"])
    try:
        for network in networks:
            if network is not first:
                client.networks.get(network["name"]).connect(container, ipv4_address=network["address"])
        put_files(container, files)
        container.start()
    except BaseException:  # an interrupted start must not leave half a container either
        remove_container(name)
        raise
    return container


class SupportProvider(ResourceProvider):
    """Read, diff, update and delete of a support container; a subclass creates it and says in `replacing` what needs a new one."""

    replacing: tuple[str, ...] = ()

    def read(self, id_: str, props: Mapping[str, Any]) -> ReadResult:
        """No id where the container is gone; `running` false where it stopped."""
        with engine_errors(f"reading {id_}"):
            container = find_container(id_)
        return ReadResult(None, {}) if container is None else ReadResult(id_, {**props, "running": container.status == "running"})

    def diff(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> DiffResult:
        """A stopped container is started; any other change makes a new one."""
        replaces = [key for key in self.replacing if old.get(key) != new.get(key)]
        changes = bool(replaces) or old.get("running") != new.get("running")
        return DiffResult(changes=changes, replaces=replaces, delete_before_replace=True)

    def update(self, id_: str, old: Mapping[str, Any], _new: Mapping[str, Any]) -> UpdateResult:
        """Starts it again, with what it held."""
        with engine_errors(f"starting {id_}"):
            container = find_container(id_)
            if container is None:
                raise EngineError(f"{id_} is gone; run `pulumi refresh`, then `pulumi up`")
            container.start()
        return UpdateResult({**old, "running": True})

    def delete(self, id_: str, _props: Mapping[str, Any]) -> None:
        """Removes the container; content if it is gone."""
        remove_container(id_)
