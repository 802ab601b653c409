"""The end of a deployment on a cluster: it waits until what was applied runs, and says why where it does not."""

from collections.abc import Mapping
from typing import Any

from pulumi import Input, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from celerylab.providers.engine import say

READY_SECONDS = 180


class WorkloadsProvider(ResourceProvider):
    """Inputs: `kubeconfig` (secret), `namespace`, `applied` (hash of all that was applied)."""

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Waits."""
        return CreateResult(props["namespace"], _waited(props))

    def diff(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> DiffResult:
        """Waits again where something was applied."""
        changed = [key for key in ("namespace", "applied", "kubeconfig") if old.get(key) != new.get(key)]
        return DiffResult(changes=bool(changed), replaces=["namespace"] if "namespace" in changed else [])

    def update(self, _id: str, _old: Mapping[str, Any], new: Mapping[str, Any]) -> UpdateResult:
        """Waits."""
        return UpdateResult(_waited(new))

    def delete(self, _id: str, props: Mapping[str, Any]) -> None:
        """Ends everything at once: where all goes, no worker is waited for."""
        from celerylab.clusters.teardown import end_workloads

        end_workloads(props["kubeconfig"], props["namespace"])


class Workloads(Resource, module="celerylab", name="Workloads"):
    """All that runs in a stack's namespace, ready."""

    def __init__(
        self, resource: str, kubeconfig: Input[str], namespace: Input[str], applied: Input[str], opts: ResourceOptions | None = None
    ) -> None:
        opts = ResourceOptions.merge(opts, ResourceOptions(additional_secret_outputs=["kubeconfig"]))
        super().__init__(WorkloadsProvider(), resource, {"kubeconfig": kubeconfig, "namespace": namespace, "applied": applied}, opts)


def _waited(props: Mapping[str, Any]) -> dict[str, Any]:
    from celerylab.clusters.workloads import wait_until_ready  # here, because importing it costs more than most runs take
    from celerylab.kubernetes import client_of

    wait_until_ready(client_of(props["kubeconfig"]), props["namespace"], READY_SECONDS, say)
    return dict(props)
