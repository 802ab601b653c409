"""From environment, module, settings and lab to one typed plan: every host, role, variable, image and hash, before any resource exists."""

import json
import re
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from celerylab.digest import digest_json, digest_tree
from celerylab.errors import InputError
from celerylab.paths import cache_dir
from celerylab.topology.environment import Endpoint, Group, Service, Services, Site, load_environment
from celerylab.topology.hosts import HostPlan, RolePlan, capabilities, positions
from celerylab.topology.lab import deep_merge, snapshot
from celerylab.topology.module import check_applies, load_module, module_folder
from celerylab.topology.module_plan import ModulePlan
from celerylab.topology.names import at_site, group_of
from celerylab.topology.pools import check_queues
from celerylab.topology.roles import Roles
from celerylab.topology.settings import stack_settings
from celerylab.topology.source import Source, load_model, read_yaml, suggestion

# The variables that a plan provides to every role, beside the roles' own.
CONTEXT = (
    *("broker", "elsewhere", "hosts", "lab", "ledger", "longest_task_seconds", "manifests", "networks"),
    *("probe", "secrets", "site", "sites", "wheelhouse"),
)
_SECRET = re.compile(r"celerylab_secrets\.(\w+)")
_LAB_FILE = re.compile(r"\{\{ *celerylab_lab *\}\}/([\w./@-]+)")
_CONTEXT_NAME = re.compile(r"celerylab_(\w+)")
LEDGER_PORT = 8400
_NOWHERE = {"": Site.model_construct(name="", residency=[])}


