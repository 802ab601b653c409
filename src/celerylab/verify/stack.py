"""The stack under test, as its outputs describe it."""

import json
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from celerylab.paths import cache_dir, project_root
from celerylab.pulumi_stack import PulumiStack
from celerylab.topology.environment import Environment, Service, Services
from celerylab.topology.module import CourseModule, load_module, module_folder, rung_of
from celerylab.topology.names import at_site
from celerylab.topology.source import load_model
from celerylab.verify.expect import NotObservedError

TLS_SCHEMES = re.compile(r"^(redis|amqp)://")  # rpc:// has no connection of its own


@dataclass(frozen=True)
class Stack:
    """A deployed stack. `outputs` are those of components/lab.py, secrets in clear; keep it in memory."""

    name: str
    outputs: dict[str, Any]

    @property
    def settings(self) -> dict[str, str | int]:
        """The module's settings as deployed; numbers are whole."""
        return {key: int(value) if isinstance(value, float) else value for key, value in self.outputs["settings"].items()}

    @property
    def hosts(self) -> dict[str, dict[str, Any]]:
        """Container, group, address and image of each host by its name."""
        hosts: dict[str, dict[str, Any]] = self.outputs["hosts"]
        return hosts

    @property
    def images(self) -> dict[str, str]:
        """Image of each host by its name; on a cluster, of what pods run by its kind, such as `application`."""
        on_cluster: dict[str, str] = self.outputs.get("images", {})
        return on_cluster or {name: host["image"] for name, host in self.hosts.items()}

    @property
    def namespace(self) -> str:
        """Its namespace on a cluster; empty where it has hosts."""
        return str(self.outputs.get("namespace", ""))

    @property
    def secrets(self) -> dict[str, str]:
        """The stack's secrets by name."""
        secrets: dict[str, str] = self.outputs["secrets"]
        return secrets

    @property
    def gateway(self) -> str:
        """Name of the gateway's container."""
        return f"celerylab-{self.outputs['instance']}-gateway"

    @property
    def link(self) -> str:
        """Name of the container that is the link between its sites."""
        return str(self.outputs["link"])

    def endpoint(self, name: str) -> str:
        """`127.0.0.1:port` of an endpoint: of the gateway, or of a service of the namespace."""
        return str(self.outputs["endpoints"][name])

    @property
    def sites(self) -> list[str]:
        """Names of its sites, in their order; none on a rung without."""
        return list(dict.fromkeys(str(host["site"]) for host in self.hosts.values() if "site" in host))

    def at_site(self, site: str) -> "Stack":
        """The stack as one of its sites sees it: with the endpoints of that site, by the names that they have on every rung, and its hosts."""
        if site not in self.sites:
            raise NotObservedError(f"the stack has no site {site}; it has {', '.join(self.sites) or 'none'}")
        others = tuple(at_site(other, "") for other in self.sites if other != site)
        near = {name: where for name, where in self.outputs["endpoints"].items() if not name.startswith(others)}
        return replace(
            self,
            outputs={
                **self.outputs,
                "endpoints": {name.removeprefix(at_site(site, "")): where for name, where in near.items()},
                "hosts": {name: host for name, host in self.hosts.items() if host["site"] == site},
            },
        )

    @cached_property
    def module(self) -> CourseModule:
        """The module it serves."""
        return load_module(self.module_folder)

    @property
    def module_folder(self) -> Path:
        """Folder of that module."""
        return module_folder(project_root(), self.outputs["module"])

    @property
    def broker_name(self) -> str:
        """Which broker was chosen."""
        return str(self.settings.get("broker", "redis"))

    @cached_property
    def environment(self) -> Environment:
        """The rung it is on."""
        return rung_of(project_root(), self.module_folder)

    @cached_property
    def _services(self) -> Services:
        return load_model(project_root() / "environments" / "services.yaml", Services)

    @cached_property
    def broker(self) -> Service:
        """That broker's port, unit and URLs."""
        return self._services.named(self.broker_name)

    def broker_url(self, address: str | None = None, kind: str = "broker_url", tls: bool = False) -> str:
        """URL of the broker (or `kind` result_url, of the result store) with the worker's credentials; through the gateway unless `address`
        (host:port) says else.

        With `tls` it is the one of the TLS port: `rediss://`, `amqps://`, on the gateway's endpoint `broker-tls`.
        """
        if kind == "result_url" and self.environment.results:
            return self.service_url(self.environment.results.service, "results", kind)
        template: str = getattr(self.broker, kind)
        address = address or self.endpoint("broker-tls" if tls else "broker")
        url = template.format(address=address, password=self.secrets["broker_password"])
        return TLS_SCHEMES.sub(r"\1s://", url) if tls else url

    def service_url(self, service: str, endpoint: str, kind: str = "broker_url") -> str:
        """URL of the `service` (redis, rabbitmq) behind a gateway's `endpoint`, for a module that runs more than its one broker."""
        template: str = getattr(self._services.named(service), kind)
        return template.format(address=self.endpoint(endpoint), password=self.secrets["broker_password"])

    def lab_file(self, path: str) -> str | None:
        """Text of a file of the lab as it was deployed, such as a measurement that the learner wrote down; None where there is none.

        Raises NotObservedError where this machine no longer has what was deployed.
        """
        deployed: Path = cache_dir() / "labs" / self.outputs["lab"]["digest"][:16]
        if not deployed.is_dir():
            raise NotObservedError("the lab that was deployed is no longer in the cache; run `celerylab up` again")
        file = deployed / path
        return file.read_text(encoding="utf-8") if file.is_file() else None

    @classmethod
    def deployed(cls, target: PulumiStack) -> "Stack":
        """What `target` has deployed. Raises InputError where nothing is deployed, and CelerylabError where its cluster is not there."""
        return cls(target.name, reaching_cluster(target.outputs()))

    @classmethod
    def read(cls, path: Path) -> "Stack":
        """The stack that the parent process writes to the pipe `path`; waits for it."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(content["name"], content["outputs"])


def reaching_cluster(outputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs of a stack as they are; of one that is on a cluster, with the secret `kubeconfig` that reaches it. Raises CelerylabError."""
    if "namespace" not in outputs:
        return outputs
    from celerylab.clusters.access import kubeconfig_of  # here, because only stacks on a cluster have its libraries

    return {**outputs, "secrets": {**outputs["secrets"], "kubeconfig": kubeconfig_of(outputs["settings"])}}
