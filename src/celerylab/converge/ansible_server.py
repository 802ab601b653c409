"""A process that has imported Ansible, which takes 0.7 s of CPU, and forks for each run.

`python -m celerylab.converge.ansible_server FOLDER` takes sockets over the one that is its standard input, one for each run. On a run's socket
comes one line of JSON, `{"folder": ..., "arguments": [...]}`; what goes on goes back as lines of JSON: first `{"process": PID}`, then what
callback/celerylab_events.py says, last `{"exit": CODE}`. Where standard input ends, it ends with all runs, and FOLDER, which is its own, goes.
"""

import gc
import json
import os
import select
import shutil
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

LOG = "log"  # what a run prints, in its folder


def main() -> None:
    """Serves until standard input ends."""

    with suppress(ImportError):
        import ansible_mitogen.strategy  # noqa: F401

    gc.freeze()
    runs: dict[int, socket.socket] = {}
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with socket.socket(fileno=0) as control:
        sources: list[Any] = [control, ended]
        while True:
            ready, _, _ = select.select(sources, [], [])
            if ended in ready:
                os.read(ended, 4096)
                _say_what_ended(runs)
            if control in ready:
                _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
                if not descriptors:
                    break
                connection = socket.socket(fileno=descriptors[0])
                process = os.fork()
                if process == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _run(connection)
                runs[process] = connection
    for process in runs:
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
    shutil.rmtree(sys.argv[1], ignore_errors=True)


def _say_what_ended(runs: dict[int, socket.socket]) -> None:
    for process in list(runs):
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            with runs.pop(process) as connection, suppress(BrokenPipeError):
                connection.sendall(f"{json.dumps({'exit': os.waitstatus_to_exitcode(status)})}\n".encode())


def _run(events: socket.socket) -> NoReturn:
    """One run, in a process and a group of its own, and in the run's folder: that is how what it leaves is found."""
    from ansible.cli.playbook import PlaybookCLI

    code = 1
    try:
        os.setsid()
        with events.makefile("rw", encoding="utf-8", buffering=1) as stream:
            request = json.loads(stream.readline())
            print(json.dumps({"process": os.getpid()}), file=stream)
        os.chdir(request["folder"])
        _redirect(Path(request["folder"], LOG))
        os.environ["CELERYLAB_EVENTS"] = str(events.fileno())
        PlaybookCLI.cli_executor(["ansible-playbook", *request["arguments"]])
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)  # never back into the server's loop


def _redirect(log: Path) -> None:
    for path, flags, descriptors in ((os.devnull, os.O_RDONLY, [0]), (log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, [1, 2])):
        opened = os.open(path, flags, 0o600)
        for descriptor in descriptors:
            os.dup2(opened, descriptor)
        os.close(opened)


if __name__ == "__main__":
    main()
