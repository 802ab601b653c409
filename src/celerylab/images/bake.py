"""Bakes images: a Dockerfile for the bare ones, the roles' install parts run by Ansible for those of hosts."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from docker.errors import APIError, BuildError, ImageNotFound

from celerylab.converge.connection import docker_connection, run_on_host
from celerylab.converge.play import run_play
from celerylab.converge.wheelhouse import Interpreter, wheelhouse
from celerylab.errors import CelerylabError, EngineError
from celerylab.images.base import ensure_base
from celerylab.images.recipe import Recipe, dockerfile_recipe, lineage
from celerylab.paths import cache_dir
from celerylab.providers.engine import engine, engine_errors, remove_container
from celerylab.topology.hosts import HostsPlan
from celerylab.topology.names import label

_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
Say = Callable[[str], None]


def missing(recipes: list[Recipe]) -> list[Recipe]:
    """Those of `recipes` whose image is not on this machine."""
    return [recipe for recipe in recipes if _image(recipe.reference) is None]


def bake(plan: HostsPlan, recipe: Recipe, say: Say) -> str:
    """Makes the image of `recipe` unless it is there (its parent must be); returns its reference. `say` hears what goes on.

    Raises EngineError or ConvergeError; a half-baked container never stays.
    """
    return _made(recipe, lambda: _build(recipe, say) if recipe.folder else _bake_roles(plan, recipe, say))


def bake_dockerfile(root: Path, name: str, say: Say) -> str:
    """Makes the image of environments/images/<name>, and those that it stands on, unless they are there; returns its reference."""
    recipe = dockerfile_recipe(root, name)
    for part in lineage(recipe):
        _made(part, partial(_build, part, say))
    return recipe.reference


def _made(recipe: Recipe, make: Callable[[], None]) -> str:
    with _only_one(recipe):
        if _image(recipe.reference) is None:
            with engine_errors(f"baking {recipe.reference}"), _room(recipe):
                make()
    return recipe.reference


def image_interpreter(image: Any) -> Interpreter:
    """The Python that a host of `image` has, as baking recorded it."""
    return Interpreter(image.labels[label("python")], image.labels[label("machine")])


def build_folder(
    folder: Path, reference: str, arguments: dict[str, str], name: str, say: Say, labels: Mapping[str, str] | None = None
) -> None:
    """Builds the Dockerfile in `folder` as `reference`. Raises EngineError with what Docker says where it cannot."""
    for line in engine().api.build(
        path=str(folder),
        tag=reference,
        buildargs={**arguments, **_proxies()},
        labels=dict(labels or {}),
        rm=True,
        forcerm=True,
        decode=True,
    ):
        if "error" in line:
            raise EngineError(f"building {reference}: {line['error'].strip()}")
        text = line.get("stream", "").strip()
        if text.startswith("Step "):
            say(f"{name}: {text[:100]}")


def _build(recipe: Recipe, say: Say) -> None:
    assert recipe.folder is not None  # recipes of roles are baked, not built
    base = recipe.parent.reference if recipe.parent else ensure_base(say)
    build_folder(recipe.folder, recipe.reference, {"BASE": base}, recipe.name, say, _labels(recipe))


def _bake_roles(plan: HostsPlan, recipe: Recipe, say: Say) -> None:
    client = engine()
    assert recipe.parent is not None  # recipes of roles always stand on the bare image
    name = f"celerylab-bake-{recipe.reference.rsplit(':', 1)[1]}"
    remove_container(name)
    container = client.containers.run(
        recipe.parent.reference,
        name=name,
        entrypoint=["sleep", "infinity"],  # no systemd: nothing can start while baking
        labels=_labels(recipe),
        environment=_proxies(),
        detach=True,
        init=True,
    )
    try:
        connection = docker_connection(name)
        interpreter = Interpreter.ask(lambda command: run_on_host(connection, command))
        variables = {**dict(recipe.variables), **wheelhouses(plan, recipe, interpreter, say)}
        tasks = [
            {"name": f"Install {role}", "ansible.builtin.include_role": {"name": role, "tasks_from": "install"}} for role in recipe.roles
        ]
        policy = {"ansible.builtin.copy": {"content": "#!/bin/sh\nexit 101\n", "dest": "/usr/sbin/policy-rc.d", "mode": "0755"}}
        play = {
            "pre_tasks": [{"name": "Let nothing start while baking", **policy}],
            "tasks": tasks,
            "post_tasks": [{"name": "Clean up", "ansible.builtin.shell": _CLEAN_UP, "changed_when": True}],
        }
        run_play(name, connection, play, variables, plan.root / "roles", on_task=lambda task: say(f"{recipe.name}: {task}"))
        repository, tag = recipe.reference.split(":")
        recorded = {**_labels(recipe), label("python"): interpreter.version, label("machine"): interpreter.machine}
        changes = [f'LABEL "{key}"="{value}"' for key, value in recorded.items()]
        entrypoint = client.images.get(recipe.parent.reference).attrs["Config"]["Entrypoint"]
        say(f"{recipe.name}: saving {recipe.reference}")
        container.commit(repository, tag, pause=True, changes=changes, conf={"Entrypoint": entrypoint, "Env": []})
    finally:
        remove_container(name)


def wheelhouses(plan: HostsPlan, recipe: Recipe, interpreter: Interpreter, say: Say = lambda _: None) -> dict[str, str]:
    """Variables of the recipe's roles that name folders of wheels; what is not in the cache yet is downloaded."""
    variables, found = dict(recipe.variables), {}
    for role in recipe.roles:
        if f"{role}_wheelhouse" in plan.roles[role].options:
            say("downloading wheels")
            packages = variables.get(f"{role}_packages", plan.roles[role].defaults[f"{role}_packages"])
            found[f"{role}_wheelhouse"] = str(wheelhouse("\n".join(packages), interpreter))
    return found


# What baking leaves that a machine of its own should not share or carry about.
_CLEAN_UP = """
rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/* /var/cache/apt/* /root/.cache /root/.ansible /var/log/journal/*
: > /etc/machine-id
"""


def _labels(recipe: Recipe) -> dict[str, str]:
    return {label("kind"): "image", label("recipe"): recipe.name, label("roles"): ",".join(recipe.roles)}


def _proxies() -> dict[str, str]:
    found = {name: os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES}
    return {name: value for name, value in found.items() if value}


def _image(reference: str) -> Any | None:
    try:
        return engine().images.get(reference)
    except ImageNotFound:
        return None


@contextmanager
def _only_one(recipe: Recipe) -> Iterator[None]:
    """Two processes that want the same image bake it once."""
    folder = cache_dir() / "locks"
    folder.mkdir(exist_ok=True)
    with (folder / recipe.reference.replace("/", "_")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _room(recipe: Recipe) -> Iterator[None]:
    """Says it plainly when the disk fills up while baking."""
    started = time.monotonic()
    try:
        yield
    except (CelerylabError, APIError, BuildError) as error:
        if "no space left" in str(error).lower():
            raise EngineError(
                f"the disk of Docker filled up after {time.monotonic() - started:.0f} s while baking {recipe.reference}; nothing half-made stays. "
                "Free some with `celerylab images prune` or `docker system prune`, then try again"
            ) from None
        raise
