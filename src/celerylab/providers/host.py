"""A host: a container that boots systemd, so that a role, a unit and a journal behave as on a machine."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from docker.errors import ImageNotFound
from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from celerylab.errors import EngineError
from celerylab.providers.boot import wait_for_boot
from celerylab.providers.engine import engine, engine_errors, find_container, remove_container

_REPLACING = ("name", "hostname", "image", "capabilities", "networks", "labels")
_LIMITS = ("cpus", "memory")
_CPU_PERIOD = 100_000  # microseconds
# A host that has all capabilities runs containers of its own. It needs to see and set what Docker hides, and a disk that is not a layer of layers.
_RUNS_CONTAINERS = "ALL"
_CONTAINERS_DISK = "/var/lib/containerd"
_DROPPED = ["NET_RAW", "MKNOD", "AUDIT_WRITE"]  # Docker's default grants them; no role of ours needs them


class HostProvider(ResourceProvider):
    """Inputs: `name`, `hostname`, `image`, `cpus`, `memory` (bytes), `capabilities`, `networks` (list of name and
    IPv4 address, the lab's first), `labels`, `running`. Outputs: those, `generation` (new at each create), `container_id` and `image_id`."""

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Starts the host. It boots while Ansible starts, which then waits (boot.py). A container of that name left by an interrupted
        run is removed first."""
        name = props["name"]
        with engine_errors(f"creating host {name}"):
            remove_container(name)
            container = _create(props)
            try:
                for network in props["networks"][1:]:
                    engine().networks.get(network["name"]).connect(container, ipv4_address=network["address"])
                container.start()
            except BaseException:  # an interrupted create must not leave half a host either
                remove_container(name)
                raise
        generation = uuid.uuid4().hex[:12]
        return CreateResult(name, {**props, "generation": generation, "container_id": container.id, "image_id": container.image.id})

    def read(self, id_: str, props: Mapping[str, Any]) -> ReadResult:
        """What Docker has: no id where the container is gone, `running` false where it stopped. Both are drift that `up` repairs."""
        with engine_errors(f"reading host {id_}"):
            container = find_container(id_)
        if container is None or container.id != props.get("container_id", container.id):
            return ReadResult(None, {})
        limits = container.attrs["HostConfig"]
        seen = {"running": container.status == "running", "cpus": limits["CpuQuota"] / _CPU_PERIOD, "memory": limits["Memory"]}
        return ReadResult(id_, {**props, **seen})

    def diff(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> DiffResult:
        """Limits change in place, a stopped host is started; anything else makes a new host."""
        replaces = [key for key in _REPLACING if old.get(key) != new.get(key)]
        changed = [key for key in (*_LIMITS, "running") if old.get(key) != new.get(key)]
        return DiffResult(changes=bool(replaces or changed), replaces=replaces, delete_before_replace=True)

    def update(self, id_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> UpdateResult:
        """Sets the new limits and starts a host that stopped."""
        with engine_errors(f"updating host {id_}"):
            container = find_container(id_)
            if container is None:
                raise EngineError(f"host {id_} is gone; run `pulumi refresh`, then `pulumi up`")
            memory = int(new["memory"])
            container.update(mem_limit=memory, memswap_limit=memory, cpu_period=_CPU_PERIOD, cpu_quota=int(new["cpus"] * _CPU_PERIOD))
            if container.status != "running":
                container.start()
                wait_for_boot(container)
        kept = {key: old[key] for key in ("generation", "container_id", "image_id")}
        return UpdateResult({**new, **kept, "running": True})

    def delete(self, id_: str, _props: Mapping[str, Any]) -> None:
        """Removes the container and its volumes; content if it is gone."""
        remove_container(id_)


class Host(Resource, module="celerylab", name="Host"):
    """One systemd host. `generation` changes whenever the container is made anew, so that what runs on it is configured again."""

    name: Output[str]
    generation: Output[str]
    image_id: Output[str]

    def __init__(
        self,
        resource: str,
        name: Input[str],
        hostname: str,
        image: str,
        cpus: float,
        memory: int,
        capabilities: Sequence[str],
        networks: Input[Sequence[Mapping[str, Any]]],
        labels: Mapping[str, Input[str]],
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "name": name,
            "hostname": hostname,
            "image": image,
            "cpus": cpus,
            "memory": memory,
            "capabilities": list(capabilities),
            "networks": networks,
            "labels": dict(labels),
            "running": True,
        }
        super().__init__(HostProvider(), resource, {**inputs, "generation": None, "container_id": None, "image_id": None}, opts)


def _create(props: Mapping[str, Any]) -> Any:
    client = engine()
    lab = props["networks"][0]
    memory = int(props["memory"])
    api = client.api
    nested = _RUNS_CONTAINERS in props["capabilities"]
    host_config = api.create_host_config(
        cap_add=list(props["capabilities"]),
        cap_drop=["SYS_RESOURCE"] if nested else _DROPPED,  # not every machine that runs Docker has it to give
        security_opt=["apparmor=unconfined", *(["seccomp=unconfined"] if nested else [])],  # the default profile forbids systemd its mounts
        devices=["/dev/kmsg"] if nested else [],  # the kubelet watches the kernel's messages
        device_cgroup_rules=["a *:* rwm"] if nested else [],
        tmpfs={"/run": "", "/tmp": "exec,mode=1777"},  # noqa: S108 (the container's own)
        mem_limit=memory,
        memswap_limit=memory,
        cpu_period=_CPU_PERIOD,
        cpu_quota=int(props["cpus"] * _CPU_PERIOD),
        restart_policy={"Name": "unless-stopped"},  # a machine comes back after its power does
        dns=["127.0.0.1"],  # the names of the lab resolve; a look-up of the outside ends here instead of at the machine's resolver
    )
    host_config["CgroupnsMode"] = "private"
    if nested:
        host_config |= {"MaskedPaths": [], "ReadonlyPaths": []}  # `--security-opt systempaths=unconfined` of Docker's command line
    try:
        created = api.create_container(
            props["image"],
            name=props["name"],
            hostname=props["hostname"],
            labels=dict(props["labels"]),
            host_config=host_config,
            volumes=[_CONTAINERS_DISK] if nested else [],
            networking_config=api.create_networking_config(
                {lab["name"]: api.create_endpoint_config(ipv4_address=lab["address"], aliases=[props["hostname"]])}
            ),
        )
    except ImageNotFound:
        raise EngineError(f"image {props['image']} is not on this machine; bake it with `celerylab images bake`") from None
    return client.containers.get(created["Id"])
