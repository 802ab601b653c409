"""Runs a module's suite in a process of its own and makes one result of what that process managed to write."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from celerylab import __version__
from celerylab.digest import digest_tree
from celerylab.errors import InputError
from celerylab.paths import data_dir
from celerylab.topology.module import Objective
from celerylab.verify.clock import clock_now, clock_problem
from celerylab.verify.objectives import applies, worst
from celerylab.verify.results import Fingerprint, ObjectiveResult, Results, Verdict
from celerylab.verify.stack import Stack

KEPT_RUNS = 20
SUITE_HASH = "suite.sha256"  # in the module's folder: the hash of the published verify/


def verify(
    stack: Stack,
    only: list[str],
    hear: Callable[[dict[str, Any]], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Results, Path]:
    """Runs the checks of `stack`'s module (of the objectives `only`, or of all); returns the result and its folder.

    `hear` gets each event. `cancelled` is asked often: once it says yes, faults are undone and the rest is not observed.

    Raises InputError for an objective that does not exist.
    """
    wanted = [stack.module.objective(objective_id).id for objective_id in only] or [objective.id for objective in stack.module.objectives]
    started = datetime.now(UTC)
    run = f"{started:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    folder = data_dir() / "results" / stack.outputs["instance"] / run
    folder.mkdir(parents=True)
    events = _run_suite(stack, wanted, folder, hear, cancelled)
    results = assemble(stack, wanted, events, run, started)
    (folder / "results.json").write_text(results.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    _keep_recent(folder.parent)
    return results, folder


def latest_results(instance: str) -> Results | None:
    """The last finished run of an instance, or None."""
    files = sorted((data_dir() / "results" / instance).glob("*/results.json"))
    return Results.model_validate_json(files[-1].read_text(encoding="utf-8")) if files else None


def assemble(stack: Stack, wanted: list[str], events: list[dict[str, Any]], run: str, started: datetime) -> Results:
    """One result of a run's events. What was not decided is NOT_OBSERVED: an unfinished run, nothing collected, a check that vanished."""
    finished = any(event["event"] == "finished" for event in events)
    collected = [pair for event in events if event["event"] == "collected" for pair in event["checks"]]
    checks = [event for event in events if event["event"] == "check"]
    objectives = [
        _objective_result(
            objective,
            [name for objective_id, name in collected if objective_id == objective.id],
            [check for check in checks if check.get("objective") == objective.id],
            finished,
        )
        for objective in stack.module.objectives
        if objective.id in wanted and applies(objective, stack)
    ]
    problem = clock_problem(events)
    if problem:
        objectives = [objective.model_copy(update={"verdict": Verdict.NOT_OBSERVED, "cause": problem}) for objective in objectives]
    everything = {objective.id for objective in stack.module.objectives if applies(objective, stack)}
    suite = suite_hash(stack.module_folder)
    return Results(
        schema="celerylab/results/1",
        run=run,
        module=stack.module.id,
        stack=stack.name,
        owner=stack.outputs["owner"],
        lab=stack.outputs["lab"]["source"],
        settings=stack.settings,
        started=started,
        seconds=round((datetime.now(UTC) - started).total_seconds(), 1),
        complete=finished and everything <= set(wanted),
        objectives=objectives,
        fingerprint=Fingerprint(
            suite=suite,
            suite_published=suite == published_suite_hash(stack.module_folder),
            lab=stack.outputs["lab"]["digest"],
            images={name: host["image"] for name, host in stack.hosts.items()},
            celery=version("celery"),
            celerylab=__version__,
        ),
    )


def suite_hash(module: Path) -> str:
    """Hash of a module's verify/ as it is."""
    return digest_tree(module / "verify", ignore={"__pycache__"})


def published_suite_hash(module: Path) -> str:
    """Hash of a module's verify/ as it was published; empty where none is recorded."""
    path = module / SUITE_HASH
    return path.read_text(encoding="ascii").strip() if path.is_file() else ""


def _run_suite(
    stack: Stack, wanted: list[str], folder: Path, hear: Callable[[dict[str, Any]], None], cancelled: Callable[[], bool]
) -> list[dict[str, Any]]:
    report = folder / "events.jsonl"
    report.touch()
    with tempfile.TemporaryDirectory(prefix="celerylab-") as private:
        description = Path(private, "stack.json")
        description.touch(mode=0o600)
        description.write_text(json.dumps({"name": stack.name, "outputs": stack.outputs}), encoding="utf-8")
        command = [
            *(
                sys.executable,
                "-m",
                "pytest",
                str(stack.module_folder / "verify"),
                "-p",
                "celerylab.verify.plugin",
                "-p",
                "no:cacheprovider",
            ),
            *("-c", os.devnull, "--rootdir", str(stack.module_folder), "--quiet", "--no-header", "--tb=short", "-o", "addopts="),
            *("--celerylab-stack", str(description), "--celerylab-report", str(report), "--celerylab-only", ",".join(wanted)),
        ]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        with (
            (folder / "pytest.log").open("w", encoding="utf-8") as log,
            subprocess.Popen(command, stdout=log, stderr=log, env=environment) as child,
        ):
            try:
                return _follow(child, report, hear, cancelled)
            except BaseException:
                child.terminate()  # faults undo themselves when the runner is asked to end
                child.wait()
                raise


def _follow(
    child: subprocess.Popen[bytes], report: Path, hear: Callable[[dict[str, Any]], None], cancelled: Callable[[], bool]
) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    with report.open(encoding="utf-8") as lines:
        ended = False
        while True:
            line = lines.readline()
            if line.endswith("\n"):
                events.append({**json.loads(line), "heard": clock_now()})
                hear(events[-1])
            elif ended:
                return events
            else:
                try:
                    child.wait(timeout=0.1)
                    ended = True
                except subprocess.TimeoutExpired:
                    if cancelled():
                        child.terminate()
                        child.wait()
                        ended = True


def _objective_result(objective: Objective, expected: list[str], checks: list[dict[str, Any]], finished: bool) -> ObjectiveResult:
    base: dict[str, Any] = {
        "id": objective.id,
        "weight": objective.weight,
        "level": objective.level,
        "statement": objective.statement,
        "checks": expected,
    }
    base["seconds"] = round(sum(check["seconds"] for check in checks), 2)
    if not expected:
        return ObjectiveResult(**base, verdict=Verdict.NOT_OBSERVED, cause="no check of this objective was collected; see pytest.log")
    verdict = Verdict.PASS
    for check in checks:
        verdict = worst(verdict, Verdict(check["verdict"]))
    if verdict is not Verdict.FAIL and {check["name"] for check in checks} != set(expected):
        cause = "a check did not run" if finished else "the run was ended before it was decided"
        return ObjectiveResult(**base, verdict=Verdict.NOT_OBSERVED, cause=cause)
    decisive = next((check for check in checks if check["verdict"] == verdict), {})
    found = {key: decisive[key] for key in ("observed", "expected", "look", "cause", "evidence") if decisive.get(key)}
    if verdict is Verdict.FAIL:
        found.setdefault("look", objective.look)
    return ObjectiveResult(**base, verdict=verdict, **(found if verdict is not Verdict.PASS else {}))


def _keep_recent(folder: Path) -> None:
    for old in sorted(path for path in folder.iterdir() if path.is_dir())[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)


def check_published(module: Path) -> None:
    """Raises InputError where the recorded hash of a module's suite is not that of its files."""
    if suite_hash(module) != published_suite_hash(module):
        raise InputError(f"{module.name}/{SUITE_HASH} is stale: run `scripts/generate` after editing verify/")
