"""What the machine that runs Docker has left, read from Docker and the kernel."""

import shutil
import socket
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from celerylab.providers.engine import engine, engine_errors
from celerylab.topology.addresses import SUBNET_PREFIX, pool
from celerylab.topology.admission import INOTIFY_LIMIT, Machine
from celerylab.topology.names import LABEL_SCHEMA, label

# Of root's instances of inotify, which all hosts of the machine share: systemd has five (measured), and one that gets none does not boot.
_INOTIFY_A_HOST, _INOTIFY_OTHERS = 5, 3


def machine() -> Machine:
    """Memory, disk and hosts left for new environments, and subnets of our pool that no network of ours holds."""
    with engine_errors("asking Docker about the machine"):
        info = engine().info()
        running = len(engine().containers.list(filters={"label": f"{label('kind')}=host"}, ignore_removed=True))
        ours = engine().networks.list(filters={"label": f"{label('schema')}={LABEL_SCHEMA}"})
    local = info["Name"] == socket.gethostname() and Path(info["DockerRootDir"]).is_dir()
    return Machine(
        memory=_available_memory() if local else int(info["MemTotal"]),  # of Docker's virtual machine we only know the whole
        disk=shutil.disk_usage(info["DockerRootDir"]).free if local else None,
        subnets=2 ** (SUBNET_PREFIX - pool().prefixlen) - sum(_subnet(network).subnet_of(pool()) for network in ours),
        processors=int(info["NCPU"]),
        whole_memory=int(info["MemTotal"]),
        hosts=(_inotify_limit() - _INOTIFY_OTHERS) // _INOTIFY_A_HOST - running if local else None,
    )


def _subnet(network: Any) -> IPv4Network:
    return IPv4Network(network.attrs["IPAM"]["Config"][0]["Subnet"])


def hosts_present(instance: str) -> int:
    """How many hosts of `instance` exist already."""
    with engine_errors("counting hosts"):
        selection = {"label": [f"{label('instance')}={instance}", f"{label('kind')}=host"]}
        return len(engine().containers.list(all=True, filters=selection, ignore_removed=True))


def _inotify_limit() -> int:
    return int(Path("/proc/sys", *INOTIFY_LIMIT.split(".")).read_text(encoding="ascii"))


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo has no MemAvailable")
