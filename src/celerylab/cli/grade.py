"""The command whose verdict counts: a learner's lab on a fresh stack of the instructor's, with the published suite."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from celerylab.cli.arguments import Json, complete_module, folder_of
from celerylab.cli.cluster import prepare
from celerylab.cli.console import out, step
from celerylab.cli.observe import exit_code
from celerylab.cli.stack import Settings, parsed_settings
from celerylab.clusters.on_demand import ClusterOnDemand
from celerylab.course.submission import module_of, unpacked
from celerylab.errors import InputError, LeftBehindError
from celerylab.images.wanted import bake_wanted
from celerylab.providers.engine import engine
from celerylab.throwaway import ThrowawayStack
from celerylab.topology.module import load_module
from celerylab.verify.report import print_results
from celerylab.verify.run import check_published, verify


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command()(grade)


def grade(
    submission: Annotated[Path, typer.Argument(metavar="SUBMISSION", help="A learner's lab/: a folder, or a git bundle.")],
    module: Annotated[
        str | None,
        typer.Option("--module", "-m", help="Number of its module, where the lab does not say it.", autocompletion=complete_module),
    ] = None,
    settings: Settings = [],  # noqa: B006 (typer reads it once)
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write results.json there as well.")] = None,
    json_: Json = False,
) -> None:
    """Reruns a learner's work on a fresh stack of yours, with the published suite: this verdict counts. Nothing stays.

    Ends with 0 where every objective holds, 1 where one does not, 8 where one could not be observed: grade again then.

    Example: celerylab grade ada.bundle
    """
    engine()
    with unpacked(submission) as lab:
        number = module or module_of(lab)
        if number is None:
            raise InputError(f"{submission} does not say which module it belongs to; add --module, such as --module 02")
        folder = folder_of(number)
        check_published(folder)
        with step("images") as baking:
            bake_wanted([load_module(folder).id], baking.say)
        throwaway, wanted = ThrowawayStack(folder, "grade"), parsed_settings(settings)
        clusters = ClusterOnDemand("grade", wanted, lambda: prepare({}))
        with clusters, step(f"module {load_module(folder).id}: {submission.name}") as running:
            try:
                running.say("up")
                under_test = throwaway.up({"lab": str(lab), "owner": submission.stem, **clusters.settings_for(folder), **wanted})
                running.say("verify")
                results, evidence = verify(under_test, [])
            finally:
                running.say("down")
                rest = throwaway.down()
    if output:
        output.write_text(results.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    if json_:
        sys.stdout.write(results.model_dump_json(by_alias=True, indent=2) + "\n")
    else:
        print_results(results, evidence, out)
    if rest:
        raise LeftBehindError(f"left behind: {', '.join(rest)}")
    raise typer.Exit(exit_code(results))
