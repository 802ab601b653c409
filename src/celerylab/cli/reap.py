"""The command that ends what nobody needs any more."""

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from celerylab.cli.arguments import Json
from celerylab.cli.console import err, out, print_json
from celerylab.cli.instances import every_instance, owner_of
from celerylab.errors import CelerylabError, EngineError
from celerylab.providers.engine import left_behind
from celerylab.pulumi_stack import title_of
from celerylab.reaper import Action, Lease, Warned, due
from celerylab.terminals import write_to_terminals


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command()(reap)


def reap(
    every: Annotated[int, typer.Option(help="Look again after so many seconds, until Ctrl-C; 0 looks once.", min=0)] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    json_: Json = False,
) -> None:
    """Destroys stacks whose lease is over, and warns in their owner's terminals 15 and 5 minutes before. Stacks of other backends stay.

    Example: celerylab reap --every 60
    """
    while True:
        done = reap_now(datetime.now(UTC), dry_run)
        if json_:
            print_json(done)
        elif not done and not every:
            out.print("no lease is over or near its end")
        for entry in done if not json_ else []:
            out.print(f"{title_of(entry['module'])}, stack {entry['stack']}: {entry['done']}", markup=False)
        failed = [entry["stack"] for entry in done if not entry["ok"]]
        if not every:
            if failed:
                raise EngineError(f"could not destroy {', '.join(failed)}; `celerylab down NN --stack NAME --force` removes by label")
            return
        time.sleep(every)


def reap_now(now: datetime, dry_run: bool = False) -> list[dict[str, Any]]:
    """What was done, or would be, for each lease that is over or near its end at the moment `now`."""
    leases, warned = _leases(), Warned()
    done = []
    for action in due(leases, now, warned):
        entry = {"module": action.lease.module, "stack": action.lease.stack.name, "expires": action.lease.expires.isoformat()}
        said, ok = _would(action) if dry_run else _do(action)
        done.append({**entry, "done": said, "ok": ok})
        if not dry_run:
            warned.add(action)
    if not dry_run:
        warned.keep(leases)
    return done


def _leases() -> list[Lease]:
    found = []
    for instance in every_instance():
        stack, outputs = owner_of(instance)
        if stack and outputs.get("expires"):
            found.append(Lease(stack, datetime.fromisoformat(outputs["expires"])))
    return found


def _would(action: Action) -> tuple[str, bool]:
    return ("would be destroyed" if action.minutes is None else f"would be warned of its end in {action.minutes} minutes"), True


def _do(action: Action) -> tuple[str, bool]:
    terminals = write_to_terminals(action.text)
    if action.minutes is not None:
        return f"warned of its end in {action.minutes} minutes, in {terminals} terminals", True
    stack = action.lease.stack
    try:
        stack.refuse_if_locked()
        stack.destroy(quiet=True)
    except CelerylabError as error:
        err.print(f"error: {error}", style="red", markup=False)
        return f"not destroyed: {error}", False
    return f"destroyed; left behind: {len(left_behind(stack.instance.id))}", True
