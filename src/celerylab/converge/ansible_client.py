"""Runs playbooks through this process' ansible_server, which is started when it is first needed and ends with us."""

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from celerylab.converge.ansible_server import LOG
from celerylab.converge.connection import strategy_environment
from celerylab.errors import ConvergeError
from celerylab.processes import alive, end_processes_in

ASK_SECONDS = 1.0  # between two questions whether a run is cancelled
_PREFIX = "celerylab-"
_ENVIRONMENT = {
    "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback"),
    "ANSIBLE_DEPRECATION_WARNINGS": "0",
    "ANSIBLE_FORCE_HANDLERS": "1",  # what was changed before a failure is restarted as well
    "ANSIBLE_GATHERING": "explicit",
    "ANSIBLE_HOST_KEY_CHECKING": "1",
    "ANSIBLE_LOCALHOST_WARNING": "0",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_PIPELINING": "1",
    "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
    "ANSIBLE_RETRY_FILES_ENABLED": "0",
    "ANSIBLE_STDOUT_CALLBACK": "celerylab_events",
    "ANSIBLE_TIMEOUT": "60",  # seconds to connect: on a machine where many hosts boot, Ansible's 10 are few
}


class CancelledError(Exception):
    """Whoever wanted the run does no more."""


class _Server:
    """One ansible_server and its folder, in which it keeps what is Ansible's own."""

    def __init__(self) -> None:
        self.folder = private_folder()
        self._lock = Lock()
        self._control, other = socket.socketpair()
        environment = {**os.environ, **_ENVIRONMENT, **strategy_environment(), "ANSIBLE_HOME": str(self.folder)}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        with other, (self.folder / LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "celerylab.converge.ansible_server", str(self.folder)],
                stdin=other.fileno(),
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for us
            )

    def connect(self) -> socket.socket:
        """A socket to a fork of the server. Where the server has ended there is nobody at its other side."""
        ours, its = socket.socketpair()
        with its, self._lock, suppress(BrokenPipeError):
            socket.send_fds(self._control, [b"\n"], [its.fileno()])
        return ours

    def end(self) -> None:
        """Ends the server and all runs."""
        self._control.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._process.kill()


_servers: list[_Server] = []
_starting = Lock()


def start_ansible() -> None:
    """Starts the server where there is none yet: whoever will soon need it can let it import Ansible meanwhile."""
    with _starting:
        if not _servers:
            sweep()
            _servers.append(_Server())
            atexit.register(_end)


def run_ansible(folder: Path, arguments: list[str], cancelled: Callable[[], bool], seconds: float) -> Iterator[dict[str, Any]]:
    """Runs ansible-playbook with `arguments` in `folder`; gives its events as they come, the last one `{"exit": CODE}`.

    Raises CancelledError soon after `cancelled` says so, TimeoutError after `seconds`; what runs then is ended.
    """
    start_ansible()
    process = 0
    with _servers[0].connect() as connection:
        try:
            connection.sendall(f"{json.dumps({'folder': str(folder), 'arguments': arguments})}\n".encode())
            for event in _events(connection, cancelled, time.monotonic() + seconds):
                if "process" in event:
                    process = event["process"]
                    continue
                if "exit" in event:
                    process = 0
                yield event
        except (BrokenPipeError, ConnectionResetError):
            raise ConvergeError(f"the process that runs Ansible has ended: {tail(_servers[0].folder)}") from None
        finally:
            if process:
                with suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)
                end_processes_in(folder)


def _events(connection: socket.socket, cancelled: Callable[[], bool], deadline: float) -> Iterator[dict[str, Any]]:
    connection.settimeout(ASK_SECONDS)
    received, event = b"", {}
    while "exit" not in event:
        if cancelled():
            raise CancelledError
        if time.monotonic() > deadline:
            raise TimeoutError
        with suppress(TimeoutError):
            part = connection.recv(65536)
            if not part:
                raise BrokenPipeError
            *lines, received = (received + part).split(b"\n")
            for event in map(json.loads, lines):
                yield event


def private_folder() -> Path:
    """A new folder that is ours alone, in memory where there is some: a run writes many small files, and the variables hold secrets."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_memory_directory()))


def sweep() -> None:
    """Removes folders of processes that were killed: they hold secrets, and nobody else would."""
    for path in Path(_memory_directory() or tempfile.gettempdir()).glob(f"{_PREFIX}[0-9]*-*"):
        process = path.name.removeprefix(_PREFIX).split("-")[0]
        if path.stat().st_uid == os.getuid() and not alive(int(process)):
            end_processes_in(path)
            shutil.rmtree(path, ignore_errors=True)


def tail(folder: Path) -> str:
    """The last words that Ansible printed there, in one line."""
    log = folder / LOG
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " ".join(" ".join(lines[-4:]).split())[:600]


def _end() -> None:
    for server in _servers:
        server.end()


def _memory_directory() -> str | None:
    shared = Path("/dev/shm")  # noqa: S108
    return str(shared) if shared.is_dir() and os.access(shared, os.W_OK) else None