@dataclass(frozen=True)
class Plan(ModulePlan):
    """All that a stack's program needs to know. Built by `make_plan`."""

    dockerfiles = ("support",)

    @cached_property
    def sites(self) -> dict[str, Site]:
        """The sites that the stack has, by name; a single one without a name where the rung has none."""
        wanted = self.environment.sites[: int(self.settings.values.get("sites", 0))]
        return {site.name: site for site in wanted} or _NOWHERE

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of its networks: each site has those of the rung."""
        return tuple(at_site(site, name) for site in self.sites for name in self.environment.networks)

    @cached_property
    def site_groups(self) -> dict[str, Group]:
        """Groups of the rung that the module wants, and those that it adds, with `{broker}` resolved: those of each site."""
        wanted = {name: group for name, group in self.environment.groups.items() if name not in self.module.without}
        groups = {**wanted, **self.module.groups}
        return {name: group.model_copy(update={"roles": _resolved(group, self.broker)}) for name, group in groups.items()}

    @cached_property
    def groups(self) -> dict[str, Group]:
        """Every group of the stack."""
        return {at_site(site, name): group for site in self.sites for name, group in self.site_groups.items()}

    @cached_property
    def site_of(self) -> dict[str, str]:
        """Name of the site that each group is at."""
        return {at_site(site, name): site for site in self.sites for name in self.site_groups}

    @cached_property
    def host_names(self) -> dict[str, int]:
        """Position of every host by its name. One site more or less moves no host of another: there is room for all that the rung can have."""
        sites = [site.name for site in self.environment.sites] or [""]
        possible = {at_site(site, name): group for site in sites for name, group in self.site_groups.items()}
        found = positions(possible, {**self.environment.settings, **self.module.settings}, self.settings.values)
        return {name: position for name, position in found.items() if group_of(name) in self.groups}

    def broker_host(self, site: str) -> str:
        """Name of the host that runs the broker of `site`."""
        return next(f"{at_site(site, name)}-1" for name, group in self.site_groups.items() if self.broker.role in group.roles)

    @cached_property
    def used_services(self) -> list[Service]:
        """The chosen broker, and every other service that a group of the module runs."""
        roles = {role for group in self.groups.values() for role in group.roles}
        return [service for service in (self.services.redis, self.services.rabbitmq) if service.role in roles]

    @property
    def secret_names(self) -> list[str]:
        """Every secret the stack generates; the ledger's token is always one."""
        services = [name for service in self.used_services for name in service.secrets]
        return sorted({*self.environment.secrets, *self.module.secrets, *services, "ledger_token"})

    @cached_property
    def variables(self) -> dict[str, Any]:
        """Values for roles' variables for all hosts: of every rung, this one, its services and the module; later ones win, and maps merge."""
        services = [service.vars for service in self.used_services]
        return reduce(deep_merge, [_application(self.root).data, self.environment.vars, *services, self.module.vars])

    @cached_property
    def lab_variables(self) -> dict[str, Any]:
        """What the lab's own vars.yaml says, which wins over all others."""
        return read_yaml(self.lab.folder / "vars.yaml").data if (self.lab.folder / "vars.yaml").is_file() else {}

    def broker_facts(self, site: str) -> dict[str, Any]:
        """The broker of `site`, for Ansible: its URLs, and that of the result store, with the password still a reference."""
        store, address = self.broker, f"{self.broker_host(site)}:{self.broker.port}"
        store_address, password = address, "{{ celerylab_secrets.broker_password }}"
        if self.environment.results:
            store = self.services.named(self.environment.results.service)
            store_address = f"{at_site(site, self.environment.results.group)}-1:{store.port}"
        return {
            "name": self.broker_name,
            "broker_url": self.broker.broker_url.format(address=address, password=password),
            "result_url": store.result_url.format(address=store_address, password=password),
        }

    def site_facts(self, site: str) -> dict[str, Any]:
        """What the variables `celerylab_broker`, `celerylab_site` and `celerylab_sites` are for the hosts of `site`."""
        every = {name: {**self.broker_facts(name), "residency": found.residency} for name, found in self.sites.items()}
        own = {"name": site, "residency": self.sites[site].residency, "others": [name for name in self.sites if name != site]}
        return {"broker": self.broker_facts(site), "site": own, "sites": every}

    def elsewhere(self, site: str) -> dict[str, int]:
        """Position of every host of another site that offers something: those whose number a setting says do not."""
        offering = {name for name, group in self.groups.items() if self.site_of[name] != site and not group.counted_by}
        return {name: position for name, position in self.host_names.items() if group_of(name) in offering}

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """What the gateway publishes, for each site: endpoints of the rung, but for groups that the module leaves out, and of the module."""
        there = {name: endpoint for name, endpoint in self.environment.endpoints.items() if endpoint.group not in self.module.without}
        return {
            at_site(site, name): endpoint.model_copy(
                update={"group": at_site(site, endpoint.group), "network": at_site(site, endpoint.network)}
            )
            for site in self.sites
            for name, endpoint in {**there, **self.module.endpoints}.items()
        }

    def endpoint_port(self, name: str) -> int:
        """Port on the host that the endpoint `name` forwards to."""
        port = self.endpoints[name].port
        return {"{broker_port}": self.broker.port, "{broker_tls_port}": self.broker.tls_port}.get(str(port)) or int(port)

    @cached_property
    def hosts(self) -> tuple[HostPlan, ...]:
        """Every host with its roles, in the order of their addresses."""
        planned = []
        for name, position in self.host_names.items():
            group_name = group_of(name)
            group, site = self.groups[group_name], self.site_of[group_name]
            variables = reduce(deep_merge, [self.variables, group.vars, self.lab_variables])
            roles = tuple(self._role(role, variables, site) for role in group.roles)
            size = self.environment.sizes[group.size]
            planned.append(HostPlan(name, group_name, position, size, roles, capabilities(self.root, group.roles), site))
        return tuple(planned)

    def _role(self, name: str, everything: dict[str, Any], site: str) -> RolePlan:
        variables = {key: value for key, value in everything.items() if self.roles.owner(key) == name}
        text = json.dumps(variables, sort_keys=True)
        # Variables may lead to context that leads to secrets: the broker's URLs do.
        facts = self.site_facts(site)
        text += json.dumps([facts.get(key, "") for key in _CONTEXT_NAME.findall(text)])
        fingerprint = digest_json(
            {
                "role": self.roles[name].digest,
                "variables": text,
                "lab": {path: self.lab.digest_of(path) for path in _LAB_FILE.findall(text)},
                "context": {key: self._context_digest(key, site) for key in sorted(set(_CONTEXT_NAME.findall(text)))},
            }
        )
        return RolePlan(name, fingerprint[:16], variables, tuple(sorted(set(_SECRET.findall(text)))))

    def _context_digest(self, key: str, site: str) -> Any:
        """What of the context a fingerprint depends on. Addresses and secrets are compared by the Converge resource itself."""
        values: dict[str, Any] = {
            "hosts": self.host_names,
            "elsewhere": self.elsewhere(site),
            "probe": digest_tree(probe_folder(), ignore={"__pycache__"}),
            "wheelhouse": self.lab.digest_of("requirements.txt"),
            "longest_task_seconds": self.module.longest_task_seconds,
            "manifests": digest_tree(self.root / "manifests" / "alerts"),
        }
        return values.get(key)


