"""What the program of every stack does around its component, and what components have in common."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pulumi
from pulumi import Output

from celerylab import __version__
from celerylab.components.machine import Machine
from celerylab.components.patience import wait_patiently
from celerylab.errors import CelerylabError, EngineError
from celerylab.images.bake import missing
from celerylab.images.recipe import recipes
from celerylab.paths import project_root
from celerylab.providers.lease import Lease
from celerylab.providers.machine import hosts_present, machine
from celerylab.providers.network import Network
from celerylab.topology.addresses import fixed_address, host_address
from celerylab.topology.admission import admit
from celerylab.topology.hosts import HostsPlan
from celerylab.topology.module_plan import ModulePlan
from celerylab.topology.names import Instance, at_site, current_backend
from celerylab.topology.settings import pulumi_configuration

PlanT = TypeVar("PlanT", bound=HostsPlan)


def admit_plan(plan: HostsPlan, instance: Instance) -> None:
    """Refuses, before any resource exists, what the machine cannot bear and what is not baked."""
    share = 1 - min(1.0, hosts_present(instance.id) / len(plan.hosts))
    sizes = {host.name: host.size for host in plan.hosts}
    admit(plan.title, plan.needs, len(plan.networks), share, machine(), sizes)
    admit_images(plan, instance)


def admit_images(plan: HostsPlan, _instance: Instance) -> None:
    """Refuses what is not baked."""
    unbaked = missing(recipes(plan))
    if unbaked:
        raise EngineError(f"{len(unbaked)} images are not baked yet; run `{plan.bake_command}` once (it takes minutes)")


def run_stack(
    make: Callable[[Path, dict[str, str]], PlanT],
    compose: Callable[[PlanT, Instance], Mapping[str, Any]],
    allow: Callable[[PlanT, Instance], None],
) -> None:
    """Reads the configuration, makes the plan, asks whether it can be (`allow`), composes, and exports what `compose` returns."""
    wait_patiently()
    try:
        plan = make(project_root(), pulumi_configuration())
        instance = Instance(current_backend(), pulumi.get_project(), pulumi.get_stack())
        allow(plan, instance)
        outputs = compose(plan, instance)
    except CelerylabError as error:
        raise pulumi.RunError(str(error)) from None  # Pulumi shows the line alone, without a traceback
    for key, value in outputs.items():
        pulumi.export(key, value)


def exported_hosts(plan: HostsPlan, machines: Mapping[str, Machine], networks: Mapping[str, Network]) -> dict[str, Any]:
    """The stack's output `hosts`: each one's container, group, address in the lab's network (of its site, where it is at one) and image."""
    return {
        host.name: {
            "container": machines[host.name].container,
            "group": host.group,
            "address": address_of(networks[at_site(host.site, "lab")], host.position),
            "image": machines[host.name].image_id,
            **({"site": host.site} if host.site else {}),
        }
        for host in plan.hosts
    }


def module_outputs(plan: ModulePlan, instance: Instance, lease: Lease) -> dict[str, Any]:
    """What the stack of every module exports, on whichever substrate."""
    return {
        "module": plan.module.id,
        "instance": instance.id,
        "owner": plan.settings.owner,
        "expires": lease.expires,
        "settings": plan.settings.values,
        "lab": {"source": plan.lab.source, "digest": plan.lab.digest},
        "versions": {"celerylab": __version__},
    }


def address_of(network: Network, position: int) -> Output[str]:
    """Address of the host at `position` in `network`, known once that exists."""
    return network.subnet.apply(lambda subnet: host_address(subnet, position))


def attached(networks: Mapping[str, Network], names: list[str], who: str) -> Output[list[Any]]:
    """The networks called `names` for the gateway or the ledger (`who`): name and own address of each."""
    return Output.all(
        *(
            Output.all(networks[key].name, networks[key].subnet).apply(
                lambda pair: {"name": pair[0], "address": fixed_address(pair[1], who)}
            )
            for key in names
        )
    )
