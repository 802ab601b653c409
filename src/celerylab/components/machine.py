"""One host and what runs on it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi import ComponentResource, Input, Output, ResourceOptions

from celerylab.converge.connection import docker_connection
from celerylab.images.recipe import host_recipe
from celerylab.providers.converge import Converge
from celerylab.providers.host import Host
from celerylab.providers.network import Network
from celerylab.topology.addresses import host_address
from celerylab.topology.hosts import HostPlan, HostsPlan
from celerylab.topology.names import Instance, label


@dataclass(frozen=True)
class MachineArgs:
    """What a machine needs to know."""

    plan: HostsPlan
    """The stack's plan."""
    host: HostPlan
    """Which of its hosts this is."""
    instance: Instance
    """Whose it is: decides names and labels."""
    networks: dict[str, Network]
    """Networks to be on by name, `lab` first."""
    context: Input[dict[str, Any]]
    """Ansible variables of the whole stack, without their `celerylab_` prefix."""
    secrets: Input[dict[str, Any]]
    """Values of the stack's secrets by name."""
    belongs_to: Host | None = None
    """A host without which this one is of no use: where that is made anew, so is this."""


class Machine(ComponentResource):
    """A host that boots and is converged. `image_id` is the image it runs."""

    host: Host
    converge: Converge
    image_id: Output[str]
    container: str

    def __init__(self, name: str, args: MachineArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("celerylab:index:Machine", name, None, opts)
        children = ResourceOptions(parent=self)
        host, plan = args.host, args.plan
        self.container = args.instance.object_name(host.name)
        # A list: the order of a map does not survive the way to the provider, and the first network is the one with names.
        addresses = [
            Output.all(network.name, network.subnet).apply(lambda pair: {"name": pair[0], "address": host_address(pair[1], host.position)})
            for network in args.networks.values()
        ]
        labels: dict[str, Input[str]] = {**args.instance.labels("host", host.name)}
        if args.belongs_to:
            labels[label("belongs-to")] = args.belongs_to.generation
        machine = Host(
            f"{name}-host",
            name=self.container,
            hostname=host.name,
            image=host_recipe(plan, host).reference,
            cpus=host.size.cpus,
            memory=host.size.memory,
            capabilities=host.capabilities,
            networks=Output.all(*addresses),
            labels=labels,
            opts=children,
        )
        converge = Converge(
            f"{name}-converge",
            host=host.name,
            connection=docker_connection(self.container),
            generation=machine.generation,
            roles=[{"name": role.name, "fingerprint": role.fingerprint, "secrets": list(role.secrets)} for role in host.roles],
            variables={key: value for role in host.roles for key, value in role.variables.items()},
            context=args.context,
            secrets=args.secrets,
            baked=True,
            roles_path=Path(plan.root, "roles"),
            drain_seconds=int(plan.settings.values.get("drain_seconds", 0)),
            opts=ResourceOptions.merge(children, ResourceOptions(depends_on=[machine])),
        )
        self.host = machine
        self.converge = converge
        self.image_id = machine.image_id
        self.applied = converge.applied
        self.register_outputs({"container": self.container, "image_id": self.image_id})