def make_plan(root: Path, wanted_module: str, configuration: dict[str, str]) -> Plan:
    """The plan for module `wanted_module` (such as `02`) under a stack's `configuration`.

    Raises InputError, naming file and line, for anything that is wrong before resources exist.
    """
    folder = module_folder(root, wanted_module)
    module = load_module(folder)
    environment, environment_source = load_environment(root, module.environment, f"{folder.name}/module.yaml")
    check_applies(module, environment.settings)
    settings = stack_settings(module, configuration, environment.settings)
    services = load_model(root / "environments" / "services.yaml", Services)
    roles = Roles(root / "roles")
    plan = Plan(root, module, environment, services, settings, snapshot(folder, settings.lab, cache_dir() / "labs"), roles)
    if "observe" not in environment.networks:
        raise environment_source.error(("networks",), "networks must hold lab and observe")
    module_source = read_yaml(folder / "module.yaml")
    _check_groups(plan, module_source)
    used = {role for group in plan.groups.values() for role in group.roles}
    known = used | _roles_of(plan, environment.groups)
    application = _application(root)
    roles.check(application, (), {owner for name in application.data if (owner := roles.owner(name))})
    roles.check(environment_source, ("vars",), known)
    roles.check(module_source, ("vars",), used)
    for source, groups in ((environment_source, environment.groups), (module_source, module.groups)):
        for name, group in groups.items():
            roles.check(source, ("groups", name, "vars"), _roles_of(plan, {name: group}))
    if (plan.lab.folder / "vars.yaml").is_file():
        roles.check(replace(read_yaml(plan.lab.folder / "vars.yaml"), path=plan.lab.origin("vars.yaml")), (), used)
    for name, endpoint in plan.endpoints.items():
        if endpoint.group not in plan.groups:
            raise InputError(
                f"{folder.name}/module.yaml: endpoint {name} is on group {endpoint.group}, which is none of {', '.join(plan.groups)}"
            )
        if endpoint.network not in plan.networks:
            raise InputError(
                f"{folder.name}/module.yaml: endpoint {name} is on network {endpoint.network}, which is none of {', '.join(plan.networks)}"
            )
    check_queues(plan.hosts, f"{folder.name}/module.yaml")
    for name in settings.ports:
        if name not in {*plan.endpoints, "ledger"}:
            raise InputError(f"celerylab:ports names {name}; this environment has {', '.join([*plan.endpoints, 'ledger'])}")
    return plan


def _application(root: Path) -> Source:
    """How every rung runs a lab's application."""
    return read_yaml(root / "environments" / "application.yaml")


def _resolved(group: Group, broker: Service) -> list[str]:
    return [role.replace("{broker}", broker.role) for role in group.roles]


def _roles_of(plan: Plan, groups: dict[str, Group]) -> set[str]:
    return {role for group in groups.values() for role in _resolved(group, plan.broker)}


def _check_groups(plan: Plan, module_source: Source) -> None:
    """Refuses groups that are left out and do not exist, counts that no setting gives, and sizes that the rung does not have."""
    environment = plan.environment
    for index, name in enumerate(plan.module.without):
        if name not in environment.groups:
            raise module_source.error(
                ("without", index), f"{name} is no group of {environment.name}{suggestion(name, list(environment.groups))}"
            )
    for name, group in plan.module.groups.items():
        if group.size not in environment.sizes:
            raise module_source.error(("groups", name, "size"), f"{group.size} is none of {', '.join(environment.sizes)}")
        if group.counted_by and group.counted_by not in plan.settings.values:
            raise module_source.error(("groups", name, "count"), f"{group.count} is no setting; write a number")


def probe_folder() -> Path:
    """Folder of the celerylab_probe package, which labs run."""
    spec = find_spec("celerylab_probe")
    if spec is None or spec.origin is None:
        raise InputError("the package celerylab_probe is not installed beside celerylab; run scripts/demo or `uv sync`")
    return Path(spec.origin).parent
