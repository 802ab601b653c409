"""The command that says how things stand: one stack in full, or every stack of this machine."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from celerylab.cli.arguments import Json, StackName, complete_module, stack_of
from celerylab.cli.console import out, print_json
from celerylab.cli.instances import every_instance, owner_of
from celerylab.cli.pods import described
from celerylab.errors import InputError
from celerylab.link.state import link_state
from celerylab.providers.engine import find_container
from celerylab.providers.instances import DeployedInstance
from celerylab.pulumi_stack import CLUSTER, PulumiStack
from celerylab.topology.module import load_module
from celerylab.topology.names import project_name
from celerylab.verify.run import latest_results

Some = Annotated[str | None, typer.Argument(metavar="[MODULE]", help="Number of the module, such as 02.", autocompletion=complete_module)]


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command()(status)


def status(
    module: Some = None,
    stack: StackName = None,
    all_: Annotated[bool, typer.Option("--all", help="Every stack that this machine's Docker engine has.")] = False,
    json_: Json = False,
) -> None:
    """Shows hosts or workloads, endpoints, lease and last verdicts of a stack; or, with --all, one line for each stack of this machine.

    Example: celerylab status 02
    """
    if module is None and not all_:
        raise InputError("name a module, such as `celerylab status 02`, or write `celerylab status --all`")
    if module is not None and all_:
        raise InputError("--all shows every module's stacks: leave the module out")
    if module is None:
        _show_all([_summary(instance) for instance in every_instance()], json_)
    else:
        _show_one(stack_of(module, stack), json_)


def _show_one(target: PulumiStack, json_: bool) -> None:
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
    if "link" in outputs:
        found["link"] = link_state(outputs["link"])
    if "namespace" in outputs:
        found |= described(target.name, outputs)
    if json_:
        print_json(found)
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("stack", f"{target.name} ({found['owner']}), lab: {found['lab']}, settings: {found['settings']}")
    table.add_row("lease", f"until {found['expires']} ({_hours_left(found['expires']):.1f} h left)")
    for name, host in found["hosts"].items():
        table.add_row("host", f"{name}  {host['address']}  {host['state']}")
    for way, state in found.get("link", {}).items():
        table.add_row("link", f"{way}  {_way(state)}")
    if "namespace" in found:
        table.add_row("namespace", f"{found['namespace']} on cluster {found['cluster']}")
        for name, workload in found["workloads"].items():
            table.add_row("workload", f"{name}  {workload['ready']} of {workload['wanted']} pods ready")
        if "problem" in found:
            table.add_row("workloads", escape(found["problem"]))
    for name, endpoint in found["endpoints"].items():
        table.add_row("endpoint", f"{name}  {endpoint}")
    table.add_row("verdicts", "  ".join(f"{key} {value}" for key, value in found["verdicts"].items()) or "not verified yet")
    out.print(table)


def _way(state: dict[str, Any]) -> str:
    """What a direction of the link does at present."""
    if state["lost"]:
        return "cut: every packet is lost"
    narrow = f", {state['bits'] / 1e6:g} Mbit/s" if state["bits"] else ""
    return f"{state['seconds'] * 1000:g} ms{narrow}, {state['packets']} packets so far"


def _show_all(stacks: list[dict[str, Any]], json_: bool) -> None:
    if json_:
        print_json(stacks)
        return
    if not stacks:
        out.print("no stack is up on this machine")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("module", "rung", "stack", "owner", "instance", "age", "expires in", "running", "verdicts"):
        table.add_column(column)
    for stack in stacks:
        table.add_row(
            stack["module"],
            stack["rung"],
            stack["stack"],
            stack["owner"] or "another backend's",
            stack["instance"],
            f"{(datetime.now(UTC) - datetime.fromisoformat(stack['created'])).total_seconds() / 3600:.1f} h",
            f"{_hours_left(stack['expires']):.1f} h" if stack["expires"] else "",
            f"{stack['running']} of {stack['containers']}",
            " ".join(f"{list(stack['verdicts'].values()).count(word)} {word}" for word in sorted(set(stack["verdicts"].values())))
            or "not verified yet",
        )
    out.print(table)


def _summary(instance: DeployedInstance) -> dict[str, Any]:
    owner, known = owner_of(instance)
    return {
        "module": instance.project.removeprefix(project_name("")),
        "rung": _rung(owner) if owner else "",
        "stack": instance.stack,
        "instance": instance.id,
        "owner": known.get("owner", ""),
        "expires": known.get("expires", ""),
        "created": instance.created.isoformat() if instance.created else "",
        "containers": len(instance.containers),
        "running": instance.running,
        "verdicts": _verdicts(instance.id),
    }


def _rung(owner: PulumiStack) -> str:
    return CLUSTER if owner.project == CLUSTER else load_module(owner.folder).environment


def _hours_left(expires: str) -> float:
    return (datetime.fromisoformat(expires) - datetime.now(UTC)).total_seconds() / 3600


def _state(container: str) -> str:
    found = find_container(container)
    return "gone" if found is None else str(found.status)


def _verdicts(instance: str) -> dict[str, str]:
    results = latest_results(instance)
    return {objective.id: str(objective.verdict) for objective in results.objectives} if results else {}
