"""The receipt of a stack on a cluster: its delete asks the cluster itself what is left of the stack."""

from collections.abc import Mapping
from typing import Any

from pulumi import Input, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from celerylab.errors import LeftBehindError
from celerylab.providers.engine import say


class ClusterReceiptProvider(ResourceProvider):
    """Inputs: `kubeconfig` (secret), `instance`. It is made before everything in the cluster, so that its delete is the last."""

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Nothing to do: it watches the door."""
        return CreateResult(props["instance"], dict(props))

    def diff(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> DiffResult:
        """Only how the cluster is reached may change."""
        return DiffResult(changes=old.get("kubeconfig") != new.get("kubeconfig"))

    def update(self, _id: str, _old: Mapping[str, Any], new: Mapping[str, Any]) -> UpdateResult:
        """Takes the new way to the cluster."""
        return UpdateResult(dict(new))

    def delete(self, id_: str, props: Mapping[str, Any]) -> None:
        """Looks at the cluster, not at Pulumi's state. Raises LeftBehindError naming the namespaces that are still there."""
        from celerylab.clusters.teardown import left_after

        rest = left_after(props["kubeconfig"], id_)
        if rest:
            raise LeftBehindError(f"left behind on the cluster: namespace {', '.join(rest)}; `celerylab down --force` removes by label")
        say(f"receipt: instance {id_}, namespaces left on the cluster: 0")


class ClusterReceipt(Resource, module="celerylab", name="ClusterReceipt"):
    """Says at the end what is left of a stack on its cluster, which must be nothing."""

    def __init__(self, resource: str, kubeconfig: Input[str], instance: str, opts: ResourceOptions | None = None) -> None:
        opts = ResourceOptions.merge(opts, ResourceOptions(additional_secret_outputs=["kubeconfig"]))
        super().__init__(ClusterReceiptProvider(), resource, {"kubeconfig": kubeconfig, "instance": instance}, opts)
