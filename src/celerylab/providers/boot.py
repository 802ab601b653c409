"""A host that was just started: waiting until systemd has finished booting, and what to say where it does not."""

from contextlib import suppress
from typing import Any

from docker.errors import APIError

from celerylab.errors import EngineError

BOOT_SECONDS = 120
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


def wait_for_boot(container: Any) -> None:
    """Waits until systemd has finished booting. Raises EngineError where it does not, as `boot_problem` says it."""
    with suppress(APIError):  # it does not run
        container.exec_run(BOOTED)
    if problem := boot_problem(container):
        raise EngineError(problem)


def boot_problem(container: Any) -> str | None:
    """What is wrong with a host that should have booted by now, with its last words; None where it has booted."""
    container.reload()
    if container.status == "running":
        with suppress(APIError):  # it stopped in this moment
            state = container.exec_run(["systemctl", "is-system-running"]).output.decode(errors="replace").strip()
            if state in ("running", "degraded"):
                return None
            return f"host {container.name} did not boot within {BOOT_SECONDS} s (systemd says {state!r}): {_last_words(container)}"
    return f"host {container.name} stopped while booting: {_last_words(container)}"


def _last_words(container: Any) -> str:
    return " | ".join(container.logs(tail=5).decode(errors="replace").split("\n")).strip(" |") or "it printed nothing"
