"""How a host is reached: a container through Docker, or an existing machine through SSH. With mitogen where it is installed."""

import os
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from celerylab.errors import ConvergeError

Connection = Mapping[str, Any]


def docker_connection(container: str) -> dict[str, Any]:
    """Through `docker exec` into `container`, as root."""
    return {"type": "docker", "container": container}


def inventory_variables(connection: Connection) -> dict[str, Any]:
    """Ansible's connection variables for one host."""
    if connection["type"] == "docker":
        plugin = "mitogen_docker" if has_mitogen() else "community.docker.docker"
        return {"ansible_connection": plugin, "ansible_host": connection["container"], "ansible_python_interpreter": "/usr/bin/python3"}
    variables = {
        "ansible_connection": "mitogen_ssh" if has_mitogen() else "ssh",
        "ansible_host": connection["host"],
        "ansible_become": True,
    }
    named = {"ansible_user": "user", "ansible_port": "port", "ansible_ssh_private_key_file": "key"}
    return {**variables, **{name: connection[key] for name, key in named.items() if connection.get(key)}}


def has_mitogen() -> bool:
    """Whether mitogen is installed; CELERYLAB_MITOGEN=0 does without it."""
    return os.environ.get("CELERYLAB_MITOGEN") != "0" and find_spec("ansible_mitogen") is not None


def strategy_environment() -> dict[str, str]:
    """Environment of ansible-playbook that lets mitogen carry its tasks; empty without mitogen."""
    if not has_mitogen():
        return {}
    return {"ANSIBLE_STRATEGY_PLUGINS": str(Path(__file__).parent / "strategy"), "ANSIBLE_STRATEGY": "mitogen_unpinned"}


def run_on_host(connection: Connection, command: list[str], seconds: float = 60) -> str:
    """Output of `command` on the host. Raises ConvergeError with what it said where it fails, and where it takes longer than `seconds`."""
    if connection["type"] == "docker":
        prefix = ["docker", "exec", connection["container"]]
    else:
        options = [
            *(["-p", str(connection["port"])] if connection.get("port") else []),
            *(["-i", connection["key"]] if connection.get("key") else []),
        ]
        user = f"{connection['user']}@" if connection.get("user") else ""
        prefix = ["ssh", "-o", "BatchMode=yes", *options, f"{user}{connection['host']}"]
    where = connection.get("container") or connection["host"]
    try:
        result = subprocess.run([*prefix, *command], capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise ConvergeError(f"{' '.join(command)} did not end within {seconds:g} s on {where}") from None
    if result.returncode != 0:
        raise ConvergeError(f"{' '.join(command)} failed on {where}: {result.stderr.strip()}")
    return result.stdout
