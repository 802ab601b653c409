"""What a drill shows: recovery time and data loss, from what was accepted and what the ledger has of it; as data, as text, and as a picture."""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from celerylab.drill.producer import Sent
from celerylab.plot import Curve, plot

STEP_SECONDS = 0.5


@dataclass(frozen=True)
class Application:
    """How one site's application fared.

    `publish_gap` is the longest time in which no broker took a task of it, `recovery` from the fault to the first effect of a task that was
    accepted after it began, `longest_wait` the longest time from acceptance to effect; all in seconds.
    """

    accepted: int
    refused: int
    elsewhere: int
    publish_gap: float
    recovery: float | None
    longest_wait: float


@dataclass(frozen=True)
class Report:
    """Outcome of a drill. `began` and `healed` are seconds from the first task. `missed` are the stated numbers that did not hold."""

    drill: str
    site: str
    began: float
    healed: float
    applications: dict[str, Application]
    lost: int
    doubled: int
    missed: list[str] = field(default_factory=list)

    @property
    def recovery(self) -> float | None:
        """The slowest application's, in seconds; None where one did not recover."""
        found = [application.recovery for application in self.applications.values()]
        return None if None in found else max(seconds for seconds in found if seconds is not None)


def judge(
    drill: str,
    site: str,
    sent: Mapping[str, tuple[Sequence[Sent], int]],
    ends: Mapping[str, Sequence[float]],
    fault: tuple[float, float],
    stated: Mapping[str, float],
) -> Report:
    """The report. `sent` are the accepted tasks and the number of refused ones by site, `ends` the moments at which each key had its effect,
    `fault` when it began and was healed, `stated` may hold `rto` (seconds) and `rpo` (tasks)."""
    every = [task for tasks, _ in sent.values() for task in tasks]
    zero = min(task.seconds for task in every)
    began, healed = fault
    applications = {home: _application(tasks, refused, ends, began, healed) for home, (tasks, refused) in sent.items()}
    lost, doubled = sum(not ends.get(task.key) for task in every), sum(len(ends.get(task.key, [])) > 1 for task in every)
    report = Report(drill, site, round(began - zero, 1), round(healed - zero, 1), applications, lost, doubled)
    if "rto" in stated and (report.recovery is None or report.recovery > stated["rto"]):
        report.missed.append(f"recovery took {_seconds(report.recovery)}, stated are {stated['rto']:g} s")
    if "rpo" in stated and lost > stated["rpo"]:
        report.missed.append(f"{lost} accepted tasks had no effect, stated are {stated['rpo']:g}")
    return report


def longest_gap(moments: list[float], begin: float, end: float) -> float:
    """Longest time between two of `moments` (or one of the bounds) from `begin` to `end`, in seconds."""
    inside = [begin, *(moment for moment in sorted(moments) if begin < moment < end), end]
    return max(later - earlier for earlier, later in pairwise(inside))


def _application(tasks: Sequence[Sent], refused: int, ends: Mapping[str, Sequence[float]], began: float, healed: float) -> Application:
    after = [min(ends[task.key]) for task in tasks if task.seconds >= began and ends.get(task.key)]
    waits = [min(ends[task.key]) - task.seconds for task in tasks if ends.get(task.key)]
    return Application(
        accepted=len(tasks),
        refused=refused,
        elsewhere=sum(task.taken_by != task.home for task in tasks),
        publish_gap=round(longest_gap([task.seconds for task in tasks], began, healed), 1),
        recovery=round(min(after) - began, 1) if after else None,
        longest_wait=round(max(waits, default=0.0), 1),
    )


def write(report: Report, folder: Path, every: Sequence[Sent], ends: Mapping[str, Sequence[float]]) -> None:
    """report.json, report.md, timeline.csv and timeline.svg in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps({**asdict(report), "recovery": report.recovery}, indent=2) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(text(report), encoding="utf-8")
    rows = timeline(every, ends)
    with (folder / "timeline.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    times = [row["seconds"] for row in rows]
    curves = [Curve(name, times, [row[name] for row in rows], "left") for name in ("accepted", "done")]
    curves.append(Curve("accepted and not done", times, [row["waiting"] for row in rows], "right"))
    title = f"{report.drill} of {report.site}: from {report.began:g} s to {report.healed:g} s"
    (folder / "timeline.svg").write_text(plot(title, "seconds", ("tasks", "waiting"), curves), encoding="utf-8")


def timeline(every: Sequence[Sent], ends: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Tasks that were accepted, done, and waiting, every half second from the first one on."""
    zero = min(task.seconds for task in every)
    done = sorted(min(ends[task.key]) for task in every if ends.get(task.key))
    last = max([task.seconds for task in every] + done) - zero
    accepted, ended = (Counter(int((moment - zero) / STEP_SECONDS) for moment in moments) for moments in ([t.seconds for t in every], done))
    rows, taken, had = [], 0, 0
    for step in range(int(last / STEP_SECONDS) + 1):
        taken, had = taken + accepted[step], had + ended[step]
        rows.append({"seconds": (step + 1) * STEP_SECONDS, "accepted": taken, "done": had, "waiting": taken - had})
    return rows


def text(report: Report) -> str:
    """The report for people, in Markdown."""
    lines = [
        f"# {report.drill} of site {report.site}",
        "",
        f"The fault lasted from {report.began:g} s to {report.healed:g} s. Recovery took {_seconds(report.recovery)}.",
        f"Accepted tasks without an effect: {report.lost}. With more than one: {report.doubled}.",
        "",
        "| application of | accepted | by another site | refused | nothing accepted for | recovery | longest wait |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for home, found in report.applications.items():
        numbers = f"{found.accepted} | {found.elsewhere} | {found.refused} | {found.publish_gap:g} s"
        lines.append(f"| {home} | {numbers} | {_seconds(found.recovery)} | {found.longest_wait:g} s |")
    lines += ["", *(f"Not as stated: {missed}." for missed in report.missed)]
    return "\n".join(lines).rstrip() + "\n"


def _seconds(found: float | None) -> str:
    return "for ever" if found is None else f"{found:g} s"
