"""Processes around a Pulumi run: who our ancestors are, and what a killed run left running."""

import os
import re
import signal
import socket
from pathlib import Path

_PROC = Path("/proc")
# How Pulumi starts the language host and our providers: the address of its engine is the last argument.
_PLUGIN = re.compile(r"(pulumi-language-python|pulumi-resource-pulumi-python|pulumi\.dynamic)\b.* (127\.0\.0\.1|localhost):(\d+)$")


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
