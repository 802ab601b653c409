"""ansible-playbook through its server: real runs on this machine, what they say, and that nothing of them stays."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celerylab.converge.ansible_client import LOG, CancelledError, private_folder, run_ansible, sweep, tail
from celerylab.processes import processes_in

SLEEP = {"name": "Sleep", "ansible.builtin.command": "sleep 60"}
KILLED = """
import json, os, sys
from celerylab.converge.ansible_client import private_folder, run_ansible
folder = private_folder()
(folder / "playbook.json").write_text(sys.argv[1])
for event in run_ansible(folder, ["--inventory", "localhost,", "--connection", "local", "playbook.json"], lambda: False, 60):
    print(folder, flush=True)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    path = private_folder()
    yield path
    assert nothing_runs_in(path)
    shutil.rmtree(path)


def nothing_runs_in(folder: Path) -> bool:
    """Soon: mitogen's part of a run ends a moment after the rest."""
    deadline = time.monotonic() + 10
    while processes_in(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def events(folder: Path, *tasks: dict[str, Any], cancelled=lambda: False, seconds: float = 60) -> list[dict[str, Any]]:
    (folder / "playbook.json").write_text(playbook(*tasks))
    arguments = ["--inventory", "localhost,", "--connection", "local", "playbook.json"]
    return list(run_ansible(folder, arguments, cancelled, seconds))


def playbook(*tasks: dict[str, Any]) -> str:
    interpreter = {"ansible_python_interpreter": sys.executable}
    return json.dumps([{"hosts": "all", "gather_facts": False, "vars": interpreter, "tasks": list(tasks)}])


def test_tasks_changes_and_the_end_are_said(folder: Path) -> None:
    touch = {"name": "Touch", "ansible.builtin.copy": {"content": "x", "dest": str(folder / "touched")}}
    said = events(folder, touch, touch)
    assert said == [{"task": "Touch"}, {"changed": True}, {"task": "Touch"}, {"exit": 0}]
    assert (folder / "touched").read_text() == "x"


def test_a_failure_says_host_task_and_the_commands_own_words(folder: Path) -> None:
    failing = {"name": "Fail", "ansible.builtin.shell": "echo {{ item }} on purpose >&2; test {{ item }} = good", "loop": ["good", "bad"]}
    assert events(folder, failing)[-2:] == [
        {"failed": "localhost: Fail: non-zero return code: bad on purpose"},
        {"exit": 2},
    ]


def test_what_is_secret_stays_so_in_a_failure(folder: Path) -> None:
    failing = {"name": "Fail", "ansible.builtin.shell": "echo pass$((6 * 7)) >&2; false", "no_log": True}
    (failed,) = (event["failed"] for event in events(folder, failing) if "failed" in event)
    assert "no_log" in failed
    assert "pass42" not in failed + (folder / LOG).read_text()


def test_what_is_ignored_is_no_failure(folder: Path) -> None:
    ignored = {"name": "Fail", "ansible.builtin.command": "false", "ignore_errors": True}
    assert events(folder, ignored) == [{"task": "Fail"}, {"exit": 0}]


def test_a_playbook_that_ansible_refuses_is_explained_in_the_log(folder: Path) -> None:
    assert events(folder, {"no_such_module": {}}) == [{"exit": 4}]
    assert "no_such_module" in tail(folder)


def test_a_cancelled_run_is_ended(folder: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(CancelledError):
        events(folder, SLEEP, cancelled=lambda: time.monotonic() > begun + 2)


def test_a_run_that_takes_too_long_is_ended(folder: Path) -> None:
    with pytest.raises(TimeoutError):
        events(folder, SLEEP, seconds=2)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes that are left are found in /proc")
def test_of_a_killed_process_nothing_is_left_after_the_next_sweep() -> None:
    program = subprocess.Popen([sys.executable, "-c", KILLED, playbook(SLEEP)], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert program.stdout is not None
    folder = Path(program.stdout.readline().strip())  # the task has begun
    assert folder.is_dir()
    program.kill()
    program.wait()
    sweep()
    assert list(folder.parent.glob(f"celerylab-{program.pid}-*")) == []
    assert nothing_runs_in(folder)
