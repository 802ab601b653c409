"""`celerylab cluster`: a Kubernetes cluster on this machine, which stacks of the Advanced path share."""

import os
import subprocess
from typing import Annotated, Any

import typer
from rich.table import Table

from celerylab.cli.arguments import Json, StackName
from celerylab.cli.console import err, out, print_json, step
from celerylab.cli.stack import Settings, clear_up, configured_of, deploy, parsed_settings, take_down
from celerylab.errors import EngineError
from celerylab.images.bake import bake as bake_image
from celerylab.images.bake import missing
from celerylab.images.cluster import can_pull, save_archive
from celerylab.images.recipe import recipes
from celerylab.paths import project_root
from celerylab.providers.engine import engine
from celerylab.pulumi_stack import CLUSTER, PulumiStack, selected_stack
from celerylab.topology.cluster import make_cluster_plan
from celerylab.topology.cluster_parts import programs_folder
from celerylab.topology.names import WITH_STACKS_VARIABLE

app = typer.Typer(help="A Kubernetes cluster on this machine, which stacks share.", no_args_is_help=True)


@app.command()
def up(stack: StackName = None, settings: Settings = [], json_: Json = False) -> None:  # noqa: B006 (typer reads it once)
    """Makes the cluster, with KEDA and metrics-server; the first time it also makes what nodes are made of, which takes minutes.

    Example: celerylab cluster up --set nodes=3
    """
    target = _stack(stack)
    wanted = parsed_settings(settings)
    engine()
    target.refuse_if_locked()
    configured = configured_of(target)
    # Checked before the stack exists, so that a typo leaves nothing behind.
    prepare({**(configured or {}), **wanted})
    deploy(target, stack is not None, wanted, configured, json_)
    if not json_:
        out.print(
            f"the cluster is up as stack {target.name}; next: export KUBECONFIG=$(celerylab cluster kubeconfig), then `kubectl get nodes`"
        )


@app.command()
def down(
    stack: StackName = None,
    with_stacks: Annotated[bool, typer.Option("--with-stacks", help="Also where stacks are on the cluster: they go with it.")] = False,
    force: Annotated[bool, typer.Option(help="Remove by label, even where the state is lost, and forget the stack.")] = False,
    remove: Annotated[bool, typer.Option(help="Forget the stack and its configuration afterwards.")] = False,
    json_: Json = False,
) -> None:
    """Destroys the cluster and shows the receipt. Refuses, with their names, while stacks are on it."""
    if with_stacks:
        os.environ[WITH_STACKS_VARIABLE] = "1"
    target = _stack(stack)
    take_down(target, force, remove, json_)
    target.kubeconfig.unlink(missing_ok=True)


@app.command()
def unlock(stack: StackName = None) -> None:
    """Clears up after a run that was killed, as `celerylab unlock` does for modules."""
    clear_up(_stack(stack))


@app.command()
def bake(settings: Settings = []) -> None:  # noqa: B006 (typer reads it once)
    """Makes what a cluster is made of and this machine lacks: programs, images, hosts. `up` does it, too."""
    prepare(parsed_settings(settings))
    out.print("all that a cluster is made of is ready")


@app.command()
def kubeconfig(stack: StackName = None) -> None:
    """Writes an administrator's kubeconfig, readable for you alone, and prints its path.

    Example: export KUBECONFIG=$(celerylab cluster kubeconfig)
    """
    target = _stack(stack)
    path = target.kubeconfig
    text = target.secret_output("ClusterAccess", "kubeconfig")
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    out.print(str(path))


@app.command()
def status(stack: StackName = None, json_: Json = False) -> None:
    """Shows the cluster's nodes, and the stacks that are on it."""
    from celerylab.kubernetes import client_of, nodes_of, pods_by_node, stacks_on

    target = _stack(stack)
    outputs = target.outputs()
    api = client_of(target.secret_output("ClusterAccess", "kubeconfig"))
    pods = pods_by_node(api)
    found: dict[str, Any] = {
        "stack": target.name,
        "owner": outputs["owner"],
        "expires": outputs["expires"],
        "versions": outputs["versions"],
        "nodes": [{**node, "pods": pods[node["name"]]} for node in nodes_of(api)],
        "stacks": stacks_on(api),
    }
    if json_:
        print_json(found)
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("cluster", f"{found['stack']} ({found['owner']}), until {found['expires']}")
    table.add_row("versions", "  ".join(f"{name} {version}" for name, version in found["versions"].items()))
    for node in found["nodes"]:
        table.add_row("node", f"{node['name']}  {node['address']}  {'ready' if node['ready'] else 'not ready'}  {node['pods']} pods")
    table.add_row("stacks", "  ".join(found["stacks"]) or "none")
    out.print(table)


def _stack(name: str | None) -> PulumiStack:
    return selected_stack(project_root() / "stacks" / CLUSTER, name)


def prepare(configuration: dict[str, str]) -> None:
    """Makes what a cluster under `configuration` is made of and this machine lacks. Raises CelerylabError where that cannot be."""
    root = project_root()
    plan = make_cluster_plan(root, configuration)
    _toolchain("pulumi-kubernetes")
    lacking = [image for image in plan.images if not image.archive.is_file()]
    if lacking and not programs_folder(root).is_dir() and not can_pull(lacking[0]):
        err.print("no registry answers: building Kubernetes from its modules, once")
        _toolchain("kubernetes")
        plan = make_cluster_plan(root, configuration)
    for image in plan.images:
        if not image.archive.is_file():
            with step(f"image {image.name}") as making:
                save_archive(root, image, making.say)
    for recipe in missing(recipes(plan)):
        with step(f"baking {recipe.name}") as baking:
            bake_image(plan, recipe, baking.say)


def _toolchain(tool: str) -> None:
    result = subprocess.run(["sh", "scripts/toolchain", tool], cwd=project_root(), check=False)
    if result.returncode != 0:
        raise EngineError(f"scripts/toolchain {tool} failed; see above")
