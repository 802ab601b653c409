"""Runs that are interrupted, by Ctrl-C, SIGTERM or SIGKILL: the same command again goes on, and nothing stays."""

import contextlib
import os
import pty
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celerylab.converge.workers import MARKER
from celerylab.providers.engine import find_container
from celerylab.pulumi_stack import PulumiStack
from celerylab.shell_environment import shell_environment
from tests.live.conftest import LiveStack

SECONDS = 120


def locked(stack: LiveStack) -> bool:
    """Whether a run has begun to work on the stack."""
    return bool(PulumiStack(stack.folder, stack.name).locks())


def converging(stack: LiveStack) -> bool:
    """Whether Ansible is at work on the host: it has noted that it began."""
    container = find_container(f"celerylab-{stack.instance}-node-1")
    return container is not None and container.status == "running" and container.exec_run(["test", "-e", MARKER]).exit_code == 0


def variables() -> set[Path]:
    """Where the runs of Ansible on this machine keep their variables, those of other tests as well."""
    return set(Path("/dev/shm").glob("celerylab-*"))


def wait_until(holds: Callable[[LiveStack], bool], stack: LiveStack, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds(stack):
        assert time.monotonic() < deadline, f"not {holds.__name__} after {seconds:.0f} s"
        time.sleep(0.1)


def interrupted(
    stack: LiveStack, when: Callable[[LiveStack], bool], number: signal.Signals, *command: str
) -> subprocess.CompletedProcess[str]:
    """Runs `pulumi` in a group of its own, as a terminal does, and sends a signal as soon as `when` holds: Ctrl-C to the group, a kill to the one."""
    process = subprocess.Popen(
        ["pulumi", *command, "--yes", "--skip-preview", "--non-interactive", "--stack", stack.name],
        cwd=stack.folder,
        env={**os.environ, **shell_environment(os.environ)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_until(when, stack)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    output, _ = process.communicate(timeout=SECONDS)
    return subprocess.CompletedProcess(command, process.returncode, output, "")


def start_up(stack: LiveStack, **how: Any) -> subprocess.Popen[bytes]:
    """Starts `celerylab up`; returns when Ansible is at work on the host."""
    process = subprocess.Popen(
        ["celerylab", "up", "02", "--stack", stack.name, "--lab", "solution"],
        cwd=stack.folder,
        env={**os.environ, **shell_environment(os.environ)},
        **how,
    )
    wait_until(converging, stack)
    return process


def goes_on(stack: LiveStack) -> None:
    """Nobody holds the stack, and the next `up` works without more ado."""
    assert not locked(stack)
    stack.celerylab("up", "--lab", "solution")
    assert stack.verdicts("02.2")["02.2"]["verdict"] == "PASS"


def test_ctrl_c_in_a_terminal_ends_celerylab_up_and_the_next_goes_on(stack: LiveStack) -> None:
    terminal, its_side = pty.openpty()
    said: list[bytes] = []

    def begin() -> None:
        os.login_tty(its_side)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def read() -> None:
        with contextlib.suppress(OSError):  # nobody writes to the terminal any more
            while text := os.read(terminal, 4096):
                said.append(text)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    process = start_up(stack, preexec_fn=begin, pass_fds=[its_side])
    os.close(its_side)
    os.write(terminal, b"\x03")
    assert process.wait(timeout=SECONDS) == 130
    reader.join()
    os.close(terminal)
    output = b"".join(said).decode()
    assert "interrupted; `pulumi up` again goes on from here" in output
    assert "Traceback" not in output
    goes_on(stack)


def test_sigterm_without_a_terminal_ends_celerylab_up_and_the_next_goes_on(stack: LiveStack, tmp_path: Path) -> None:
    with (tmp_path / "output").open("w+b") as output:
        process = start_up(stack, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        process.terminate()
        assert process.wait(timeout=SECONDS) == 130
    said = (tmp_path / "output").read_text(encoding="utf-8")
    assert "interrupted; `pulumi up` again goes on from here" in said
    assert "Traceback" not in said
    goes_on(stack)


def test_ctrl_c_during_up_and_destroy_then_up_again(stack: LiveStack, says) -> None:
    stack.pulumi("stack", "init")
    stack.pulumi("config", "set", "celerylab:lab", "solution")
    says(interrupted(stack, converging, signal.SIGINT, "up"), "update canceled")
    stack.pulumi("up", "--yes", "--skip-preview")
    assert stack.verdicts("02.2")["02.2"]["verdict"] == "PASS"
    interrupted(stack, locked, signal.SIGINT, "destroy")
    stack.pulumi("up", "--yes", "--skip-preview")
    assert stack.verdicts("02.2")["02.2"]["verdict"] == "PASS"
    assert "left behind: 0" in stack.pulumi("destroy", "--yes", "--skip-preview").stdout


def test_kill_9_then_unlock_and_up(stack: LiveStack, says) -> None:
    stack.pulumi("stack", "init")
    stack.pulumi("config", "set", "celerylab:lab", "solution")
    others = variables()
    assert interrupted(stack, converging, signal.SIGKILL, "up").returncode == -signal.SIGKILL
    killed = variables() - others
    says(stack.pulumi("up", "--yes", "--skip-preview", check=False), "the stack is currently locked")
    says(stack.celerylab("up", check=False), "is locked by another run", "celerylab unlock 02")
    assert "is unlocked" in stack.celerylab("unlock").stdout
    again = stack.pulumi("up", "--yes", "--skip-preview")
    assert "pending operations" not in again.stdout
    assert stack.verdicts("02.2")["02.2"]["verdict"] == "PASS"
    deadline = time.monotonic() + 60  # a run of another test may have begun at the same moment
    while killed & variables():  # they hold secrets
        assert time.monotonic() < deadline, f"{killed & variables()} of the killed run are still there"
        time.sleep(0.5)


def test_a_lock_whose_owner_lives_is_not_cleared(stack: LiveStack, says) -> None:
    stack.pulumi("stack", "init")
    stack.pulumi("config", "set", "celerylab:lab", "solution")
    process = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", stack.name],
        cwd=stack.folder,
        env={**os.environ, **shell_environment(os.environ)},
        stdout=subprocess.DEVNULL,
    )
    wait_until(locked, stack)
    says(stack.celerylab("unlock", check=False), f"is in use by process {process.pid}", code=7)
    assert process.wait(timeout=SECONDS) == 0
