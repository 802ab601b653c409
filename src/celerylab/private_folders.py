"""Folders of one run that nobody else reads: they go with the run, or when another makes one after it was killed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celerylab.processes import alive, end_processes_naming

PREFIX = "celerylab-run-"
# In memory, where there is such a folder; and short in any case, whatever TMPDIR is.
_SHORT = ("/dev/shm", "/tmp")  # noqa: S108


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A private folder where this user keeps temporary files: the TMPDIR of a `pulumi`, whose providers leave credentials there, and it its logs."""
    with _folder_in(Path(tempfile.gettempdir())) as folder:
        yield folder


@contextmanager
def short_folder() -> Iterator[Path]:
    """A private folder for a run of Ansible, which writes many small files, some with secrets, and whose mitogen makes a socket in its TMPDIR.

    The path of a socket has at most 107 characters (103 on macOS), and with a longer one Ansible hangs for ever.
    """
    with _folder_in(_short_parent()) as folder:
        yield folder


def sweep() -> None:
    """Removes private folders whose process is gone, and ends what still works in them: they hold secrets, and nobody else would."""
    for parent in {Path(tempfile.gettempdir()), _short_parent()}:
        for folder in parent.glob(f"{PREFIX}[0-9]*-*"):
            owner = int(folder.name.removeprefix(PREFIX).split("-")[0])
            if _is_ours(folder) and not alive(owner):
                end_processes_naming(folder)
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _folder_in(parent: Path) -> Iterator[Path]:
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _short_parent() -> Path:
    usable = (Path(path) for path in _SHORT if os.access(path, os.W_OK | os.X_OK))
    return next(usable, Path(tempfile.gettempdir()))


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid()
    except FileNotFoundError:  # its own run has removed it just now
        return False
