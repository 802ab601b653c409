"""The ledger of a stack on a cluster: the same server as beside hosts, in a pod of its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi_kubernetes as kubernetes
from pulumi import ComponentResource, Input, Output, ResourceOptions

from celerylab.kubernetes import CONTROL_PLANE_LABEL
from celerylab.ledger import server
from celerylab.topology.kubernetes import LEDGER
from celerylab.topology.plan import LEDGER_PORT

_LABELS = {"app": LEDGER}
_PROGRAM = Path(server.__file__)
_URL, _TOKEN = "CELERYLAB_LEDGER_URL", "CELERYLAB_LEDGER_TOKEN"
_NOBODY = 65534


@dataclass(frozen=True)
class LedgerPodArgs:
    """What it needs to know: its namespace, the image with Python, and the token that entries are written and read with."""

    namespace: str
    image: str
    token: Input[str]


class LedgerPod(ComponentResource):
    """What tasks really did. It stands on the control plane where pods may, because no fault of a suite touches that."""

    def __init__(self, name: str, args: LedgerPodArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("celerylab:index:LedgerPod", name, None, opts)
        inside = ResourceOptions.merge(opts, ResourceOptions(parent=self))
        metadata: dict[str, Any] = {"name": LEDGER, "namespace": args.namespace, "labels": _LABELS}
        secret = kubernetes.core.v1.Secret(
            f"{name}-token",
            metadata=metadata,
            string_data=Output.secret({_URL: f"http://{LEDGER}.{args.namespace}.svc:{LEDGER_PORT}", _TOKEN: args.token}),
            opts=inside,
        )
        program = kubernetes.core.v1.ConfigMap(
            f"{name}-program", metadata=metadata, data={_PROGRAM.name: _PROGRAM.read_text(encoding="utf-8")}, opts=inside
        )
        kubernetes.core.v1.Service(
            f"{name}-service", metadata=_unawaited(metadata), spec={"selector": _LABELS, "ports": [{"port": LEDGER_PORT}]}, opts=inside
        )
        kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=_unawaited(metadata),
            spec={
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": _LABELS},
                "template": {"metadata": {"labels": _LABELS}, "spec": _pod(args.image)},
            },
            opts=ResourceOptions.merge(inside, ResourceOptions(depends_on=[secret, program])),
        )
        self.register_outputs({})


def _unawaited(metadata: dict[str, Any]) -> dict[str, Any]:
    """Workloads waits for all at once."""
    return {**metadata, "annotations": {"pulumi.com/skipAwait": "true"}}


def _pod(image: str) -> dict[str, Any]:
    command = ["python3", f"/program/{_PROGRAM.name}", str(LEDGER_PORT), "/var/lib/ledger/entries.sqlite", "/run/secrets/ledger/token"]
    return {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": _NOBODY, "fsGroup": _NOBODY, "seccompProfile": {"type": "RuntimeDefault"}},
        "tolerations": [{"key": CONTROL_PLANE_LABEL, "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 100, "preference": {"matchExpressions": [{"key": CONTROL_PLANE_LABEL, "operator": "Exists"}]}}
                ]
            }
        },
        "terminationGracePeriodSeconds": 5,
        "containers": [
            {
                "name": LEDGER,
                "image": image,
                "command": command,
                "ports": [{"containerPort": LEDGER_PORT}],
                "readinessProbe": {"httpGet": {"path": "/health", "port": LEDGER_PORT}, "periodSeconds": 2},
                "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
                "volumeMounts": [
                    {"name": "program", "mountPath": "/program", "readOnly": True},
                    {"name": "token", "mountPath": "/run/secrets/ledger", "readOnly": True},
                    {"name": "entries", "mountPath": "/var/lib/ledger"},
                ],
            }
        ],
        "volumes": [
            {"name": "program", "configMap": {"name": LEDGER}},
            {"name": "token", "secret": {"secretName": LEDGER, "items": [{"key": _TOKEN, "path": "token"}]}},
            {"name": "entries", "emptyDir": {"sizeLimit": "256Mi"}},
        ],
    }
