"""One Ansible run on one host: a private directory that nobody else reads and that is gone afterwards."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celerylab.converge.connection import Connection, inventory_variables, strategy_environment
from celerylab.errors import ConvergeError
from celerylab.private_folders import short_folder
from celerylab.processes import end_processes_naming

TIMEOUT_SECONDS = 900
_ENVIRONMENT = {
    "ANSIBLE_DEPRECATION_WARNINGS": "0",
    "ANSIBLE_FORCE_HANDLERS": "1",  # what was changed before a failure is restarted as well
    "ANSIBLE_GATHERING": "explicit",
    "ANSIBLE_HOST_KEY_CHECKING": "1",
    "ANSIBLE_LOCALHOST_WARNING": "0",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_PIPELINING": "1",
    "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
    "ANSIBLE_RETRY_FILES_ENABLED": "0",
    "ANSIBLE_TIMEOUT": "60",  # seconds to connect: on a machine where many hosts boot, Ansible's 10 are few
}


@dataclass(frozen=True)
class PlayResult:
    """`tasks` ran, `changed` of them changed the host."""

    tasks: int
    changed: int


def run_play(
    host: str,
    connection: Connection,
    play: Mapping[str, Any],
    variables: Mapping[str, Any],
    roles: Path,
    skip_tags: Sequence[str] = (),
    cancelled: Callable[[], bool] = lambda: False,
    on_task: Callable[[str], None] = lambda _: None,
) -> PlayResult:
    """Runs `play` on `host`. `on_task` hears each task's name as it begins; `cancelled` is asked often.

    Raises ConvergeError naming host, role, task and message of the first failure.
    """
    import ansible_runner  # here, because importing it costs more than most callers take

    failures: list[str] = []
    counts = {"tasks": 0, "changed": 0}

    def hear(event: dict[str, Any]) -> bool:
        data = event.get("event_data", {})
        if event["event"] == "playbook_on_task_start":
            counts["tasks"] += 1
            on_task(_task_name(data))
        elif event["event"] == "runner_on_ok" and data.get("res", {}).get("changed"):
            counts["changed"] += 1
        elif event["event"] in ("runner_on_failed", "runner_on_unreachable") and not data.get("ignore_errors"):
            failures.append(f"{host}: {_task_name(data)}: {_message(data.get('res', {}))}")
        return False

    with short_folder() as private:
        hosts = {"all": {"hosts": {host: {**inventory_variables(connection), **variables}}}}
        inventory = private / "inventory.yml"
        inventory.touch(mode=0o600)
        inventory.write_text(json.dumps(hosts), encoding="utf-8")
        own = {"ANSIBLE_ROLES_PATH": str(roles), "ANSIBLE_HOME": str(private / "ansible"), "TMPDIR": str(private)}
        environment = {**_ENVIRONMENT, **strategy_environment(), **own}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        result = ansible_runner.run(
            private_data_dir=str(private),
            playbook=[{"hosts": "all", "gather_facts": False, **play}],
            inventory=str(inventory),
            envvars=environment,
            cmdline=f"--skip-tags {','.join(skip_tags)}" if skip_tags else None,
            event_handler=hear,
            cancel_callback=cancelled,
            suppress_env_files=True,
            quiet=True,
            settings={"pexpect_timeout": 1},  # seconds between two questions whether the run is cancelled
            timeout=TIMEOUT_SECONDS,
        )
        if result.status != "successful":
            end_processes_naming(private)
        if result.status == "canceled":
            raise ConvergeError(f"{host}: cancelled; run `pulumi up` again, it goes on with what is not done")
        if result.status == "timeout":
            raise ConvergeError(f"{host}: Ansible did not finish within {TIMEOUT_SECONDS} s")
        if result.status != "successful":
            # The last one: a role that rescues a failure says in its own words what is wrong.
            raise ConvergeError(failures[-1] if failures else f"{host}: ansible-playbook failed: {_tail(result)}")
    return PlayResult(counts["tasks"], counts["changed"])


def _task_name(data: Mapping[str, Any]) -> str:
    role, task = data.get("role"), str(data.get("task") or data.get("name") or "")
    return f"{role}: {task.removeprefix(f'{role} : ')}" if role else task


def _message(result: Mapping[str, Any]) -> str:
    for item in result.get("results", []):  # of a loop, the item that failed has the message
        if isinstance(item, dict) and (item.get("failed") or item.get("unreachable")):
            return _message(item)
    # A command's own words are in stderr; what Ansible says of it is only that it failed.
    said = [result.get(key) for key in ("msg", "stderr", "module_stderr", "censored")]
    return " ".join(": ".join(str(text) for text in said if text).split())[:600] or "failed"


def _tail(result: Any) -> str:
    lines = [line for line in result.stdout.read().splitlines() if line.strip()]
    return " ".join(" ".join(lines[-4:]).split())[:600]
