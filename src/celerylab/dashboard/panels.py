"""Panels of Grafana dashboards, and what Prometheus has for them."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from celerylab.errors import InputError
from celerylab.prometheus import ask_prometheus

POINTS = 120  # a line has about so many: more than a small chart can show is not asked for


@dataclass(frozen=True)
class Target:
    """One query of a panel; `legend` names its lines, with `{{label}}` filled in."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One chart. `unit` is Grafana's word: short, s, bytes, percentunit, ops."""

    title: str
    unit: str
    targets: tuple[Target, ...]


def read_panels(path: Path) -> list[Panel]:
    """The time series of a Grafana dashboard, in order. Raises InputError where the file is no dashboard."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["panels"]
        return [
            Panel(
                panel["title"],
                panel["fieldConfig"]["defaults"].get("unit", "short"),
                tuple(Target(target["expr"], target.get("legendFormat", "")) for target in panel["targets"]),
            )
            for panel in found
            if panel["type"] == "timeseries"
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is no Grafana dashboard: {type(error).__name__}: {error}") from None


def draw(panel: Panel, prometheus: str, minutes: int) -> dict[str, Any]:
    """The panel with its lines over the last `minutes`: name, and points of a moment (seconds since 1970) and a value, None where there is none.

    Raises EngineError where Prometheus does not answer, or refuses the query.
    """
    now = time.time()
    step = max(1, minutes * 60 // POINTS)
    lines = []
    for target in panel.targets:
        arguments = {"query": target.expr, "start": now - minutes * 60, "end": now, "step": step}
        for series in ask_prometheus(prometheus, "query_range", arguments)["result"]:
            points = [[moment, float(value) if isfinite(float(value)) else None] for moment, value in series["values"]]
            lines.append({"name": _legend(target.legend, series["metric"]), "points": points})
    return {**asdict(panel), "lines": lines, "start": now - minutes * 60, "end": now}


def _legend(template: str, labels: Mapping[str, str]) -> str:
    named = re.sub(r"\{\{ *(\w+) *\}\}", lambda match: labels.get(match[1], ""), template)
    return named or ", ".join(f"{key}={value}" for key, value in sorted(labels.items()) if key != "__name__")
