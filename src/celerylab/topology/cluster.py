"""The plan of a local Kubernetes cluster: its hosts, what they run and bring along, before any resource exists."""

import json
import re
from dataclasses import dataclass
from functools import cached_property, reduce
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from celerylab.digest import digest_json
from celerylab.topology.cluster_parts import ClusterImage, cluster_images, cluster_versions, programs_folder
from celerylab.topology.environment import Environment, Needs, load_environment
from celerylab.topology.hosts import HostPlan, RolePlan, capabilities, positions
from celerylab.topology.lab import deep_merge
from celerylab.topology.names import group_of
from celerylab.topology.roles import Roles
from celerylab.topology.settings import StackSettings, stack_settings

PODS = "10.244.0.0/16"
CONTROL_PLANE = "control-plane-1"
_SECRET = re.compile(r"celerylab_secrets\.(\w+)")


@dataclass(frozen=True)
class ClusterPlan:
    """All that the cluster's program needs to know. Built by `make_cluster_plan`."""

    root: Path
    environment: Environment
    settings: StackSettings
    roles: Roles

    title = "the cluster"
    bake_command = "celerylab cluster bake"
    dockerfiles = ("support",)

    @property
    def needs(self) -> Needs:
        """What the cluster takes of the machine."""
        return self.environment.needs

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of its networks."""
        return tuple(self.environment.networks)

    @cached_property
    def host_names(self) -> dict[str, int]:
        """Position of every host by its name."""
        return positions(self.environment.groups, self.environment.settings, self.settings.values)

    @cached_property
    def images(self) -> list[ClusterImage]:
        """Images that nodes bring along."""
        return cluster_images(self.root)

    @cached_property
    def variables(self) -> dict[str, Any]:
        """Values for the roles' variables for all hosts."""
        programs = programs_folder(self.root) / "host"
        # Where we built none, hosts have the packages of Kubernetes' own repository.
        found = {"kubernetes_node_programs": str(programs) if programs.is_dir() else ""}
        pause = next(image for image in self.images if image.name == "pause")
        return {**self.environment.vars, **found, "containerd_sandbox_image": pause.references[0]}

    @cached_property
    def versions(self) -> dict[str, str]:
        """Version of each part of the cluster by its name."""
        return cluster_versions(self.root)

    @cached_property
    def hosts(self) -> tuple[HostPlan, ...]:
        """Every host with its roles, in the order of their addresses."""
        planned = []
        for name, position in self.host_names.items():
            group_name = group_of(name)
            group = self.environment.groups[group_name]
            archives = [str(image.archive) for image in self.images if group_name in image.groups]
            variables = reduce(deep_merge, [self.variables, group.vars, {"containerd_image_archives": archives}])
            roles = tuple(self._role(role, variables) for role in group.roles)
            size = self.environment.sizes[group.size]
            planned.append(HostPlan(name, group_name, position, size, roles, capabilities(self.root, group.roles)))
        return tuple(planned)

    def pod_subnet(self, host: str) -> str:
        """Range that the pods of `host` have their addresses from."""
        return str(list(IPv4Network(PODS).subnets(new_prefix=24))[self.host_names[host]])

    def _role(self, name: str, everything: dict[str, Any]) -> RolePlan:
        variables = {key: value for key, value in everything.items() if self.roles.owner(key) == name}
        text = json.dumps(variables, sort_keys=True)
        used = {"role": self.roles[name].digest, "variables": text, "versions": self.versions if "celerylab_versions" in text else {}}
        if "celerylab_pod_routes" in text:
            used["peers"] = {peer: self.pod_subnet(peer) for peer in self.host_names}
        return RolePlan(name, digest_json(used)[:16], variables, tuple(sorted(set(_SECRET.findall(text)))))


def make_cluster_plan(root: Path, configuration: dict[str, str]) -> ClusterPlan:
    """The plan for a cluster under a stack's `configuration`. Raises InputError, naming file and line, for anything that is wrong."""
    environment, source = load_environment(root, "cluster", "stacks/cluster")
    settings = stack_settings(None, configuration, environment.settings)
    roles = Roles(root / "roles")
    plan = ClusterPlan(root, environment, settings, roles)
    used = {role for group in environment.groups.values() for role in group.roles}
    roles.check(source, ("vars",), used)
    for name, group in environment.groups.items():
        roles.check(source, ("groups", name, "vars"), set(group.roles))
    return plan
