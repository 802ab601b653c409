"""Faults that hold for as long as a process does: it ends when its standard input does, so also when whoever holds it was killed."""

import subprocess

_END_SECONDS = 15


def ended(holder: "subprocess.Popen[str]") -> str:
    """Ends the holder of a fault, which undoes it; its last words."""
    try:
        said = holder.communicate(timeout=_END_SECONDS)[1]
    except subprocess.TimeoutExpired:
        holder.terminate()  # docker passes it on
        said = f"it did not end within {_END_SECONDS} s"
    except ValueError:  # ended before
        said = ""
    return (said.strip().splitlines() or [""])[-1]
