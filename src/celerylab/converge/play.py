"""One Ansible run on one host: in a folder that nobody else reads and that is gone afterwards."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celerylab.converge.ansible_client import CancelledError, private_folder, run_ansible, tail
from celerylab.converge.connection import Connection, inventory_variables
from celerylab.errors import ConvergeError

TIMEOUT_SECONDS = 900


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

    Raises ConvergeError naming host, role, task and message of the last failure: a role that rescues one says in its own words what is wrong.
    """
    tasks = changed = 0
    failure, code = "", 1
    folder = private_folder()
    try:
        arguments = _files(folder, host, connection, play, variables, roles)
        arguments += ["--skip-tags", ",".join(skip_tags)] if skip_tags else []
        for event in run_ansible(folder, arguments, cancelled, TIMEOUT_SECONDS):
            if "task" in event:
                tasks += 1
                on_task(event["task"])
            changed += event.get("changed", False)
            failure, code = event.get("failed", failure), event.get("exit", code)
        if code != 0:
            raise ConvergeError(failure or f"{host}: ansible-playbook failed: {tail(folder)}")
    except CancelledError:
        raise ConvergeError(f"{host}: cancelled; run `pulumi up` again, it goes on with what is not done") from None
    except TimeoutError:
        raise ConvergeError(f"{host}: Ansible did not finish within {TIMEOUT_SECONDS} s") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return PlayResult(tasks, changed)


def _files(
    folder: Path, host: str, connection: Connection, play: Mapping[str, Any], variables: Mapping[str, Any], roles: Path
) -> list[str]:
    """Writes playbook and inventory, and roles beside them, where Ansible looks for them first; the arguments that name them."""
    (folder / "roles").symlink_to(roles)
    playbook, inventory = folder / "playbook.json", folder / "inventory.json"
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, **play}]), encoding="utf-8")
    hosts = {host: {**inventory_variables(connection), **variables}}
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
    return ["--inventory", str(inventory), str(playbook)]
