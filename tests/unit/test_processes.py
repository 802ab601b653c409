"""A run is let end by itself; what one that was cut short left behind is ended, and nothing else; and who must not end while a run goes on."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from celerylab.processes import end_processes_naming, run_to_its_end

SLEEP = "import time; time.sleep(60)"


def test_processes_that_name_the_folder_are_ended_and_no_others(tmp_path: Path) -> None:
    left, other = tmp_path / "run-1", tmp_path / "run-10"
    processes = [
        subprocess.Popen([sys.executable, "-c", SLEEP, f"{folder}/inventory.yml"], start_new_session=True) for folder in (left, other)
    ]
    try:
        assert end_processes_naming(left) == 1
        assert processes[0].wait(timeout=10) == -9
        assert processes[1].poll() is None
        assert end_processes_naming(left) == 0
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_who_started_pulumi_may_end_without_ending_the_run(tmp_path: Path) -> None:
    """A shell does when its terminal is closed, while a `pulumi` in the background goes on."""
    program = tmp_path / "pulumi"
    shutil.copy("/bin/sh", program)
    ask = f"{sys.executable} -c 'from celerylab.processes import ancestors; print(*ancestors())'"
    said = subprocess.run([program, "-c", f"echo $$; {ask}; true"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0] == said[1]


# A command that takes a second to end when it is told to, as `pulumi` does; it notes if it is told again meanwhile.
SLOW = """
import pathlib, signal, socket, sys
log = pathlib.Path(sys.argv[1])
told, telling = socket.socketpair()
telling.setblocking(False)
signal.set_wakeup_fd(telling.fileno())
signal.signal(signal.SIGINT, lambda *_: None)
log.write_text("ready")
told.settimeout(60)
told.recv(1)
told.settimeout(1)
try:
    told.recv(1)
except TimeoutError:
    log.write_text("told once")
else:
    log.write_text("told twice")
"""
# `celerylab` around it; its exit code is that of the error. What it passes on comes a little later, for two signals at the same moment would be one.
AROUND = """
import os, pathlib, subprocess, sys, time
from celerylab.errors import InterruptedRunError
from celerylab.processes import run_to_its_end
send = subprocess.Popen.send_signal
subprocess.Popen.send_signal = lambda *arguments: (time.sleep(0.3), send(*arguments))
try:
    run_to_its_end([sys.executable, *sys.argv[1:]], pathlib.Path.cwd(), os.environ)
except InterruptedRunError as error:
    sys.exit(error.exit_code)
"""


def wait_for(log: Path) -> None:
    deadline = time.monotonic() + 30
    while not log.is_file() or not log.read_text():
        assert time.monotonic() < deadline, "the command did not begin"
        time.sleep(0.05)


@pytest.fixture
def around(tmp_path: Path) -> tuple[list[str], Path]:
    """A command that runs SLOW to its end, and what SLOW writes to."""
    log = tmp_path / "log"
    return [sys.executable, "-c", AROUND, "-c", SLOW, str(log)], log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_without_a_terminal_a_command_is_told_once_and_waited_for(
    around: tuple[list[str], Path], number: signal.Signals, send: Callable[[int, int], None]
) -> None:
    command, log = around
    process = subprocess.Popen(command, start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    wait_for(log)
    send(process.pid, number)
    assert process.wait(timeout=30) == 130
    assert log.read_text() == "told once"


@pytest.mark.parametrize("by_key", [True, False], ids=["ctrl-c", "sigterm"])
def test_in_a_terminal_a_command_is_told_once_and_waited_for(around: tuple[list[str], Path], by_key: bool) -> None:
    command, log = around
    terminal, its_side = pty.openpty()

    def begin() -> None:
        os.login_tty(its_side)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    process = subprocess.Popen(command, preexec_fn=begin, pass_fds=[its_side])
    wait_for(log)
    if by_key:
        os.write(terminal, b"\x03")
    else:
        process.terminate()
    assert process.wait(timeout=30) == 130
    os.close(terminal)
    os.close(its_side)
    assert log.read_text() == "told once"


def test_a_command_that_nobody_interrupts_says_how_it_ended(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    program = "import sys; sys.stderr.write('wrong'); print(repr(sys.stdin.read())); sys.exit(3)"
    result = run_to_its_end([sys.executable, "-c", program], tmp_path, os.environ, quiet=True)
    assert (result.returncode, result.stdout, result.stderr) == (3, "''\n", "wrong")
    assert signal.getsignal(signal.SIGINT) is before
