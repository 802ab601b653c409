"""Commands that look into a stack: verify, logs, shell."""

import os
import re
import subprocess
import sys
from ipaddress import ip_address
from typing import Annotated, Any

import typer

from celerylab.cli.arguments import Json, Module, StackName, stack_of
from celerylab.cli.console import err, out
from celerylab.cli.pods import open_shell, show_logs
from celerylab.errors import InputError
from celerylab.verify.junit import write_junit
from celerylab.verify.report import print_results
from celerylab.verify.results import Results, Verdict
from celerylab.verify.run import verify as run_suite
from celerylab.verify.stack import Stack

NOT_OBSERVED_EXIT = 8
_HOST_NAME = re.compile(r"^[a-z][a-z0-9-]*-\d+$")  # <group>-<number>, as topology/plan.py makes them
Host = Annotated[
    str | None,
    typer.Argument(metavar="[HOST]", help="Name of the host, the first one by default; on a cluster, of a workload or a pod."),
]


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command()(verify)
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
    under_test = Stack.deployed(target)
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
    raise typer.Exit(exit_code(results))


def exit_code(results: Results) -> int:
    """0 where every objective holds, 1 where one does not, 8 where one could not be observed."""
    if results.count(Verdict.FAIL):
        return 1
    return NOT_OBSERVED_EXIT if results.count(Verdict.NOT_OBSERVED) else 0


def logs(
    module: Module,
    host: Host = None,
    stack: StackName = None,
    unit: Annotated[str, typer.Option("--unit", "-u", help="systemd unit of a host; may hold *.")] = "celery*",
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as new lines come.")] = False,
) -> None:
    """Shows the journal of a unit: of workers, beat and all else of Celery by default. On a cluster, the log of a workload or a pod.

    Examples: celerylab logs 02 node-1 -u redis-server -f, celerylab logs 23 worker -f
    """
    deployed = Stack.deployed(stack_of(module, stack))
    if deployed.namespace:
        raise typer.Exit(show_logs(deployed, host, lines, follow))
    container = _container(deployed, host)
    command = ["journalctl", "--no-pager", "--output=short-iso", f"--unit={unit}", f"--lines={lines}", *(["--follow"] if follow else [])]
    raise typer.Exit(subprocess.call(["docker", "exec", container, *command]))


def shell(context: typer.Context, module: Module, host: Host = None, stack: StackName = None) -> None:
    """Opens a shell as root on a host, or runs a command there: it is your machine. On a cluster, in a pod.

    Examples: celerylab shell 02 node-1, celerylab shell 02 -- systemctl status celery@default, celerylab shell 23 worker -- env
    """
    command = list(context.args)
    deployed = Stack.deployed(stack_of(module, stack))
    if deployed.namespace:
        raise typer.Exit(open_shell(deployed, host, command))
    if host is not None and not _HOST_NAME.match(host):  # `celerylab shell 02 -- COMMAND`: no host was named
        command, host = [host, *command], None
    container = _container(deployed, host)
    terminal = ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    line = ["docker", "exec", "--interactive", *terminal, container, *(command or ["bash", "--login"])]
    os.execvp("docker", line)  # noqa: S606 (docker takes over the terminal)


def _container(deployed: Stack, host: str | None) -> str:
    hosts = deployed.hosts
    # The first of the environment, whatever its name: addresses are in the order of hosts, the outputs in that of names.
    chosen = host or min(hosts, key=lambda name: ip_address(hosts[name]["address"]))
    if chosen not in hosts:
        raise InputError(f"there is no host {chosen}; this stack has {', '.join(hosts)}")
    return str(hosts[chosen]["container"])
