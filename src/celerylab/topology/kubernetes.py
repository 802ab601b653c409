"""The plan of a stack on a Kubernetes cluster: the chart's values and the lab's own manifests, before any resource exists."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

from celerylab.errors import InputError
from celerylab.paths import cache_dir
from celerylab.topology.environment import Services, load_environment
from celerylab.topology.hosts import HostPlan
from celerylab.topology.lab import deep_merge, snapshot
from celerylab.topology.manifests import read_manifests
from celerylab.topology.module import check_applies, load_module, module_folder, rung_of
from celerylab.topology.module_plan import ModulePlan
from celerylab.topology.names import Instance
from celerylab.topology.plan import LEDGER_PORT, Plan, make_plan, probe_folder
from celerylab.topology.roles import Roles
from celerylab.topology.settings import stack_settings
from celerylab.topology.source import load_model, read_yaml

RELEASE = "lab"  # the chart's objects are called lab-…
BROKER_SECRET, LEDGER = "broker", "ledger"
MANAGEMENT_PORT = 15672  # of RabbitMQ in the chart
APPLICATION = "application"


@dataclass(frozen=True)
class KubernetesPlan(ModulePlan):
    """All that the rung's program needs to know. Built by `make_kubernetes_plan`."""

    hosts: tuple[HostPlan, ...] = ()
    networks: tuple[str, ...] = ()

    @property
    def platform_images(self) -> tuple[str, ...]:
        """Folders of environments/images that the stack's pods run, beside the application."""
        return (self.broker_name, "support")

    @property
    def dockerfiles(self) -> tuple[str, ...]:
        """Folders of environments/images that are built for the stack, or that the application's image stands on."""
        return ("python", *self.platform_images)

    @property
    def secret_names(self) -> list[str]:
        """Every secret the stack generates; the ledger's token is always one."""
        return sorted({*self.environment.secrets, *self.module.secrets, "ledger_token"})

    @property
    def code(self) -> list[Path]:
        """Folders that the application's image is made of: the lab's, and the package that it imports for the ledger."""
        return [self.lab.folder / "app", probe_folder()]

    @property
    def requirements(self) -> Path:
        """The packages that the lab asks for."""
        return self.lab.folder / "requirements.txt"

    @cached_property
    def services_of(self) -> dict[str, dict[str, Any]]:
        """What a suite reaches, by the name of the endpoint: the Service and its port."""
        return {"broker": {"name": self._broker_service, "port": self.broker.port}, "ledger": {"name": LEDGER, "port": LEDGER_PORT}}

    def values(self, images: Mapping[str, str]) -> dict[str, Any]:
        """The chart's values: of the rung, the module and the lab; `images` and the broker are the platform's."""
        lab = self.lab.folder / "values.yaml"
        said = reduce(deep_merge, [self.environment.chart, self.module.chart, read_yaml(lab).data if lab.is_file() else {}])
        name = self.broker_name
        platform = {
            "fullnameOverride": RELEASE,
            "image": _image(images[APPLICATION]),
            "settings": {"LAB_BROKER": name},
            "broker": {"type": name, "existingSecret": ""},
            name: {"enabled": True, "existingSecret": BROKER_SECRET, "password": "", "image": _image(images[name])},
            "resultBackend": {"existingSecret": BROKER_SECRET, "key": "result-url"},
        }
        merged: dict[str, Any] = deep_merge(said, platform)
        ledger = {"to": [{"podSelector": {"matchLabels": {"app": LEDGER}}}], "ports": [{"port": LEDGER_PORT, "protocol": "TCP"}]}
        merged["networkPolicy"] = {**merged["networkPolicy"], "egress": [*merged["networkPolicy"].get("egress", []), ledger]}
        return {**merged, "secrets": [*merged.get("secrets", []), LEDGER]}

    def manifests(self, namespace: str, images: Mapping[str, str]) -> list[dict[str, Any]]:
        """The lab's own objects, for `namespace`."""
        return read_manifests(self.lab, namespace, images)

    def broker_secret(self, passwords: Mapping[str, str], namespace: str) -> dict[str, str]:
        """What the Secret of the broker holds: which one it is, URLs for the application, and its users, on Redis as the role has them on hosts."""
        password, host = passwords["broker_password"], f"{self._broker_service}.{namespace}.svc"
        address = f"{host}:{self.broker.port}"
        common = {
            "type": self.broker_name,
            "url": self.broker.broker_url.format(password=password, address=address),
            "result-url": self.broker.result_url.format(password=password, address=address),
        }
        if self.broker_name == "rabbitmq":
            login = f"default_user = celery\ndefault_pass = {password}\n"
            return {**common, "management": f"http://celery:{password}@{host}:{MANAGEMENT_PORT}", "rabbitmq.conf": login}
        [celery] = self.broker.vars["redis_users"]
        own = passwords["redis_password"]
        return {**common, "password": own, "redis.conf": f"requirepass {own}\nuser {celery['name']} on >{password} {celery['rules']}\n"}

    @property
    def _broker_service(self) -> str:
        return f"{RELEASE}-{self.broker_name}"


def make_kubernetes_plan(root: Path, wanted_module: str, configuration: dict[str, str]) -> KubernetesPlan:
    """The plan for module `wanted_module` under a stack's `configuration`.

    Raises InputError, naming file and line, for anything that is wrong before resources exist.
    """
    folder = module_folder(root, wanted_module)
    module = load_module(folder)
    environment, _ = load_environment(root, module.environment, f"{folder.name}/module.yaml")
    check_applies(module, environment.settings)
    settings = stack_settings(module, configuration, environment.settings)
    services = load_model(root / "environments" / "services.yaml", Services)
    lab = snapshot(folder, settings.lab, cache_dir() / "labs")
    for needed in ("app", "requirements.txt"):
        if not (lab.folder / needed).exists():
            raise InputError(f"{lab.origins[-1]}: there is no {needed}; a lab on Kubernetes needs app/ and requirements.txt")
    plan = KubernetesPlan(root, module, environment, services, settings, lab, Roles(root / "roles"))
    named = {name: f"celerylab.local/{name}:0" for name in (APPLICATION, *plan.platform_images)}
    plan.manifests("checked", named)
    return plan


def make_any_plan(root: Path, wanted_module: str, configuration: dict[str, str]) -> Plan | KubernetesPlan:
    """The plan of a module's stack, on whichever substrate its rung is."""
    rung = rung_of(root, module_folder(root, wanted_module))
    make = make_kubernetes_plan if rung.substrate == "kubernetes" else make_plan
    return make(root, wanted_module, configuration)


def namespace_of(instance: Instance) -> str:
    """The namespace that a stack owns on its cluster."""
    return f"celerylab-{instance.id}"


def _image(reference: str) -> dict[str, str]:
    repository, tag = reference.rsplit(":", 1)
    return {"repository": repository, "tag": tag}
