"""A local Kubernetes cluster: its hosts, the way to its API, and what belongs to every cluster of ours."""

from typing import Any

from pulumi import ComponentResource, Input, Output, ResourceOptions

from celerylab import __version__
from celerylab.components.cluster_parts import ClusterParts
from celerylab.components.machine import Machine, MachineArgs
from celerylab.components.program import address_of, admit_plan, attached, exported_hosts, run_stack
from celerylab.converge.connection import docker_connection
from celerylab.images.recipe import dockerfile_recipe
from celerylab.providers.cluster_access import ClusterAccess
from celerylab.providers.cluster_tenants import ClusterTenants
from celerylab.providers.gateway import Gateway
from celerylab.providers.host import Host
from celerylab.providers.lease import Lease
from celerylab.providers.network import Network
from celerylab.providers.secret import Secret
from celerylab.topology.addresses import host_address
from celerylab.topology.cluster import CONTROL_PLANE, PODS, ClusterPlan, make_cluster_plan
from celerylab.topology.names import Instance


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
        secrets = {key: Secret(f"{name}-{key.replace('_', '-')}", key, opts=self._child) for key in plan.environment.secrets}
        self._secrets: Output[dict[str, Any]] = Output.secret(Output.all(**{key: secret.value for key, secret in secrets.items()}))
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
            "hosts": exported_hosts(plan, machines, {"lab": self._network}),
            "versions": {"celerylab": __version__, **plan.versions},
        }
        self.register_outputs({"instance": instance.id})

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
            "api": f"{addresses[CONTROL_PLANE]}:{plan.environment.endpoints['api'].port}",
            "authority": authority,
            "pod_subnet": plan.pod_subnet(name),
            "pod_routes": {plan.pod_subnet(host): address for host, address in addresses.items() if host != name},
            "pods": PODS,
            "versions": plan.versions,
        }

    def _gateway(self) -> Gateway:
        plan = self._plan
        return Gateway(
            f"{self._name}-gateway",
            name=self._instance.object_name("gateway"),
            image=dockerfile_recipe(plan.root, "support").reference,
            networks=attached({"lab": self._network}, ["lab"], "gateway"),
            targets=Output.all(
                **{
                    key: Output.concat(address_of(self._network, plan.host_names[f"{endpoint.group}-1"]), f":{endpoint.port}")
                    for key, endpoint in plan.environment.endpoints.items()
                }
            ),
            fixed=plan.settings.ports,
            labels=self._instance.labels("gateway", "gateway"),
            opts=self._child,
        )


def run_cluster_program() -> None:
    """What the program of stacks/cluster does."""
    run_stack(make_cluster_plan, lambda plan, instance: Cluster("cluster", plan, instance).outputs, admit_plan)
