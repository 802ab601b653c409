"""Commands that change a stack: up, down, unlock."""

from typing import Annotated

import typer

from celerylab.cli.arguments import Json, Module, StackName, stack_of
from celerylab.cli.console import err, out, print_json, step
from celerylab.clusters.access import remove_from_cluster
from celerylab.errors import BusyError, InputError, LeftBehindError
from celerylab.images.bake import bake, missing
from celerylab.images.recipe import recipes
from celerylab.paths import project_root
from celerylab.private_folders import sweep
from celerylab.processes import alive, end_orphaned_plugins
from celerylab.providers.engine import engine, left_behind, remove_instance
from celerylab.pulumi_stack import PulumiStack
from celerylab.topology.kubernetes import make_any_plan

Settings = Annotated[
    list[str], typer.Option("--set", metavar="NAME=VALUE", help="A setting of the module, such as broker=rabbitmq; may repeat.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command()(up)
    app.command()(down)
    app.command()(unlock)


def up(
    module: Module,
    stack: StackName = None,
    lab: Annotated[str | None, typer.Option(help="Deploy this instead of lab/: solution, starter or a folder.")] = None,
    settings: Settings = [],  # noqa: B006 (typer reads it once)
    json_: Json = False,
) -> None:
    """Bakes what is missing, then deploys the module's environment with your lab/ in it.

    Example: celerylab up 02 --set broker=rabbitmq
    """
    target = stack_of(module, stack)
    wanted = parsed_settings(settings)
    if lab is not None:
        wanted["lab"] = lab
    engine()
    target.refuse_if_locked()
    # Checked before the stack exists, so that a typo leaves nothing behind.
    configured = configured_of(target)
    plan = make_any_plan(project_root(), module, {**(configured or {}), **wanted})
    if plan.lab.source == "starter" and lab is None:
        err.print(f"there is no lab/ yet: deploying starter/ (`celerylab start {plan.module.id}` makes a lab/ of your own)", style="yellow")
    for recipe in missing(recipes(plan)):
        with step(f"baking {recipe.name}") as baking:
            bake(plan, recipe, baking.say)
    deploy(target, stack is not None, wanted, configured, json_)
    if not json_:
        out.print(f"module {plan.module.id} is up as stack {target.name}; next: `celerylab verify {plan.module.id}`")


def deploy(target: PulumiStack, named: bool, wanted: dict[str, str], configured: dict[str, str] | None, json_: bool) -> None:
    """Makes or selects the stack where it was `named` or is not there yet (`configured` is None then), sets what is `wanted`, and deploys it."""
    # Each of these starts `pulumi` once more, which takes a third of a second: only where it changes something.
    if named or configured is None:
        target.ensure()
    target.configure({name: value for name, value in wanted.items() if (configured or {}).get(name) != value})
    target.run("up", "--yes", "--skip-preview", quiet=json_)
    if json_:
        print_json({key: value for key, value in target.outputs().items() if key != "secrets"})


def down(
    module: Module,
    stack: StackName = None,
    force: Annotated[bool, typer.Option(help="Remove by label, even where the state is lost, and forget the stack.")] = False,
    remove: Annotated[bool, typer.Option(help="Forget the stack and its configuration afterwards.")] = False,
    json_: Json = False,
) -> None:
    """Destroys the environment and shows the receipt: what Docker still has of it, which must be nothing."""
    take_down(stack_of(module, stack), force, remove, json_)


def take_down(target: PulumiStack, force: bool, remove: bool, json_: bool) -> None:
    """What `down` does to a stack. Raises LeftBehindError where Docker still has something of it."""
    engine()
    on_cluster: list[str] = []
    if force:
        on_cluster = remove_from_cluster(target)
        remove_instance(target.instance.id)
        if target.exists():
            target.run("stack", "rm", "--yes", "--force", quiet=True)
    elif target.exists():
        target.refuse_if_locked()
        target.destroy(quiet=json_)
        if remove:
            target.run("stack", "rm", "--yes", quiet=True)
    rest = [*left_behind(target.instance.id), *on_cluster]
    if json_:
        print_json({"module": target.project, "stack": target.name, "instance": target.instance.id, "left_behind": rest})
    else:
        out.print(f"{target.title}: stack {target.name} is down; left behind: {len(rest)}")
    if rest:
        raise LeftBehindError(f"left behind: {', '.join(rest)}; `{target.command('down')} --force` removes by label")


def unlock(module: Module, stack: StackName = None) -> None:
    """Clears up after a run that was killed: its lock, its processes, and what the state does not know. Refuses while that run is alive."""
    clear_up(stack_of(module, stack))


def clear_up(target: PulumiStack) -> None:
    """What `unlock` does to a stack. Raises BusyError while the run that holds it is alive."""
    for lock in target.locks():
        if alive(int(lock["pid"])):
            raise BusyError(f"stack {target.name} is in use by process {lock['pid']} since {lock['timestamp']}; wait for it or end it")
    target.run("cancel", "--yes", quiet=True)
    ended = end_orphaned_plugins()
    sweep()
    # What was being created when the run died is in doubt: compare with Docker, and create it again at the next `up`.
    target.run("refresh", "--yes", "--skip-preview", "--clear-pending-creates", quiet=True)
    out.print(f"stack {target.name} of {target.title} is unlocked ({ended} processes ended); `{target.command('up')}` goes on")


def configured_of(target: PulumiStack) -> dict[str, str] | None:
    """What is set for the stack; None where there is none yet."""
    try:
        configured = target.configuration()
    except InputError:
        return None
    configured.pop("module", None)
    return configured


def parsed_settings(settings: list[str]) -> dict[str, str]:
    """`NAME=VALUE` arguments as a map. Raises InputError for one that is not so."""
    parsed = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name:
            raise InputError(f"--set {setting}: write NAME=VALUE, such as --set broker=rabbitmq")
        parsed[name.removeprefix("celerylab:")] = value
    return parsed
