"""What of this machine celerylab depends on, and what to do about each thing that is wrong."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

from celerylab.converge.connection import has_mitogen
from celerylab.errors import CelerylabError
from celerylab.paths import data_dir
from celerylab.providers.engine import engine
from celerylab.providers.machine import machine
from celerylab.pulumi_stack import PulumiStack
from celerylab.topology.addresses import pool
from celerylab.topology.admission import INOTIFY_FOR_MANY, INOTIFY_LIMIT
from celerylab.topology.units import format_bytes

LOW_MEMORY = 1 * 2**30
LOW_DISK = 5 * 2**30
FEW_HOSTS = 16  # two stacks of the multi-worker rung
OLDEST_ENGINE = (20, 10)
State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `remedy` is empty when `state` is ok."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Every finding, in the order in which one would mend them. Never raises: what cannot be asked is a problem by itself."""
    return [_guarded(name, look) for name, look in _LOOKS.items()]


def _guarded(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except (CelerylabError, OSError, ValueError) as error:
        return Finding(name, "problem", str(error), "mend this first; what follows may depend on it")


def _engine() -> Finding:
    details = engine().version()
    found = tuple(int(part) for part in details["Version"].split(".")[:2])
    where = os.environ.get("DOCKER_HOST", "the default socket")
    if found < OLDEST_ENGINE:
        return Finding("Docker engine", "problem", details["Version"], "update to Docker Engine 20.10 or later")
    return Finding("Docker engine", "ok", f"{details['Version']} at {where}")


def _docker_command() -> Finding:
    found = shutil.which("docker")
    if found is None:
        return Finding("docker command", "problem", "not on PATH", "install Docker's command line: checks and shells run through it")
    return Finding("docker command", "ok", found)


def _control_groups() -> Finding:
    info = engine().info()
    detail = f"v{info.get('CgroupVersion', '1')}, driver {info.get('CgroupDriver', '?')}"
    limits = {"memory": info.get("MemoryLimit"), "cpu": info.get("CpuCfsQuota")}
    lacking = [name for name, there in limits.items() if not there]
    if lacking:
        remedy = f"the kernel lacks the {' and '.join(lacking)} controller: limits of hosts will not hold"
        return Finding("control groups", "problem", detail, remedy)
    return Finding("control groups", "ok", detail)


def _architecture() -> Finding:
    here, there = platform.machine(), engine().info()["Architecture"]
    known = there in ("x86_64", "aarch64")
    return Finding(
        "architecture",
        "ok" if known else "warning",
        f"{there} (this computer: {here})",
        "" if known else "celerylab has been run on x86_64 and is written for aarch64; see docs/platforms.md",
    )


def _memory() -> Finding:
    free = machine().memory
    low = free < LOW_MEMORY
    return Finding(
        "memory", "warning" if low else "ok", f"{format_bytes(free)} free", "close something, or give Docker more" if low else ""
    )


def _disk() -> Finding:
    free = machine().disk
    if free is None:
        return Finding("disk", "ok", "not visible from here (Docker runs elsewhere)")
    low = free < LOW_DISK
    remedy = "`celerylab images prune` and `docker system prune` free some" if low else ""
    return Finding("disk", "warning" if low else "ok", f"{format_bytes(free)} free where Docker keeps its data", remedy)


def _addresses() -> Finding:
    left = machine().subnets
    remedy = "" if left >= 2 else "destroy stacks you no longer need, or set CELERYLAB_POOL to another private range"
    return Finding("addresses", "ok" if left >= 2 else "problem", f"{left} subnets free in {pool()}", remedy)


def _hosts() -> Finding:
    left = machine().hosts
    if left is None:
        return Finding("hosts", "ok", "how many can boot is not visible from here (Docker runs elsewhere)")
    remedy = f"for more at once: sudo sysctl {INOTIFY_LIMIT}={INOTIFY_FOR_MANY}" if left < FEW_HOSTS else ""
    return Finding("hosts", "warning" if left < FEW_HOSTS else "ok", f"{left} more can boot", remedy)


def _proxies() -> Finding:
    found = {name: value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy", "no_proxy") and value}
    if not found:
        return Finding("proxies", "ok", "none set")
    without_local = not any("127.0.0.1" in value or "localhost" in value for name, value in found.items() if name.lower() == "no_proxy")
    remedy = "add 127.0.0.1 and localhost to no_proxy: labs are reached there" if without_local else ""
    return Finding("proxies", "warning" if without_local else "ok", ", ".join(sorted(found)), remedy)


def _pulumi() -> Finding:
    stack = PulumiStack(data_dir(), "doctor")
    result = subprocess.run(["pulumi", "version"], env=stack.environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        return Finding("Pulumi", "problem", result.stderr.strip() or "does not run", "run scripts/setup")
    backend = stack.environment["PULUMI_BACKEND_URL"]
    return Finding("Pulumi", "ok", f"{result.stdout.strip()}, SDK {version('pulumi')}, state in {backend}")


def _python() -> Finding:
    extras = ", mitogen" if has_mitogen() else ", no mitogen: converging takes three times as long"
    return Finding(
        "Python", "ok", f"{sys.version.split()[0]}, celerylab {version('celerylab')}, ansible-core {version('ansible-core')}{extras}"
    )


_LOOKS: dict[str, Callable[[], Finding]] = {
    "Docker engine": _engine,
    "docker command": _docker_command,
    "control groups": _control_groups,
    "architecture": _architecture,
    "memory": _memory,
    "disk": _disk,
    "addresses": _addresses,
    "hosts": _hosts,
    "proxies": _proxies,
    "Pulumi": _pulumi,
    "Python": _python,
}
