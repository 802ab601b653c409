"""A stack on a Kubernetes cluster: a namespace with broker, exporter and ledger, and the lab's own manifests in it."""

from typing import Any

import pulumi_kubernetes as kubernetes
from pulumi import ComponentResource, CustomTimeouts, Output, Resource, ResourceOptions

from celerylab.clusters.access import TargetCluster, target_cluster
from celerylab.components.ledger_pod import LedgerPod, LedgerPodArgs
from celerylab.components.program import admit_images, module_outputs, run_stack
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
        containers = containers_of(cluster.nodes(), cluster.title, str(plan.settings.values["registry"]))
        images = self._bring_images(list(containers.values()), child)
        space = self._space(ResourceOptions(parent=self, depends_on=[receipt, images]))
        self._fill(space, values)
        self.outputs = {
            **module_outputs(plan, instance, lease),
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

    def _bring_images(self, containers: list[str], opts: ResourceOptions) -> ClusterImages:
        """Images where nodes find them; `_images` are their names there."""
        plan, registry = self._plan, str(self._plan.settings.values["registry"])
        here = {key: dockerfile_recipe(plan.root, key).reference for key in plan.platform_images}
        here[APPLICATION] = application_reference(plan.root, plan.code, plan.requirements)
        self._images = {key: name_in(registry, reference) for key, reference in here.items()}
        nodes = {container: engine().containers.get(container).id for container in containers}
        return ClusterImages(f"{self._name}-images", plan.root, plan.code, plan.requirements, here, nodes, registry, opts)

    def _fill(self, space: kubernetes.core.v1.Namespace, secrets: dict[str, Output[str]]) -> None:
        """Everything in the namespace, and the wait until it runs."""
        values, objects = self._plan.values(self._images), self._plan.manifests(self.namespace, self._images)
        Workloads(
            f"{self._name}-workloads",
            self._kubeconfig,
            self.namespace,
            digest_json([values, objects]),
            ResourceOptions(parent=self, depends_on=self._contents(space, secrets, values, objects)),
        )

    def _contents(
        self,
        space: kubernetes.core.v1.Namespace,
        secrets: dict[str, Output[str]],
        values: dict[str, Any],
        objects: list[dict[str, Any]],
    ) -> list[Resource]:
        """What is applied in the namespace: what comes last of it."""
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
            values=values,
            skip_await=True,  # Workloads waits for all at once, and tells why
            opts=ResourceOptions.merge(inside, ResourceOptions(depends_on=[space, broker, ledger])),
        )
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
