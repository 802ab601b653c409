"""Faults that hold for as long as a process does: it ends when its standard input does, so also when whoever holds it was killed."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from celerylab.verify.expect import NotObservedError

_END_SECONDS = 15


@contextmanager
def held(command: Sequence[str], what: str) -> Iterator[None]:
    """The process that `command` starts says `ready` before the block, and is ended after it; `what` is what it disturbs, for complaints."""
    holder = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us, and we undo it
    )
    assert holder.stdout is not None  # it was asked for
    try:
        if holder.stdout.readline() != "ready\n":
            raise NotObservedError(f"{what} could not be disturbed: {_ended(holder)}")
        yield
    finally:
        said = _ended(holder)
    if holder.returncode != 0:
        raise NotObservedError(f"{what} was not disturbed for as long as it should be: {said}")


def _ended(holder: "subprocess.Popen[str]") -> str:
    """Ends a process, which undoes what it did; its last words."""
    try:
        said = holder.communicate(timeout=_END_SECONDS)[1]
    except subprocess.TimeoutExpired:
        holder.terminate()  # docker passes it on
        said = f"it did not end within {_END_SECONDS} s"
    except ValueError:  # ended before
        said = ""
    return (said.strip().splitlines() or [""])[-1]
