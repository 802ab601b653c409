"""A whole environment: lease, networks, gateway, ledger, secrets and machines, as a plan says them."""

from typing import Any

from pulumi import ComponentResource, Output, ResourceOptions

from celerylab.components.machine import Machine, MachineArgs
from celerylab.components.program import address_of, admit_plan, attached, exported_hosts, module_outputs, run_stack
from celerylab.images.recipe import dockerfile_recipe
from celerylab.providers.gateway import Gateway
from celerylab.providers.lease import Lease
from celerylab.providers.ledger import Ledger
from celerylab.providers.link import Link
from celerylab.providers.network import Network
from celerylab.providers.secret import Secret
from celerylab.topology.addresses import FIRST_HOST, SUBNET_PREFIX, fixed_address, host_address
from celerylab.topology.names import Instance, at_site
from celerylab.topology.plan import LEDGER_PORT, Plan, make_plan, probe_folder


class LabEnvironment(ComponentResource):
    """One stack's environment. `outputs` is what the stack exports. Secrets are not among them: Pulumi's debug log prints exports in
    clear. Who needs one reads it from the state (pulumi_stack.py)."""

    outputs: dict[str, Any]

    def __init__(self, name: str, plan: Plan, instance: Instance, opts: ResourceOptions | None = None) -> None:
        super().__init__("celerylab:index:LabEnvironment", name, None, opts)
        lease = Lease(
            f"{name}-lease",
            instance=instance.id,
            owner=plan.settings.owner,
            hours=plan.settings.hours,
            opts=ResourceOptions(parent=self),
        )
        child = ResourceOptions(parent=self, depends_on=[lease])
        networks = {
            key: Network(f"{name}-{key}", name=instance.object_name(key), labels=instance.labels("network", key), opts=child)
            for key in plan.networks
        }
        secrets = {key: Secret(f"{name}-{key.replace('_', '-')}", key, opts=child) for key in plan.secret_names}
        values: Output[dict[str, Any]] = Output.secret(Output.all(**{key: secret.value for key, secret in secrets.items()}))
        ledger = self._ledger(name, plan, instance, networks, secrets["ledger_token"], child)
        link, after_link = self._link(name, plan, instance, networks, child)
        machines = {}
        for site in plan.sites:
            near = {key: networks[at_site(site, key)] for key in plan.environment.networks}
            context = _context(plan, site, near)
            for host in (host for host in plan.hosts if host.site == site):
                machines[host.name] = Machine(f"{name}-{host.name}", MachineArgs(plan, host, instance, near, context, values), after_link)
        gateway = self._gateway(name, plan, instance, networks, ledger, child)
        self.outputs = {
            **module_outputs(plan, instance, lease),
            "endpoints": gateway.ports.apply(lambda ports: {key: f"127.0.0.1:{port:.0f}" for key, port in ports.items()}),
            "hosts": exported_hosts(plan, machines, networks),
            **link,
        }
        self.register_outputs({"instance": instance.id})

    @staticmethod
    def _ledger(name: str, plan: Plan, instance: Instance, networks: dict[str, Network], token: Secret, opts: ResourceOptions) -> Ledger:
        return Ledger(
            f"{name}-ledger",
            name=instance.object_name("ledger"),
            image=dockerfile_recipe(plan.root, "support").reference,
            networks=attached(networks, [at_site(site, "observe") for site in plan.sites], "ledger"),
            port=LEDGER_PORT,
            token=token.value,
            labels=instance.labels("ledger", "ledger"),
            opts=opts,
        )

    @staticmethod
    def _link(
        name: str, plan: Plan, instance: Instance, networks: dict[str, Network], opts: ResourceOptions
    ) -> tuple[dict[str, Any], ResourceOptions]:
        """The link between the sites, where there are several: the output `link`, its container, and the options of what comes after it."""
        if len(plan.sites) < 2:
            return {}, opts
        sites = {}
        for site in plan.sites:
            network = networks[at_site(site, "lab")]
            hosts = [FIRST_HOST + host.position for host in plan.hosts if host.site == site]
            address = network.subnet.apply(lambda subnet: f"{fixed_address(subnet, 'link')}/{SUBNET_PREFIX}")
            sites[site] = {"network": network.name, "address": address, "hosts": hosts}
        link = Link(
            f"{name}-link",
            name=instance.object_name("link"),
            image=dockerfile_recipe(plan.root, "support").reference,
            sites=sites,
            seconds=int(plan.settings.values["link_milliseconds"]) / 1000,
            labels=instance.labels("link", "link"),
            opts=opts,
        )
        return {"link": link.name}, ResourceOptions.merge(opts, ResourceOptions(depends_on=[link]))

    @staticmethod
    def _gateway(name: str, plan: Plan, instance: Instance, networks: dict[str, Network], ledger: Ledger, opts: ResourceOptions) -> Gateway:
        targets: dict[str, Output[str]] = {}
        for key, endpoint in plan.endpoints.items():
            position, port = plan.host_names[f"{endpoint.group}-1"], plan.endpoint_port(key)
            targets[key] = Output.concat(address_of(networks[endpoint.network], position), f":{port}")
        first = networks[at_site(next(iter(plan.sites)), "observe")]
        targets["ledger"] = first.subnet.apply(lambda subnet: f"{fixed_address(subnet, 'ledger')}:{LEDGER_PORT}")
        return Gateway(
            f"{name}-gateway",
            name=instance.object_name("gateway"),
            image=dockerfile_recipe(plan.root, "support").reference,
            networks=attached(networks, list(networks), "gateway"),
            targets=Output.all(**targets),
            fixed=plan.settings.ports,
            labels=instance.labels("gateway", "gateway"),
            opts=ResourceOptions.merge(opts, ResourceOptions(depends_on=[ledger])),
        )


def run_program() -> None:
    """What every rung's program does."""
    run_stack(
        lambda root, configuration: make_plan(root, configuration.pop("module", ""), configuration),
        lambda plan, instance: LabEnvironment(f"lab-{plan.module.id}", plan, instance).outputs,
        admit_plan,
    )


def _context(plan: Plan, site: str, networks: dict[str, Network]) -> Output[dict[str, Any]]:
    def known(subnets: list[str]) -> dict[str, Any]:
        lab, observe = subnets
        return {
            **plan.site_facts(site),
            "elsewhere": {host: host_address(lab, position) for host, position in plan.elsewhere(site).items()},
            "hosts": {host: host_address(lab, position) for host, position in plan.host_names.items()},
            "lab": str(plan.lab.folder),
            "ledger": {"url": f"http://{fixed_address(observe, 'ledger')}:{LEDGER_PORT}"},
            "longest_task_seconds": plan.module.longest_task_seconds,
            "manifests": str(plan.root / "manifests"),
            "networks": {"lab": lab, "observe": observe},
            "probe": str(probe_folder()),
        }

    return Output.all(networks["lab"].subnet, networks["observe"].subnet).apply(known)
