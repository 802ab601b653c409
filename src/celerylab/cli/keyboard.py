"""Single keys from a terminal, without Enter and without waiting longer than asked."""

import os
import select
import sys
import termios
import time
import tty
from types import TracebackType
from typing import Any


class Keyboard:
    """A context in which keys come one by one; the terminal is as it was afterwards. Without a terminal no key ever comes."""

    def __init__(self) -> None:
        self._terminal = sys.stdin.isatty()
        self._before: list[Any] = []

    def __enter__(self) -> "Keyboard":
        if self._terminal:
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._terminal:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def waiting(self, seconds: float = 0) -> bool:
        """Whether a key has been pressed, or is within `seconds`."""
        if not self._terminal:
            time.sleep(seconds)
            return False
        return bool(select.select([sys.stdin], [], [], seconds)[0])

    def pressed(self, seconds: float) -> str:
        """The next key, or nothing where none is pressed within `seconds`."""
        return os.read(sys.stdin.fileno(), 1).decode(errors="ignore") if self.waiting(seconds) else ""
