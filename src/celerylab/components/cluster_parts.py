"""What every cluster of ours has beside Kubernetes: KEDA, which scales pools of workers, metrics-server, and volumes on the nodes' own disks."""

from collections.abc import Sequence
from pathlib import Path

import pulumi_kubernetes as kubernetes
from pulumi import ComponentResource, Input, Resource, ResourceOptions

MANIFESTS = ("metrics/metrics-server.yaml", "storage/local-path-storage.yaml", "keda/keda.yaml")


class ClusterParts(ComponentResource):
    """Applies manifests/ to the cluster that `kubeconfig` reaches, once `nodes` are there. They go with `host`: nobody waits for their end."""

    def __init__(
        self, name: str, root: Path, kubeconfig: Input[str], host: Resource, nodes: Sequence[Resource], opts: ResourceOptions | None = None
    ) -> None:
        super().__init__("celerylab:index:ClusterParts", name, None, opts)
        provider = kubernetes.Provider(
            f"{name}-kubernetes",
            kubeconfig=kubeconfig,
            delete_unreachable=True,  # where the control plane is made anew, what was in the old cluster is gone already
            opts=ResourceOptions(parent=self, depends_on=list(nodes)),
        )
        for path in MANIFESTS:
            kubernetes.yaml.v2.ConfigFile(
                f"{name}-{Path(path).stem}",
                file=str(root / "manifests" / path),
                opts=ResourceOptions(parent=self, provider=provider, deleted_with=host),
            )
        self.register_outputs({})
