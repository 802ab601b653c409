"""A stack on a Kubernetes cluster: a namespace with broker, exporter and ledger, and the lab's own manifests in it."""

from typing import Any

import pulumi_kubernetes as kubernetes
from pulumi import ComponentResource, CustomTimeouts, Output, Resource, ResourceOptions

from celerylab import __version__
from celerylab.clusters.access import TargetCluster, target_cluster
from celerylab.components.ledger_pod import LedgerPod, LedgerPodArgs
from celerylab.components.program import admit_images, run_stack
from celerylab.digest import digest_json
from celerylab.images.application import application_reference, name_in
from celerylab.images.recipe import dockerfile_recipe
from celerylab.kubernetes import INSTANCE_LABEL, STACK_ANNOTATION
from celerylab.providers.cluster_images import ClusterImages, containers_of
from celerylab.providers.cluster_receipt import ClusterReceipt
from celerylab.providers.engine import engine
from celerylab.providers.lease import Lease
from celerylab.providers.secret import Secret
from celerylab.providers.workloads import Workloads
from celerylab.topology.kubernetes import (
    APPLICATION,
    BROKER_SECRET,
    PLATFORM_IMAGES,
    RELEASE,
    KubernetesPlan,
    make_kubernetes_plan,
    namespace_of,
)
from celerylab.topology.names import Instance

POD_SECURITY = "pod-security.kubernetes.io/enforce"


class KubernetesLab(ComponentResource):
    """One stack's namespace on `cluster`. `outputs` is what the stack exports; secrets are not among them."""

    outputs: dict[str, Any]

    def __init__(
        self, name: str, plan: KubernetesPlan, instance: Instance, cluster: TargetCluster, opts: ResourceOptions | None = None
    ) -> None:
        super().__init__("celerylab:index:KubernetesLab", name, None, opts)
        self._name, self._plan, self._instance, self._cluster = name, plan, instance, cluster
        own = ResourceOptions(parent=self)
        lease = Lease(f"{name}-lease", instance=instance.id, owner=plan.settings.owner, hours=plan.settings.hours, opts=own)
        child = ResourceOptions(parent=self, depends_on=[lease])
        self.namespace = namespace_of(instance)
        self._kubeconfig = Output.secret(cluster.kubeconfig)
        receipt = ClusterReceipt(f"{name}-receipt", self._kubeconfig, instance.id, child)
        secrets = {key: Secret(f"{name}-{key.replace('_', '-')}", key, opts=child) for key in plan.secret_names}
        values = {key: secret.value for key, secret in secrets.items()}
        registry = str(plan.settings.values["registry"])
        here = {key: dockerfile_recipe(plan.root, key).reference for key in PLATFORM_IMAGES}
        here[APPLICATION] = application_reference(plan.root, plan.code, plan.requirements)
        nodes = cluster.nodes()
        containers = containers_of(nodes, cluster.title, registry)
        images = ClusterImages(
            f"{name}-images",
            plan.root,
            plan.code,
            plan.requirements,
            here,
            {container: engine().containers.get(container).id for container in containers.values()},
            registry,
            child,
        )
        self._images = {key: name_in(registry, reference) for key, reference in here.items()}
        space = self._space(ResourceOptions(parent=self, depends_on=[receipt, images]))
        applied = self._contents(space, values)
        Workloads(
            f"{name}-workloads",
            self._kubeconfig,
            self.namespace,
            digest_json([plan.values(self._images), plan.manifests(self.namespace, self._images)]),
            ResourceOptions(parent=self, depends_on=applied),
        )
        self.outputs = {
            "module": plan.module.id,
            "instance": instance.id,
            "owner": plan.settings.owner,
            "expires": lease.expires,
            "settings": plan.settings.values,
            "lab": {"source": plan.lab.source, "digest": plan.lab.digest},
            "namespace": self.namespace,
            "cluster": {
                "name": cluster.name,
                "local": cluster.local,
                "nodes": {node: container for node, container in containers.items() if node not in cluster.control_planes()},
            },
            "services": plan.services_of,
            "images": self._images,
            "endpoints": {},
            "hosts": {},
            "versions": {"celerylab": __version__},
        }
        self.register_outputs({"instance": instance.id})

    def _space(self, opts: ResourceOptions) -> kubernetes.core.v1.Namespace:
        """The namespace; what is in it goes with it."""
        provider = kubernetes.Provider(
            f"{self._name}-kubernetes",
            kubeconfig=self._kubeconfig,
            cluster_identifier=self._cluster.identity,
            delete_unreachable=True,  # where the cluster is gone, so is all that was in it
            opts=ResourceOptions(parent=self),
        )
        self._inside = ResourceOptions(parent=self, provider=provider)
        metadata = {
            "name": self.namespace,
            "labels": {INSTANCE_LABEL: self._instance.id, POD_SECURITY: "restricted"},
            "annotations": {STACK_ANNOTATION: f"{self._instance.project}/{self._instance.stack}"},
        }
        return kubernetes.core.v1.Namespace(
            f"{self._name}-namespace",
            metadata=metadata,
            opts=ResourceOptions.merge(
                opts, ResourceOptions(provider=provider, custom_timeouts=CustomTimeouts(delete="3m"), delete_before_replace=True)
            ),
        )

    def _contents(self, space: kubernetes.core.v1.Namespace, secrets: dict[str, Output[str]]) -> list[Resource]:
        """Everything in the namespace: what is applied in the end."""
        plan, inside = self._plan, ResourceOptions.merge(self._inside, ResourceOptions(depends_on=[space], deleted_with=space))
        broker = kubernetes.core.v1.Secret(
            f"{self._name}-broker",
            metadata={"name": BROKER_SECRET, "namespace": self.namespace},
            string_data=Output.all(**secrets).apply(lambda known: plan.broker_secret(known, self.namespace)),  # secret, as they are
            opts=inside,
        )
        ledger = LedgerPod(f"{self._name}-ledger", LedgerPodArgs(self.namespace, self._images["support"], secrets["ledger_token"]), inside)
        chart = kubernetes.helm.v4.Chart(
            f"{self._name}-chart",
            chart=str(plan.root / "manifests" / "charts" / "celery"),
            name=RELEASE,
            namespace=self.namespace,
            values=plan.values(self._images),
            skip_await=True,  # Workloads waits for all at once, and tells why
            opts=ResourceOptions.merge(inside, ResourceOptions(depends_on=[space, broker, ledger])),
        )
        objects = plan.manifests(self.namespace, self._images)
        if not objects:
            return [chart]
        own = kubernetes.yaml.v2.ConfigGroup(
            f"{self._name}-manifests",
            objs=objects,
            skip_await=True,
            opts=ResourceOptions.merge(inside, ResourceOptions(depends_on=[space, broker, ledger])),
        )
        return [chart, own]


def run_kubernetes_program() -> None:
    """What the program of stacks/kubernetes does."""

    def compose(plan: KubernetesPlan, instance: Instance) -> dict[str, Any]:
        cluster = target_cluster(plan.settings.values)
        cluster.refuse_unprepared()
        return KubernetesLab(f"lab-{plan.module.id}", plan, instance, cluster).outputs

    run_stack(
        lambda root, configuration: make_kubernetes_plan(root, configuration.pop("module", ""), configuration),
        compose,
        admit_images,
    )
