"""What runs on a host: an Ansible run per host that repeats exactly the roles whose inputs changed."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from celerylab.converge.connection import run_on_host
from celerylab.converge.play import run_play
from celerylab.converge.wheelhouse import Interpreter, wheelhouse
from celerylab.converge.workers import MARKER, UNFINISHED, WORKER_ROLE, drain, restarted_around
from celerylab.errors import ConvergeError, EngineError
from celerylab.processes import ancestors
from celerylab.providers.boot import boot_problem, wait_task
from celerylab.providers.engine import engine_errors, find_container, remove_container, say
from celerylab.topology.names import DRAIN_VARIABLE, label


class ConvergeProvider(ResourceProvider):
    """Inputs: `host`, `connection`, `generation`, `roles` (list of name, fingerprint, secrets), `variables`, `context`, `secrets` (secret),
    `baked` (whether the image holds the roles' install parts), `roles_path`, `drain_seconds`. Outputs: those and `applied` (role to
    fingerprint)."""

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Runs every role, on a host that may still be booting."""
        return CreateResult(props["host"], _converge(props, [role["name"] for role in props["roles"]], new=True))

    def read(self, id_: str, props: Mapping[str, Any]) -> ReadResult:
        """Compares the marker on the host. No id where the host is gone; an empty `applied` where the marker says something else."""
        if props["connection"]["type"] == "docker":
            with engine_errors(f"reading {id_}"):
                container = find_container(props["connection"]["container"])
            if container is None:
                return ReadResult(None, {})
            if container.status != "running":
                return ReadResult(id_, dict(props))  # the Host resource sees that; its disk is as it was
        try:
            marker = json.loads(run_on_host(props["connection"], ["cat", MARKER]))
        except (ConvergeError, ValueError):
            marker = {}
        return ReadResult(id_, dict(props) if marker == props["applied"] else {**props, "applied": {}})

    def diff(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> DiffResult:
        """Another host or connection is another resource; what else changed decides which roles run."""
        replaces = [key for key in ("host", "connection") if old.get(key) != new.get(key)]
        changed = roles_to_run(old, new) or old.get("drain_seconds", 0) != new["drain_seconds"]
        return DiffResult(changes=bool(replaces or changed), replaces=replaces, delete_before_replace=True)

    def update(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> UpdateResult:
        """Runs the roles whose inputs changed."""
        names = roles_to_run(old, new)
        new_host = old.get("generation") != new.get("generation")
        return UpdateResult(_converge(new, names, new_host) if names else {**new, "applied": old["applied"]})

    def delete(self, id_: str, props: Mapping[str, Any]) -> None:
        """Lets the host's workers finish what they have begun, for `drain_seconds` at most; then the host goes as a whole."""
        seconds = int(os.environ.get(DRAIN_VARIABLE) or props.get("drain_seconds") or 0)
        if seconds and any(role["name"] == WORKER_ROLE for role in props["roles"]):
            say(f"{id_}: {drain(props['connection'], seconds)}")


class Converge(Resource, module="celerylab", name="Converge"):
    """The roles of one host, applied. Depends on the host's `generation`."""

    applied: Output[Mapping[str, Any]]

    def __init__(
        self,
        resource: str,
        host: str,
        connection: Input[Mapping[str, Any]],
        generation: Input[str],
        roles: Sequence[Mapping[str, Any]],
        variables: Mapping[str, Any],
        context: Input[Mapping[str, Any]],
        secrets: Input[Mapping[str, Any]],
        baked: bool,
        roles_path: Path,
        drain_seconds: int = 0,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "host": host,
            "connection": connection,
            "generation": generation,
            "roles": list(roles),
            # As text: a template such as `{{ name }}` is a value here, and JSON keeps whole numbers whole.
            "variables": json.dumps(dict(variables), sort_keys=True),
            "context": context,
            "secrets": secrets,
            "baked": baked,
            "roles_path": str(roles_path),
            "drain_seconds": drain_seconds,
        }
        opts = ResourceOptions.merge(opts, ResourceOptions(additional_secret_outputs=["secrets"]))
        super().__init__(ConvergeProvider(), resource, {**inputs, "applied": None}, opts)


def roles_to_run(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Names of the roles whose fingerprint or secrets changed, in order; all of them on a host that was made anew."""
    if old.get("generation") != new.get("generation"):
        return [role["name"] for role in new["roles"]]
    applied, before, after = old.get("applied") or {}, old.get("secrets") or {}, new["secrets"]
    return [
        role["name"]
        for role in new["roles"]
        if applied.get(role["name"]) != role["fingerprint"] or any(before.get(name) != after.get(name) for name in role["secrets"])
    ]


def _converge(props: Mapping[str, Any], names: list[str], new: bool = False) -> dict[str, Any]:
    host, connection = props["host"], props["connection"]
    applied = {role["name"]: role["fingerprint"] for role in props["roles"]}
    booting = _restarted_if_unfinished(host, connection, new) or (new and connection["type"] == "docker")
    variables = {**json.loads(props["variables"]), **_context(props)}
    skipped = [f"{name}_install" for name in names] if props["baked"] else []
    family = ancestors()
    # A host that boots has no workers yet that could be told to stop.
    around: AbstractContextManager[list[dict[str, Any]]] = nullcontext([]) if booting else restarted_around(connection, names)
    with around as start_workers:
        play = {
            "pre_tasks": [*([wait_task()] if booting else []), _mark(UNFINISHED)],
            "roles": names,
            "post_tasks": [{"ansible.builtin.meta": "flush_handlers"}, *start_workers, _mark(applied)],
        }
        try:
            result = run_play(
                host,
                connection,
                play,
                variables,
                Path(props["roles_path"]),
                skip_tags=skipped,
                cancelled=lambda: ancestors() != family,  # Pulumi was killed: nobody waits for this any more
            )
        except ConvergeError:
            if booting:
                _refuse_if_not_booted(connection["container"], new)
            raise
    say(f"{host}: {', '.join(names)}: {result.tasks} tasks, {result.changed} changed")
    return {**props, "applied": applied}


def _refuse_if_not_booted(name: str, new: bool) -> None:
    """What Ansible says of a host that does not boot is not what is wrong with it. One that never did is removed: it would never be converged."""
    with engine_errors(f"looking at {name}"):
        container = find_container(name)
        problem = boot_problem(container) if container is not None else None
        if problem and new:
            remove_container(name)
            problem += "; it is removed, and `pulumi refresh`, then `pulumi up` make another"
    if problem:
        raise EngineError(problem)


def _context(props: Mapping[str, Any]) -> dict[str, Any]:
    context = {**props["context"], "secrets": props["secrets"]}
    if any(role["name"] == "celery_app" for role in props["roles"]):
        requirements = Path(context["lab"], "requirements.txt")
        context["wheelhouse"] = (
            str(wheelhouse(requirements.read_text(encoding="utf-8"), _interpreter(props["connection"]))) if requirements.is_file() else ""
        )
    return {f"celerylab_{key}": value for key, value in context.items()}


def _interpreter(connection: Mapping[str, Any]) -> Interpreter:
    if connection["type"] == "docker":
        container = find_container(connection["container"])
        if container is not None and label("python") in container.labels:
            return Interpreter(container.labels[label("python")], container.labels[label("machine")])
    return Interpreter.ask(lambda command: run_on_host(connection, command))


def _restarted_if_unfinished(host: str, connection: Mapping[str, Any], new: bool) -> bool:
    """A run that was killed may have changed a file and not yet restarted its service: the host starts again, so that none is missed.

    Says whether it did, and the host is booting.
    """
    if connection["type"] != "docker":
        return False
    with engine_errors(f"looking at {host}"):
        container = find_container(connection["container"])
        if container is None:
            raise ConvergeError(f"{host}: its container is gone; run `pulumi refresh`, then `pulumi up`")
        if container.status != "running":
            if new:
                return False  # why it does not boot is said when Ansible has not reached it
            raise ConvergeError(f"{host}: it does not run; run `pulumi refresh`, then `pulumi up`")
        found = container.exec_run(["cat", MARKER])
        if found.exit_code == 0 and found.output.strip() == json.dumps(UNFINISHED).encode():
            say(f"{host}: the last run did not end; restarting the host first")
            container.restart(timeout=30)
            return True
    return False


def _mark(content: Mapping[str, Any]) -> dict[str, Any]:
    parts = {"content": json.dumps(content, sort_keys=True), "dest": MARKER, "mode": "0644"}
    return {"name": "Note what is done", "ansible.builtin.copy": parts}
