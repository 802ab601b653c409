"""Runs a module's suite (suite.py) and makes one result of what its process managed to write."""

import shutil
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
from celerylab.topology.module import Objective, load_module
from celerylab.verify.clock import clock_problem
from celerylab.verify.objectives import applies, worst
from celerylab.verify.results import Fingerprint, ObjectiveResult, Results, Verdict
from celerylab.verify.stack import Stack
from celerylab.verify.suite import Suite

KEPT_RUNS = 20
SUITE_HASH = "suite.sha256"  # in the module's folder: the hash of the published verify/


def start_suite(module_folder: Path, instance: str, only: list[str]) -> Suite:
    """Starts the suite that decides the objectives `only` (all where empty) of the stack `instance`, as soon as `verify` gives it the stack.

    Raises InputError for an objective that does not exist.
    """
    module = load_module(module_folder)
    wanted = [module.objective(objective_id).id for objective_id in only] or [objective.id for objective in module.objectives]
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    return Suite(module_folder, wanted, data_dir() / "results" / instance / run)


def verify(
    stack: Stack,
    only: list[str],
    hear: Callable[[dict[str, Any]], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    suite: Suite | None = None,
) -> tuple[Results, Path]:
    """Runs the checks of `stack`'s module (of the objectives `only`, or of all); returns the result and its folder.

    `hear` gets each event. `cancelled` is asked often: once it says yes, faults are undone and the rest is not observed. `suite` is one that
    was started before, for the same objectives.

    Raises InputError for an objective that does not exist.
    """
    started = datetime.now(UTC)
    with suite or start_suite(stack.module_folder, stack.outputs["instance"], only) as running:
        events = running.run(stack, hear, cancelled)
    folder = running.folder
    results = assemble(stack, running.objectives, events, folder.name, started)
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
            images=stack.images,
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
