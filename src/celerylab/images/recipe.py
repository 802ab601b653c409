"""Which image a list of roles needs, and its tag: a hash of all that baking it would execute."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celerylab.digest import digest_json, digest_tree
from celerylab.topology.hosts import HostPlan, HostsPlan
from celerylab.topology.roles import Roles

BASE = "debian:bookworm-slim"  # what a registry calls it; `images.base` makes the same from Debian's mirrors where none answers
SUITE = "bookworm"
# Images of environments/images/: folder to the image it is made from; None is Debian.
PARENTS = {
    "bare": None,
    "support": "bare",
    "busybox": None,
    "iptables": None,
    "python": None,
    "redis": None,
    "rabbitmq": None,
    "prometheus": None,
    "application": "python",
}


@dataclass(frozen=True)
class Recipe:
    """One image. `roles` is empty for those made from a Dockerfile; `variables` are those of the roles' install parts."""

    name: str
    reference: str
    parent: "Recipe | None"
    folder: Path | None
    roles: tuple[str, ...] = ()
    variables: tuple[tuple[str, Any], ...] = ()


def dockerfile_recipe(root: Path, name: str) -> Recipe:
    """The recipe of environments/images/<name>."""
    folder = root / "environments" / "images" / name
    above = PARENTS[name]
    parent = dockerfile_recipe(root, above) if above else None
    tag = digest_json([digest_tree(folder), parent.reference if parent else BASE])[:12]
    return Recipe(name, f"celerylab/{name}:{tag}", parent, folder)


def host_recipe(plan: HostsPlan, host: HostPlan) -> Recipe:
    """The recipe of a host: the bare image and the install parts of the host's roles, in that order."""
    return roles_recipe(plan.root, plan.roles, {role.name: role.variables for role in host.roles})


def roles_recipe(root: Path, roles: Roles, wanted: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """The recipe of the bare image and the install parts of roles; `wanted` are their names, in order, with their variables."""
    parent = dockerfile_recipe(root, "bare")
    options = {name for role in wanted for name in roles[role].install_options}
    variables = {name: value for given in wanted.values() for name, value in given.items() if name in options}
    digests = [[role, roles[role].install_digest(variables)] for role in wanted]
    reference = f"celerylab/host:{digest_json([parent.reference, digests])[:12]}"
    return Recipe(f"host ({', '.join(wanted)})", reference, parent, None, tuple(wanted), tuple(sorted(variables.items())))


def recipes(plan: HostsPlan) -> list[Recipe]:
    """Every image the plan's stack needs, parents before children, each once."""
    wanted = [*(dockerfile_recipe(plan.root, name) for name in plan.dockerfiles), *(host_recipe(plan, host) for host in plan.hosts)]
    ordered: dict[str, Recipe] = {}
    for recipe in wanted:
        for ancestor in lineage(recipe):
            ordered.setdefault(ancestor.reference, ancestor)
    return list(ordered.values())


def lineage(recipe: Recipe) -> list[Recipe]:
    """What `recipe` is made from, and itself, parents first."""
    return [*(lineage(recipe.parent) if recipe.parent else []), recipe]
