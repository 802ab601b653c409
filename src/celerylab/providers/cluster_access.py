"""How a cluster of ours is reached: its authority's certificate, and an administrator's kubeconfig for the gateway's side."""

from collections.abc import Mapping
from typing import Any

import yaml
from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from celerylab.converge.connection import run_on_host

ADMINISTRATOR = "/etc/kubernetes/admin.conf"  # kubeadm writes it on the control plane


class ClusterAccessProvider(ResourceProvider):
    """Inputs: `connection` to the control plane's host, its `generation`, `endpoint` (host:port of the API for us), `name` of the context.
    Outputs: those, `authority` (PEM) and `kubeconfig` (YAML, a secret)."""

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Reads what kubeadm made on the host."""
        return CreateResult(props["name"], _read(props))

    def diff(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> DiffResult:
        """A control plane that was made anew has another authority; a gateway that was, another port."""
        changed = [key for key in ("connection", "generation", "endpoint", "name") if old.get(key) != new.get(key)]
        return DiffResult(changes=bool(changed), replaces=["name"] if "name" in changed else [])

    def update(self, _id: str, _old: Mapping[str, Any], new: Mapping[str, Any]) -> UpdateResult:
        """Reads it again."""
        return UpdateResult(_read(new))

    def delete(self, _id: str, _props: Mapping[str, Any]) -> None:
        """Nothing to do: it lives in the state alone."""


class ClusterAccess(Resource, module="celerylab", name="ClusterAccess"):
    """`authority` is the certificate that nodes trust; `kubeconfig` lets its holder do everything in the cluster, and is a secret."""

    authority: Output[str]
    kubeconfig: Output[str]

    def __init__(
        self,
        resource: str,
        connection: Input[Mapping[str, Any]],
        generation: Input[str],
        endpoint: Input[str],
        name: str,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {"connection": connection, "generation": generation, "endpoint": endpoint, "name": name}
        opts = ResourceOptions.merge(opts, ResourceOptions(additional_secret_outputs=["kubeconfig"]))
        super().__init__(ClusterAccessProvider(), resource, {**inputs, "authority": None, "kubeconfig": None}, opts)


def _read(props: Mapping[str, Any]) -> dict[str, Any]:
    authority = run_on_host(props["connection"], ["cat", "/etc/kubernetes/pki/ca.crt"])
    administrator = run_on_host(props["connection"], ["cat", ADMINISTRATOR])
    return {**props, "authority": authority, "kubeconfig": for_endpoint(administrator, props["endpoint"], props["name"])}


def for_endpoint(kubeconfig: str, endpoint: str, name: str) -> str:
    """kubeadm's `kubeconfig` (YAML) for a client that dials `endpoint` (host:port), with one context called `name`."""
    read = yaml.safe_load(kubeconfig)
    cluster, user = read["clusters"][0]["cluster"], read["users"][0]["user"]
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {**cluster, "server": f"https://{endpoint}"}}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        },
        sort_keys=False,
    )
