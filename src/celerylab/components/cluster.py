"""A local Kubernetes cluster: its hosts, the way to its API, and what belongs to every cluster of ours."""

from typing import Any

import pulumi
from pulumi import ComponentResource, Input, Output, ResourceOptions

from celerylab import __version__
from celerylab.components.cluster_parts import ClusterParts
from celerylab.components.machine import Machine, MachineArgs
from celerylab.components.patience import wait_patiently
from celerylab.converge.connection import docker_connection
from celerylab.errors import CelerylabError, EngineError
from celerylab.images.bake import missing
from celerylab.images.recipe import dockerfile_recipe, recipes
from celerylab.paths import project_root
from celerylab.providers.cluster_access import ClusterAccess
from celerylab.providers.cluster_tenants import ClusterTenants
from celerylab.providers.gateway import Gateway
from celerylab.providers.host import Host
from celerylab.providers.lease import Lease
from celerylab.providers.machine import hosts_present, machine
from celerylab.providers.network import Network
from celerylab.providers.secret import Secret
from celerylab.topology.addresses import fixed_address, host_address
from celerylab.topology.admission import admit
from celerylab.topology.cluster import API_PORT, CONTROL_PLANE, ClusterPlan, make_cluster_plan
from celerylab.topology.names import Instance, current_backend
from celerylab.topology.settings import pulumi_configuration


class Cluster(ComponentResource):
    """One cluster. `outputs` is what the stack exports; the kubeconfig is not among them (`celerylab cluster kubeconfig` writes it)."""

    outputs: dict[str, Any]

    def __init__(self, name: str, plan: ClusterPlan, instance: Instance, opts: ResourceOptions | None = None) -> None:
        super().__init__("celerylab:index:Cluster", name, None, opts)
        settings = plan.settings
        own = ResourceOptions(parent=self)
        lease = Lease(f"{name}-lease", instance=instance.id, owner=settings.owner, hours=settings.hours, opts=own)
        self._child = ResourceOptions(parent=self, depends_on=[lease])
        self._name, self._plan, self._instance = name, plan, instance
        self._network = Network(f"{name}-lab", name=instance.object_name("lab"), labels=instance.labels("network", "lab"), opts=self._child)
        token = Secret(f"{name}-join-token", "join_token", opts=self._child)
        self._secrets: Output[dict[str, Any]] = Output.secret(Output.all(join_token=token.value))
        control_plane = self._machine(CONTROL_PLANE)
        gateway = self._gateway()
        endpoint = gateway.ports.apply(lambda ports: f"127.0.0.1:{ports['api']:.0f}")
        access = ClusterAccess(
            f"{name}-access",
            connection=docker_connection(control_plane.container),
            generation=control_plane.host.generation,
            endpoint=endpoint,
            name=f"celerylab-{instance.stack}",
            opts=ResourceOptions(parent=self, depends_on=[control_plane.converge]),
        )
        machines = {CONTROL_PLANE: control_plane}
        nodes = [host.name for host in plan.hosts if host.name != CONTROL_PLANE]
        machines |= {node: self._machine(node, access.authority, control_plane.host) for node in nodes}
        parts = ClusterParts(
            f"{name}-parts", plan.root, access.kubeconfig, control_plane.host, [m.converge for m in machines.values()], own
        )
        ClusterTenants(
            f"{name}-tenants",
            kubeconfig=access.kubeconfig,
            container=control_plane.container,
            opts=ResourceOptions(parent=self, depends_on=[parts]),
        )
        self.outputs = {
            "instance": instance.id,
            "owner": settings.owner,
            "expires": lease.expires,
            "settings": settings.values,
            "endpoints": {"api": endpoint},
            "hosts": {
                host.name: {
                    "container": machines[host.name].container,
                    "group": host.group,
                    "address": self._address(host.position),
                    "image": machines[host.name].image_id,
                }
                for host in plan.hosts
            },
            "versions": {"celerylab": __version__, **plan.versions},
        }
        self.register_outputs({"instance": instance.id})

    def _address(self, position: int) -> Output[str]:
        return self._network.subnet.apply(lambda subnet: host_address(subnet, position))

    def _machine(self, name: str, authority: Input[str] = "", belongs_to: Host | None = None) -> Machine:
        host = next(host for host in self._plan.hosts if host.name == name)
        context = Output.all(self._network.subnet, authority).apply(lambda known: self._context(name, *known))
        args = MachineArgs(self._plan, host, self._instance, {"lab": self._network}, context, self._secrets, belongs_to)
        return Machine(f"{self._name}-{name}", args, self._child)

    def _context(self, name: str, subnet: str, authority: str) -> dict[str, Any]:
        plan = self._plan
        addresses = {host: host_address(subnet, position) for host, position in plan.host_names.items()}
        return {
            "address": addresses[name],
            "api": f"{addresses[CONTROL_PLANE]}:{API_PORT}",
            "authority": authority,
            "hosts": addresses,
            "pod_subnet": plan.pod_subnet(name),
            "pod_routes": {plan.pod_subnet(host): address for host, address in addresses.items() if host != name},
            "versions": plan.versions,
        }

    def _gateway(self) -> Gateway:
        return Gateway(
            f"{self._name}-gateway",
            name=self._instance.object_name("gateway"),
            image=dockerfile_recipe(self._plan.root, "support").reference,
            networks=Output.all(self._network.name, self._network.subnet).apply(
                lambda pair: [{"name": pair[0], "address": fixed_address(pair[1], "gateway")}]
            ),
            targets={"api": Output.concat(self._address(self._plan.host_names[CONTROL_PLANE]), f":{API_PORT}")},
            fixed=self._plan.settings.ports,
            labels=self._instance.labels("gateway", "gateway"),
            opts=self._child,
        )


def run_cluster_program() -> None:
    """What the program of stacks/cluster does: read the configuration, plan, ask whether the machine can bear it, compose, export."""
    wait_patiently()
    try:
        plan = make_cluster_plan(project_root(), pulumi_configuration())
        instance = Instance(current_backend(), pulumi.get_project(), pulumi.get_stack())
        _admit(plan, instance)
    except CelerylabError as error:
        raise pulumi.RunError(str(error)) from None  # Pulumi shows the line alone, without a traceback
    for key, value in Cluster("cluster", plan, instance).outputs.items():
        pulumi.export(key, value)


def _admit(plan: ClusterPlan, instance: Instance) -> None:
    share = 1 - min(1.0, hosts_present(instance.id) / len(plan.hosts))
    sizes = {host.name: host.size for host in plan.hosts}
    admit("the cluster", plan.environment.needs, len(plan.environment.networks), share, machine(), sizes)
    if missing(recipes(plan)):
        raise EngineError("the images of the cluster's hosts are not baked yet; run `celerylab cluster bake` once (it takes minutes)")
