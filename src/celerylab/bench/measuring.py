"""Seconds, memory, and the table of figures with their targets."""

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celerylab.errors import EngineError
from celerylab.providers.engine import engine
from celerylab.topology.names import label


@dataclass
class Figure:
    """One row of the table. `target` is what the median may be at most, or with `at_least` what it must be; None for a figure to compare with."""

    what: str
    target: float | None = None
    at_least: bool = False
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle one of the values."""
        return statistics.median(self.values)

    @property
    def missed(self) -> bool:
        """Whether the median is on the wrong side of the target."""
        if self.target is None:
            return False
        return self.median < self.target if self.at_least else self.median > self.target

    @property
    def row(self) -> dict[str, Any]:
        """The row as data; numbers with as many digits as they can be trusted."""
        digits = 2 if self.median < 1 else 1 if self.median < 1000 else None
        numbers = {"median": self.median, "min": min(self.values), "max": max(self.values)}
        return {"what": self.what, **{key: round(value, digits) for key, value in numbers.items()}, "target": self.target}


def report(figures: list[Figure], path: Path | None, machine: Mapping[str, Any]) -> str:
    """The table; the same as JSON, with what is known of the `machine`, goes to `path`."""
    lines = [f"| {'what':50} | median | min | max | target |", "| --- | --- | --- | --- | --- |"]
    for figure in figures:
        row = figure.row
        target = "" if figure.target is None else f"{'at least ' if figure.at_least else ''}{figure.target:g}"
        lines.append(f"| {figure.what:50} | {row['median']} | {row['min']} | {row['max']} | {target} |")
    if path:
        content = {"machine": dict(machine), "figures": [figure.row for figure in figures]}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return "\n".join(lines)


def timed(action: Callable[[], object]) -> float:
    """Seconds that `action` takes."""
    started = time.monotonic()
    action()
    return time.monotonic() - started


def quietly(command: list[str], folder: Path) -> None:
    """Runs a command in `folder`. Raises EngineError with the end of its output where it fails."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        raise EngineError(f"{' '.join(command)} ended with {result.returncode}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}")


def memory(instance: str) -> float:
    """MiB that all containers of an instance use, without what the kernel could take back."""
    used = 0
    for container in engine().containers.list(filters={"label": f"{label('instance')}={instance}"}):
        statistics_now: dict[str, Any] = container.stats(stream=False)["memory_stats"]
        cache = statistics_now.get("stats", {})
        used += statistics_now["usage"] - cache.get("total_inactive_file", cache.get("inactive_file", 0))
    return used / 2**20
