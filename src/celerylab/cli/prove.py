"""The command that proves suites: every variant of a module on real environments, and `proof.json` where all gave what they must."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from celerylab.cli.arguments import Json, complete_module
from celerylab.cli.cluster import prepare
from celerylab.cli.console import done, err, out, print_json, step
from celerylab.clusters.on_demand import ClusterOnDemand
from celerylab.errors import InputError
from celerylab.images.wanted import bake_wanted
from celerylab.paths import project_root
from celerylab.proof.contract import Variant, coverage_problems, variants
from celerylab.proof.progress import ProgressFile
from celerylab.proof.record import PROOF, changed_rooms, make_proof, staleness
from celerylab.proof.run import Outcome, placed, prove_variant
from celerylab.proof.suite_linter import lint_suite
from celerylab.providers.engine import engine
from celerylab.topology.module import CourseModule, load_module, module_folder, module_folders

Modules = Annotated[list[str], typer.Argument(metavar="[MODULE]...", help="Modules to prove.", autocompletion=complete_module)]
Work = tuple[Path, CourseModule, Variant]


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command()(prove)


def prove(
    modules: Modules = [],  # noqa: B006 (typer reads it once)
    all_: Annotated[bool, typer.Option("--all", help="Every module.")] = False,
    stale: Annotated[bool, typer.Option(help="Modules that changed since they were proved.")] = False,
    minutes: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="With --all: only a share that fits N minutes, another one each day; no proof is written."),
    ] = None,
    variant: Annotated[
        list[str], typer.Option(metavar="LAB", help="Only this variant, such as mutants/slow-restart; may repeat; no proof is written.")
    ] = [],  # noqa: B006
    jobs: Annotated[
        int, typer.Option(min=1, max=8, help="How many variants at a time; more than one on a machine with cores to spare.")
    ] = 1,
    again: Annotated[bool, typer.Option(help="Prove everything anew, also what an interrupted proof has done already.")] = False,
    cluster: Annotated[
        str,
        typer.Option(metavar="NAME", help="The stack of the cluster for modules on Kubernetes; a fresh one, gone afterwards, by default."),
    ] = "",
    json_: Json = False,
) -> None:
    """Proves that suites can fail: starter, solutions, mutants and controls of each module, each on a fresh real environment.

    Writes modules/NN-slug/proof.json where everything gave what it must. Ends with 1 where something did not. A proof that was cut short goes on
    where it was, if nothing has changed since.

    Example: celerylab prove 02
    """
    folders = _chosen(modules, all_, stale)
    if minutes and not all_:
        raise InputError("--minutes picks a share of all modules: write `celerylab prove --all --minutes 10`")
    if not folders:
        out.print("every module's proof is up to date")
        return
    try:
        work = [(folder, load_module(folder), found) for folder in folders for found in _variants(folder, variant)]
    except InputError as error:
        if variant:
            raise
        err.print(str(error), style="red", markup=False)  # a module that is wrong is a proof that failed
        raise typer.Exit(1) from None
    problems = [] if variant else [problem for folder in folders for problem in static_problems(folder)]
    if problems:  # most of an hour would pass, and no proof would be written
        for problem in problems:
            err.print(problem, style="red", markup=False)
        raise typer.Exit(1)
    engine()
    with step("images") as baking:
        bake_wanted([module.id for _, module, _ in work], baking.say)
    if minutes:
        work = share_of_today(work, datetime.now(UTC))
    partial = bool(minutes or variant)
    kept = {} if partial else {folder: ProgressFile(project_root(), folder) for folder in folders}
    if again:
        for file in kept.values():
            file.forget()
    with ClusterOnDemand("prove", {"cluster": cluster}, lambda: prepare({})) as clusters:
        outcomes = _run(work, jobs, time.monotonic() + minutes * 60 if minutes else None, kept, clusters)
    summaries = [_conclude(folder, [o for f, o in outcomes if f == folder], partial) for folder in folders]
    for folder, summary in zip(folders, summaries, strict=True):
        if folder in kept and not summary["problems"]:  # the proof is written
            kept[folder].forget()
    if json_:
        print_json([summary for summary in summaries if summary["runs"]])
    if minutes:
        out.print(f"{len(outcomes)} of {len(work)} variants of {len(folders)} modules within {minutes} minutes")
    if any(summary["problems"] for summary in summaries):
        raise typer.Exit(1)


def static_problems(folder: Path) -> list[str]:
    """What needs no environment to be wrong: objectives without mutants, and vacuous checks."""
    module = load_module(folder)
    mutants = [found for found in variants(folder, module) if found.kind == "mutant"]
    return placed(folder, module, coverage_problems(module, mutants)) + [str(finding) for finding in lint_suite(folder / "verify")]


def share_of_today(work: list[Work], now: datetime) -> list[Work]:
    """`work`, beginning somewhere else each day, so that a budget reaches all of it in time."""
    turning = deque(work)
    turning.rotate(-((now.toordinal() * 7) % len(work)))
    return list(turning)


def _chosen(modules: list[str], all_: bool, stale: bool) -> list[Path]:
    root = project_root()
    everything = list(module_folders(root).values())
    if sum([bool(modules), all_, stale]) != 1:
        raise InputError("write the modules to prove, such as `celerylab prove 02`, or --stale, or --all")
    if modules:
        return [module_folder(root, module) for module in modules]
    wanted = [folder for folder in everything if all_ or staleness(folder)]
    drafts = [folder for folder in wanted if load_module(folder).draft]
    for folder in drafts:
        err.print(f"{folder.name} is a draft ({load_module(folder).draft}); `celerylab prove {folder.name[:2]}` proves it", markup=False)
    return [folder for folder in wanted if folder not in drafts]


def _variants(folder: Path, only: list[str]) -> list[Variant]:
    found = variants(folder, load_module(folder))
    for lab in only:
        if lab not in {variant.lab for variant in found}:
            raise InputError(f"{folder.name} has no variant {lab}; it has {', '.join(dict.fromkeys(variant.lab for variant in found))}")
    return [variant for variant in found if not only or variant.lab in only]


def _run(
    work: list[Work], jobs: int, deadline: float | None, kept: Mapping[Path, ProgressFile], clusters: ClusterOnDemand
) -> list[tuple[Path, Outcome]]:
    """Every outcome, in the order of `work`; what would begin after `deadline` is left out, and what is `kept` is not done twice."""
    with step(f"{len(work)} variants") as running, ThreadPoolExecutor(max_workers=jobs) as pool:
        interrupted, keeping = threading.Event(), threading.Lock()
        done_before = {folder: file.load() for folder, file in kept.items()}

        def one(item: Work) -> tuple[Path, Outcome] | None:
            if deadline is not None and time.monotonic() > deadline:
                return None
            folder, _, variant = item
            before = done_before.get(folder)
            if before is not None and (run := before.run_of(variant)) is not None:
                running.say(f"{variant.title}: proved before")
                return folder, Outcome(variant, run, [], None, before.images)
            where = clusters.settings_for(folder)
            if interrupted.is_set():  # while a cluster was made
                return None
            outcome = prove_variant(*item, say=running.say, cancelled=interrupted.is_set, where=where)
            if not interrupted.is_set():
                _show(outcome)
            if folder in kept and not outcome.problems:
                with keeping:
                    kept[folder].add(outcome.run, outcome.images)
            return folder, outcome

        futures = [pool.submit(one, item) for item in work]
        try:
            found = [future.result() for future in futures]
        except BaseException:
            interrupted.set()
            err.print("ending: stacks that are up are taken down first, which takes a minute", style="yellow")
            pool.shutdown(wait=True, cancel_futures=True)  # what runs takes its stack down first
            raise
    return [outcome for outcome in found if outcome is not None]


def _show(outcome: Outcome) -> None:
    if not outcome.problems:
        done(outcome.variant.title, outcome.run.seconds.total)
    for problem in outcome.problems:
        err.print(f"✗ {outcome.variant.title}: {problem}", style="red", markup=False)
    if outcome.problems and outcome.evidence:
        err.print(f"  evidence: {outcome.evidence}", style="dim", markup=False)


def _conclude(folder: Path, outcomes: list[Outcome], partial: bool) -> dict[str, Any]:
    """Writes the proof where it is whole and holds; prints the module's line."""
    module = load_module(folder)
    problems = [f"{outcome.variant.title}: {problem}" for outcome in outcomes for problem in outcome.problems]
    runs = [outcome.run for outcome in outcomes]
    if runs and not problems:
        images = {group: image for outcome in outcomes for group, image in outcome.images.items()}
        proof = make_proof(project_root(), folder, module, runs, images, engine().version()["Version"])
        if partial:
            out.print(f"module {module.id}: {len(runs)} variants gave what they must")
        else:
            rooms = changed_rooms(project_root(), folder)
            (folder / f"{PROOF}.new").write_text(proof.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
            (folder / f"{PROOF}.new").replace(folder / PROOF)
            out.print(proof.summary + (f" (changed since the last proof: {', '.join(rooms)})" if rooms else ""))
    elif problems:
        out.print(f"module {module.id}: not proved: {len(problems)} problems")
    _print_shares(module, outcomes)
    return {"module": module.id, "problems": problems, "runs": [run.model_dump(mode="json") for run in runs]}


def _print_shares(module: CourseModule, outcomes: list[Outcome]) -> None:
    seconds = [outcome.run.seconds for outcome in outcomes]
    if seconds:
        up, verify, down = (sum(getattr(second, part) for second in seconds) for part in ("up", "verify", "down"))
        budget = len(seconds) * (module.verify_budget_seconds + 20)
        err.print(
            f"  {len(seconds)} runs in {up + verify + down:.0f} s of {budget} s: up {up:.0f} s, verify {verify:.0f} s, down {down:.0f} s",
            style="dim",
        )
