"""Processes around a Pulumi run: how it is let end by itself, who our ancestors are, and what a killed run left running."""

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from celerylab.errors import InterruptedRunError

_PROC = Path("/proc")
# How Pulumi starts the language host and our providers: the address of its engine is the last argument.
_PLUGIN = re.compile(r"(pulumi-language-python|pulumi-resource-pulumi-python|pulumi\.dynamic)\b.* (127\.0\.0\.1|localhost):(\d+)$")


class _Told:
    """Signals that asked us to end while a command ran: the command is told once, and we go on waiting for it."""

    def __init__(self, by_terminal: bool) -> None:
        self._by_terminal = by_terminal
        self._process: subprocess.Popen[str] | None = None
        self.asked: set[int] = set()

    def hear(self, number: int, _frame: object) -> None:
        """The handler of the signals."""
        self.asked.add(number)
        self._tell()

    def about(self, process: subprocess.Popen[str]) -> None:
        """The command runs now; a signal may have come before."""
        self._process = process
        self._tell()

    def _tell(self) -> None:
        to_us_alone = self.asked - ({signal.SIGINT} if self._by_terminal else set())
        if to_us_alone and self._process is not None:
            process, self._process = self._process, None
            process.send_signal(signal.SIGINT)


def run_to_its_end(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], quiet: bool = False
) -> subprocess.CompletedProcess[str]:
    """Runs `command` in `folder` and waits until it has ended by itself, also where we are asked to end meanwhile.

    Ctrl-C in a terminal reaches the command as well as us. A signal that reaches us alone is passed on as SIGINT, once, for at a second one
    `pulumi` gives up at once. When it is `quiet`, its output is in the result instead of in the terminal, and it has no input.
    In a thread other than the main one nothing asks us to end. Raises InterruptedRunError, when the command has ended, if we were asked to.
    """
    # Without a terminal it has a group of its own, so that a signal to our whole group does not reach it twice.
    same_group = not _in_main_thread() or _in_foreground()
    pipe, nothing = (subprocess.PIPE, subprocess.DEVNULL) if quiet else (None, None)
    with _told(by_terminal=same_group) as told:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            text=True,
            stdin=nothing,
            stdout=pipe,
            stderr=pipe,
            process_group=None if same_group else 0,
        )
        told.about(process)
        output, errors = process.communicate()
    if told.asked:
        raise InterruptedRunError(f"{Path(command[0]).name} was interrupted")
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


@contextmanager
def _told(by_terminal: bool) -> Iterator[_Told]:
    """Hears SIGINT and SIGTERM instead of what hears them now; not one that is ignored, as in a job that a script left in the background."""
    told = _Told(by_terminal)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN] if _in_main_thread() else []
    for number in heard:
        signal.signal(number, told.hear)
    try:
        yield told
    finally:
        for number in heard:
            signal.signal(number, before[number])


def _in_main_thread() -> bool:
    """Whether this is the thread that Python runs handlers of signals in."""
    return threading.current_thread() is threading.main_thread()


def _in_foreground() -> bool:
    """Whether Ctrl-C in our terminal, if we have one, reaches our group of processes."""
    try:
        terminal = os.open(os.ctermid(), os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


def ancestors() -> tuple[int, ...]:
    """Our parent, its parent and so on, up to the `pulumi` that began all this; who began that may go, as a shell does when its terminal is closed.

    Changes when one of them is killed, because its children get another parent.
    """
    if not _PROC.is_dir():
        return (os.getppid(),)
    chain: list[int] = []
    process, name = os.getpid(), ""
    while process > 1 and name != "pulumi":
        try:
            process = int(_status(process)["PPid"])
            name = _status(process)["Name"]
        except (OSError, KeyError):
            break
        chain.append(process)
    return tuple(chain)


def alive(process: int) -> bool:
    """Whether a process of that number runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end_orphaned_plugins() -> int:
    """Ends plugins of Pulumi runs of this user whose engine is gone; returns how many. A live engine still listens, so its own are safe."""
    ended = 0
    for folder in _PROC.glob("[0-9]*") if _PROC.is_dir() else []:
        try:
            match = _PLUGIN.search((folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip())
            if match is None or folder.stat().st_uid != os.getuid() or _listens(int(match[3])):
                continue
            os.kill(int(folder.name), signal.SIGTERM)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        ended += 1
    return ended


def end_processes_naming(folder: Path) -> int:
    """Ends this user's processes whose command line names `folder`; returns how many.

    For a run of Ansible that was cut short: mitogen's part of it has a session of its own, sometimes outlives the rest, and holds secrets.
    """
    ended = 0
    for process in _PROC.glob("[0-9]*") if _PROC.is_dir() else []:
        try:
            if process.stat().st_uid == os.getuid() and f"{folder}/".encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
                ended += 1
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return ended


def _status(process: int) -> dict[str, str]:
    lines = (_PROC / str(process) / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
