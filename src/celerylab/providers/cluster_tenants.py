"""Who uses a cluster: stacks have namespaces of their own on it, and a cluster with stacks on it is not taken away by mistake."""

import os
from collections.abc import Mapping
from typing import Any

from pulumi import Input, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from celerylab.errors import BusyError
from celerylab.providers.engine import find_container, say
from celerylab.topology.names import WITH_STACKS_VARIABLE


class ClusterTenantsProvider(ResourceProvider):
    """Inputs: `kubeconfig` (a secret), `container` of the control plane. It is made last, so that its delete is the first of a destroy."""

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Nothing to do: it watches the door."""
        return CreateResult("tenants", dict(props))

    def diff(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> DiffResult:
        """Only how the cluster is reached may change."""
        return DiffResult(changes=old.get("kubeconfig") != new.get("kubeconfig") or old.get("container") != new.get("container"))

    def update(self, _id: str, _old: Mapping[str, Any], new: Mapping[str, Any]) -> UpdateResult:
        """Takes the new way to the cluster."""
        return UpdateResult(dict(new))

    def delete(self, _id: str, props: Mapping[str, Any]) -> None:
        """Refuses while stacks are on the cluster. A cluster whose control plane does not run has nobody to ask, and is let go."""
        from celerylab.kubernetes import client_of, stacks_on  # here, because importing it costs more than most runs take

        container = find_container(props["container"])
        if container is None or container.status != "running":
            return
        stacks = stacks_on(client_of(props["kubeconfig"]))
        if stacks and not os.environ.get(WITH_STACKS_VARIABLE):
            raise BusyError(
                f"{len(stacks)} stacks are on this cluster: {', '.join(stacks)}; take them down first, or with it by "
                "`celerylab cluster down --with-stacks`"
            )
        if stacks:
            say(f"with the cluster go {', '.join(stacks)}")


class ClusterTenants(Resource, module="celerylab", name="ClusterTenants"):
    """Refuses the end of a cluster that stacks are on."""

    def __init__(self, resource: str, kubeconfig: Input[str], container: str, opts: ResourceOptions | None = None) -> None:
        opts = ResourceOptions.merge(opts, ResourceOptions(additional_secret_outputs=["kubeconfig"]))
        super().__init__(ClusterTenantsProvider(), resource, {"kubeconfig": kubeconfig, "container": container}, opts)
