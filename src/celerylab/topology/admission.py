"""Does the machine bear what an environment needs? A refusal names the numbers."""

from dataclasses import dataclass

from celerylab.errors import AdmissionError
from celerylab.topology.environment import Needs
from celerylab.topology.units import format_bytes


@dataclass(frozen=True)
class Machine:
    """What the machine that runs Docker has left: bytes of memory and disk (None where it cannot be known), and subnets of our pool."""

    memory: int
    disk: int | None
    subnets: int


def admit(name: str, needs: Needs, networks: int, share: float, machine: Machine) -> None:
    """Returns if `share` (0 to 1: what of the environment is still to be made) of `needs` fits into `machine`.

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
    if short:
        raise AdmissionError(
            f"{name} does not fit on this machine: it needs {'; and '.join(short)}. "
            "Nothing was created; stop what you do not need (`celerylab status --all` lists your stacks), then try again"
        )
