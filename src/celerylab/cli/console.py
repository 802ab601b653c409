"""How commands speak: a table for people, JSON for scripts, one line for an error. Colours only on a terminal."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.status import Status

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """`value` as JSON on standard output, and nothing else there."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def done(text: str, seconds: float) -> None:
    """One finished step and how long it took, on standard error."""
    err.print(f"[green]✓[/green] {text} [dim]{seconds:.1f} s[/dim]")


class Step:
    """A long step: on a terminal one line that changes, elsewhere a line for each thing it says."""

    def __init__(self, title: str, status: Status | None) -> None:
        self._title, self._status = title, status

    def say(self, text: str) -> None:
        """What goes on now."""
        if self._status:
            self._status.update(f"{self._title}: {text}")
        else:
            err.print(f"  {text}", style="dim")


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Shows `title` with what the step says while it runs, and its time when it is done."""
    started = time.monotonic()
    if err.is_terminal:
        with err.status(title) as status:
            yield Step(title, status)
    else:
        err.print(title)
        yield Step(title, None)
    done(title, time.monotonic() - started)
