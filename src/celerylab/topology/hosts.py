"""Hosts as a plan has them: from groups to names, positions, roles and capabilities."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from celerylab.topology.environment import Environment, Group, Needs, Setting, Size
from celerylab.topology.roles import Roles
from celerylab.topology.settings import StackSettings
from celerylab.topology.source import read_yaml


@dataclass(frozen=True)
class RolePlan:
    """One role on one host. `fingerprint` changes exactly when running the role again could change the host; `secrets` are names."""

    name: str
    fingerprint: str
    variables: dict[str, Any]
    secrets: tuple[str, ...]


@dataclass(frozen=True)
class HostPlan:
    """One host. `position` counts over all hosts of the stack and decides the address; `site` is empty where the rung has none."""

    name: str
    group: str
    position: int
    size: Size
    roles: tuple[RolePlan, ...]
    capabilities: tuple[str, ...]
    site: str = ""


class HostsPlan(Protocol):
    """What images and machines need to know of a plan: that of a module's stack, or that of a cluster."""

    @property
    def root(self) -> Path:
        """The project's folder."""

    @property
    def roles(self) -> Roles:
        """All roles."""

    @property
    def settings(self) -> StackSettings:
        """The stack's configuration."""

    @property
    def environment(self) -> Environment:
        """The rung, or the cluster."""

    @property
    def needs(self) -> Needs:
        """What the stack takes of the machine."""

    @property
    def title(self) -> str:
        """What it is, in a sentence."""

    @property
    def bake_command(self) -> str:
        """The command that makes its images."""

    @property
    def hosts(self) -> tuple[HostPlan, ...]:
        """Every host, in the order of addresses."""

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of its networks."""

    @property
    def dockerfiles(self) -> tuple[str, ...]:
        """Folders of environments/images whose images it uses beside those of its hosts."""


def positions(groups: Mapping[str, Group], known: Mapping[str, Setting], values: Mapping[str, str | int]) -> dict[str, int]:
    """Position of every host by its name, under the `values` of the settings `known`.

    Groups that a setting counts come last, each with room for all it may have: no other host moves.
    """
    found: dict[str, int] = {}
    first = 0
    for name, group in sorted(groups.items(), key=lambda pair: bool(pair[1].counted_by)):
        count = group.hosts(values)
        found |= {f"{name}-{index + 1}": first + index for index in range(count)}
        first += (known[group.counted_by].maximum or count) if group.counted_by else count
    return found


def capabilities(root: Path, roles: list[str]) -> tuple[str, ...]:
    """What a host that runs `roles` may do beyond Docker's default."""
    granted = read_yaml(root / "environments" / "capabilities.yaml").data
    return tuple(sorted({capability for key in ("host", *roles) for capability in granted.get(key, [])}))
