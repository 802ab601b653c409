"""The command that rehearses a disaster."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from celerylab.cli.arguments import Json, Module, StackName, stack_of
from celerylab.cli.console import err, out, print_json
from celerylab.paths import data_dir
from celerylab.verify.stack import Stack


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(
        name="drill", epilog="Example, for a module on the multi-region rung: celerylab drill site-loss NN --site eu --rto 30 --rpo 0"
    )(drill)


def drill(
    name: Annotated[str, typer.Argument(metavar="DRILL", help="site-loss, broker-loss or link-cut.")],
    module: Module,
    stack: StackName = None,
    site: Annotated[str | None, typer.Option(help="The site that it happens to; the first one by default.")] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=1, max=600, help="How long it lasts.")] = 30,
    rto: Annotated[float | None, typer.Option(metavar="SECONDS", min=0, help="Recovery time that is stated: longer is a failure.")] = None,
    rpo: Annotated[int | None, typer.Option(metavar="TASKS", min=0, help="Accepted tasks that may be lost: more is a failure.")] = None,
    folder: Annotated[Path | None, typer.Option("--report", metavar="FOLDER", help="Where the report goes.")] = None,
    json_: Json = False,
) -> None:
    """Rehearses a disaster on a stack with sites, while each site's application sends tasks, and measures what came of it.

    Ends with 1 where --rto or --rpo was not kept. Ctrl-C heals what the drill has broken.
    """
    from celerylab.drill.run import run_drill  # here, because it brings Celery along

    under_test = Stack.deployed(stack_of(module, stack))
    chosen = site or next(iter(under_test.sites), "")
    stated = {key: float(value) for key, value in (("rto", rto), ("rpo", rpo)) if value is not None}
    where = folder or data_dir() / "drills" / under_test.outputs["instance"] / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}"
    with err.status(f"drill {name}") as status:
        report = run_drill(under_test, name, chosen, seconds, stated, where, lambda text: status.update(f"drill {name}: {text}"))
    if json_:
        print_json({**asdict(report), "recovery": report.recovery, "report": str(where)})
    else:
        out.print((where / "report.md").read_text(encoding="utf-8"), markup=False)
        out.print(f"report and timeline: {where}", markup=False)
    raise typer.Exit(1 if report.missed else 0)
