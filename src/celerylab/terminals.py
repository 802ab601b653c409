"""Terminals where the user works with celerylab: `source ./activate` notes them, and a lease that ends is announced there."""

import os
import stat
from pathlib import Path

from celerylab.paths import data_dir


def register_terminal() -> None:
    """Notes the terminal of this process, if it has one, as one where the user works with celerylab."""
    try:
        terminal = os.ttyname(0)
    except OSError:
        return
    folder = data_dir() / "terminals"
    folder.mkdir(exist_ok=True)
    (folder / terminal.strip("/").replace("/", "-")).write_text(terminal, encoding="utf-8")


def write_to_terminals(text: str) -> int:
    """Writes a line to each terminal that was noted and is still this user's; how many there were."""
    written = 0
    for note in sorted((data_dir() / "terminals").glob("*")):
        terminal = Path(note.read_text(encoding="utf-8"))
        try:
            found = terminal.stat()
            if not stat.S_ISCHR(found.st_mode) or found.st_uid != os.getuid():
                raise OSError(f"{terminal} is somebody else's now")
            descriptor = os.open(terminal, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                os.write(descriptor, f"\r\n{text}\r\n".encode())
            finally:
                os.close(descriptor)
            written += 1
        except OSError:
            note.unlink(missing_ok=True)
    return written
