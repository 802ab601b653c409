"""Commands that look at a stack: verify, status, logs, shell."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from celerylab.cli.arguments import Json, Module, StackName, stack_of
from celerylab.cli.console import err, out, print_json
from celerylab.errors import InputError
from celerylab.providers.engine import find_container
from celerylab.verify.junit import write_junit
from celerylab.verify.report import print_results
from celerylab.verify.results import Verdict
from celerylab.verify.run import latest_results
from celerylab.verify.run import verify as run_suite
from celerylab.verify.stack import Stack

NOT_OBSERVED_EXIT = 8
Host = Annotated[str | None, typer.Argument(metavar="[HOST]", help="Name of the host; the first one by default.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command()(verify)
    app.command()(status)
    app.command()(logs)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(shell)


def verify(
    module: Module,
    stack: StackName = None,
    only: Annotated[list[str], typer.Option("--objective", "-o", help="Decide only this objective and what it needs; may repeat.")] = [],  # noqa: B006
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Write JUnit XML there as well.")] = None,
    json_: Json = False,
) -> None:
    """Checks the running environment, objective by objective.

    Ends with 0 where every objective holds, 1 where one does not, 8 where one could not be observed.
    """
    target = stack_of(module, stack)
    under_test = Stack(target.name, target.outputs())
    total = len(only) or len(under_test.module.objectives)
    with err.status(f"verifying module {under_test.module.id}") as status:

        def hear(event: dict[str, Any]) -> None:
            if event["event"] == "check":
                status.update(f"verifying module {under_test.module.id}: {event['objective']} {event['verdict']} (of {total} objectives)")

        results, folder = run_suite(under_test, only, hear)
    write_junit(results, folder / "junit.xml")
    if junit:
        write_junit(results, junit)
    if json_:
        sys.stdout.write(results.model_dump_json(by_alias=True, indent=2) + "\n")
    else:
        print_results(results, folder, out)
    if results.count(Verdict.FAIL):
        raise typer.Exit(1)
    if results.count(Verdict.NOT_OBSERVED):
        raise typer.Exit(NOT_OBSERVED_EXIT)


def status(module: Module, stack: StackName = None, json_: Json = False) -> None:
    """Shows hosts, endpoints, lease and last verdicts of a stack."""
    target = stack_of(module, stack)
    outputs = target.outputs()
    found = {
        "module": outputs["module"],
        "stack": target.name,
        "instance": outputs["instance"],
        "owner": outputs["owner"],
        "expires": outputs["expires"],
        "lab": outputs["lab"]["source"],
        "settings": outputs["settings"],
        "endpoints": outputs["endpoints"],
        "hosts": {name: {"address": host["address"], "state": _state(host["container"])} for name, host in outputs["hosts"].items()},
        "verdicts": _verdicts(outputs["instance"]),
    }
    if json_:
        print_json(found)
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    left = datetime.fromisoformat(found["expires"]) - datetime.now(UTC)
    table.add_row("stack", f"{target.name} ({found['owner']}), lab: {found['lab']}, settings: {found['settings']}")
    table.add_row("lease", f"until {found['expires']} ({left.total_seconds() / 3600:.1f} h left)")
    for name, host in found["hosts"].items():
        table.add_row("host", f"{name}  {host['address']}  {host['state']}")
    for name, endpoint in found["endpoints"].items():
        table.add_row("endpoint", f"{name}  {endpoint}")
    table.add_row("verdicts", "  ".join(f"{key} {value}" for key, value in found["verdicts"].items()) or "not verified yet")
    out.print(table)


def logs(
    module: Module,
    host: Host = None,
    stack: StackName = None,
    unit: Annotated[str, typer.Option("--unit", "-u", help="systemd unit; may hold *.")] = "celery@*",
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as new lines come.")] = False,
) -> None:
    """Shows the journal of a unit: the workers' by default.

    Example: celerylab logs 02 node-1 -u redis-server -f
    """
    container = _container(module, host, stack)
    command = ["journalctl", "--no-pager", "--output=short-iso", f"--unit={unit}", f"--lines={lines}", *(["--follow"] if follow else [])]
    raise typer.Exit(subprocess.call(["docker", "exec", container, *command]))


def shell(context: typer.Context, module: Module, host: Host = None, stack: StackName = None) -> None:
    """Opens a shell as root on a host, or runs a command there: it is your machine.

    Example: celerylab shell 02 node-1 -- systemctl status celery@default
    """
    container = _container(module, host, stack)
    terminal = ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    command = context.args or ["bash", "--login"]
    os.execvp("docker", ["docker", "exec", "--interactive", *terminal, container, *command])  # noqa: S606 (docker takes over the terminal)


def _container(module: str, host: str | None, stack: str | None) -> str:
    outputs = stack_of(module, stack).outputs()
    hosts = outputs["hosts"]
    chosen = host or next(iter(hosts))
    if chosen not in hosts:
        raise InputError(f"there is no host {chosen}; this stack has {', '.join(hosts)}")
    return str(hosts[chosen]["container"])


def _state(container: str) -> str:
    found = find_container(container)
    return "gone" if found is None else str(found.status)


def _verdicts(instance: str) -> dict[str, str]:
    results = latest_results(instance)
    return {objective.id: str(objective.verdict) for objective in results.objectives} if results else {}
