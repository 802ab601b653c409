"""A host that was just started: how to wait until systemd has finished booting, in one command that runs on it."""

from typing import Any

BOOT_SECONDS = 60
# One command that waits on the host: each `docker exec` costs more than what it asks here. Before systemd listens, systemctl says `offline` at once.
BOOTED = [
    "timeout",
    str(BOOT_SECONDS),
    "sh",
    "-c",
    "until systemctl is-system-running --wait | grep -Eqx 'running|degraded'; do sleep 0.05; done",
]


def wait_task() -> dict[str, Any]:
    """The same as a task of a play: Ansible starts and connects while the host boots."""
    return {"name": "Wait until the host has booted", "ansible.builtin.command": {"argv": BOOTED}, "changed_when": False}
