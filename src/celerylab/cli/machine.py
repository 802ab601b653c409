"""Commands about this machine: doctor and demo."""

import time
from dataclasses import asdict

import typer
from rich.markup import escape
from rich.table import Table

from celerylab.cli import stack as stack_commands
from celerylab.cli.arguments import Json, Module, stack_of
from celerylab.cli.console import done, err, out, print_json
from celerylab.doctor import examine
from celerylab.errors import CelerylabError
from celerylab.providers.engine import left_behind
from celerylab.verify.report import print_results
from celerylab.verify.run import verify
from celerylab.verify.stack import Stack

DEMO_STACK = "demo"
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command()(doctor)
    app.command()(demo)


def doctor(json_: Json = False) -> None:
    """Examines this machine and says what to do about each thing that is wrong. Ends with 1 where something is."""
    findings = examine()
    if json_:
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        for finding in findings:
            style = _STYLES[finding.state]
            table.add_row(f"[{style}]{finding.state}[/{style}]", finding.name, escape(finding.detail), escape(finding.remedy))
        out.print(table)
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def demo(module: Module = "02") -> None:
    """Brings a module up with its solution, verifies it, destroys it. Its last line is the verdict and the receipt."""
    target = stack_of(module, DEMO_STACK)
    started = time.monotonic()
    try:
        stack_commands.up(module, DEMO_STACK, lab="solution", settings=[])
        done("up", time.monotonic() - started)
        under_test = Stack.deployed(target)
        results, folder = verify(under_test, [])
        print_results(results, folder, out)
    finally:
        started = time.monotonic()
        try:
            stack_commands.down(module, DEMO_STACK, remove=True, force=False, json_=False)
        except CelerylabError as error:
            err.print(f"error: {error}", style="red", markup=False)
        done("down", time.monotonic() - started)
    rest = left_behind(target.instance.id)
    out.print(f"{results.summary}; left behind: {len(rest)}")
    if not results.passed or rest:
        raise typer.Exit(1)
