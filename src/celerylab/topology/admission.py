"""Does the machine bear what an environment needs? A refusal names the numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

from celerylab.errors import AdmissionError
from celerylab.topology.environment import Needs, Size
from celerylab.topology.units import format_bytes

INOTIFY_LIMIT = "fs.inotify.max_user_instances"
INOTIFY_FOR_MANY = 1024  # 200 hosts; Linux ships with 128, which is 25


@dataclass(frozen=True)
class Machine:
    """What the machine that runs Docker has left: bytes of memory and disk (None where it cannot be known), subnets of our pool, and hosts that
    the kernel lets boot (None where it cannot be known); and what it has in all: processors, and bytes of memory."""

    memory: int
    disk: int | None
    subnets: int
    processors: int
    whole_memory: int
    hosts: int | None = None


def admit(name: str, needs: Needs, networks: int, share: float, machine: Machine, hosts: Mapping[str, Size] | None = None) -> None:
    """Returns if `share` (0 to 1: what of the environment is still to be made) of `needs` fits into `machine`, and no host's limits are above it.

    Raises AdmissionError naming everything that does not, with both numbers.
    """
    short = []
    memory, disk = int(needs.memory * share), int(needs.disk * share)
    if memory > machine.memory:
        short.append(f"{format_bytes(memory)} of memory, and {format_bytes(machine.memory)} are free")
    if machine.disk is not None and disk > machine.disk:
        short.append(f"{format_bytes(disk)} of disk, and {format_bytes(machine.disk)} are free")
    if share > 0 and networks > machine.subnets:
        short.append(f"{networks} subnets, and {machine.subnets} are free in the pool")
    new_hosts = round(len(hosts or {}) * share)
    if machine.hosts is not None and new_hosts > machine.hosts:
        remedy = f"raise the kernel's limit with `sudo sysctl {INOTIFY_LIMIT}={INOTIFY_FOR_MANY}`"
        short.append(f"{new_hosts} more hosts, and {max(0, machine.hosts)} more can boot ({remedy})")
    for host, size in (hosts or {}).items():
        if size.cpus > machine.processors:
            short.append(f"{size.cpus:g} processors for {host}, and there are {machine.processors}")
        if size.memory > machine.whole_memory:
            short.append(f"{format_bytes(size.memory)} of memory for {host}, and there are {format_bytes(machine.whole_memory)}")
    if short:
        raise AdmissionError(
            f"{name} does not fit on this machine: it needs {'; and '.join(short)}. "
            "Nothing was created; stop what you do not need (`celerylab status --all` lists your stacks), then try again"
        )
