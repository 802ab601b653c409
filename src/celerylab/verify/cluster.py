"""A cluster as checks see it: the stack's own namespace through the Kubernetes API, and commands in its pods."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from testinfra.backend.kubectl import KubectlBackend
from testinfra.host import Host as TestinfraHost
from urllib3.exceptions import HTTPError

from celerylab.clusters.kubectl import kubeconfig_file, kubectl
from celerylab.kubernetes import client_of
from celerylab.verify.cluster_objects import Event, Node, Pod, Workload
from celerylab.verify.expect import NotAsExpectedError, NotObservedError, poll, wait_for
from celerylab.verify.hosts import TIMEOUT_SECONDS as EXEC_SECONDS
from celerylab.verify.hosts import Ran
from celerylab.verify.stack import Stack

API_SECONDS = 10
COMPONENT = "app.kubernetes.io/component"
_NOT_FOUND = 404
_ENDED = "command terminated with exit code"  # how kubectl says that the command, and not kubectl, failed


class ClusterView:
    """The namespace of a stack. Whatever the API does not answer is NotObservedError; what a lab should have and has not, NotAsExpectedError."""

    def __init__(
        self,
        kubeconfig: str,
        namespace: str,
        nodes: Mapping[str, str] | None = None,
        services: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.kubeconfig, self.namespace = kubeconfig, namespace
        self.containers = dict(nodes or {})  # of the nodes of a local cluster, by node
        self.services = dict(services or {})
        api = client_of(kubeconfig)
        self.core, self.apps, self.custom = client.CoreV1Api(api), client.AppsV1Api(api), client.CustomObjectsApi(api)
        self._leases = client.CoordinationV1Api(api)

    @classmethod
    def of(cls, stack: Stack) -> "ClusterView":
        """The view of a stack that has a namespace."""
        outputs = stack.outputs
        return cls(stack.secrets["kubeconfig"], outputs["namespace"], outputs["cluster"]["nodes"], outputs["services"])

    def pods(self, selector: str | Mapping[str, str] = "") -> list[Pod]:
        """Pods by name, those that are ending as well. `selector` is a component (`redis`), labels as a map, or in kubectl's words (`app=worker`)."""
        words = _selector(selector)
        with observing("pods"):
            found = self.core.list_namespaced_pod(self.namespace, label_selector=words, _request_timeout=API_SECONDS).items
        return sorted(map(Pod.of, found), key=lambda pod: pod.name)

    def pods_of(self, workload: str) -> list[Pod]:
        """Pods that the Deployment `workload` selects, those that are ending as well."""
        return self.pods(self.deployment(workload).selector)

    def pod(self, name: str) -> Pod | None:
        """The pod called `name`; None where there is none, or none any more."""
        with observing(f"pod {name}"):
            found = _or_none(lambda: self.core.read_namespaced_pod(name, self.namespace, _request_timeout=API_SECONDS))
        return None if found is None else Pod.of(found)

    def node_of(self, pod: str) -> str:
        """Name of the node that `pod` runs on. Raises NotObservedError where it is gone or waits for one."""
        found = self.pod(pod)
        if found is None or not found.node:
            raise NotObservedError(f"pod {pod} is on no node")
        return found.node

    def deployment(self, name: str) -> Workload:
        """The Deployment called `name`. Raises NotAsExpectedError where there is none."""
        with observing(f"Deployment {name}"):
            found = _or_none(lambda: self.apps.read_namespaced_deployment(name, self.namespace, _request_timeout=API_SECONDS))
        return Workload.of(self._there(found, "Deployment", name))

    def stateful_set(self, name: str) -> Workload:
        """The StatefulSet called `name`. Raises NotAsExpectedError where there is none."""
        with observing(f"StatefulSet {name}"):
            found = _or_none(lambda: self.apps.read_namespaced_stateful_set(name, self.namespace, _request_timeout=API_SECONDS))
        return Workload.of(self._there(found, "StatefulSet", name))

    def workloads(self) -> list[Workload]:
        """Every Deployment and StatefulSet of the namespace, by name."""
        with observing("workloads"):
            found = self.apps.list_namespaced_deployment(self.namespace, _request_timeout=API_SECONDS).items
            found += self.apps.list_namespaced_stateful_set(self.namespace, _request_timeout=API_SECONDS).items
        return sorted(map(Workload.of, found), key=lambda workload: workload.name)

    def scaled_object(self, name: str) -> dict[str, Any]:
        """KEDA's ScaledObject called `name`, in Kubernetes' own words. Raises NotAsExpectedError where there is none."""
        found = next((found for found in self.objects("keda.sh/v1alpha1", "scaledobjects") if found["metadata"]["name"] == name), None)
        scaled: dict[str, Any] = self._there(found, "ScaledObject", name)
        return scaled

    def objects(self, version: str, plural: str) -> list[dict[str, Any]]:
        """Objects of the namespace in Kubernetes' own words, such as `objects("policy/v1", "poddisruptionbudgets")`."""
        group, number = version.split("/")
        with observing(plural):
            found = self.custom.list_namespaced_custom_object(group, number, self.namespace, plural, _request_timeout=API_SECONDS)
        items: list[dict[str, Any]] = found["items"]
        return items

    def events(self, about: str = "") -> list[Event]:
        """What Kubernetes noted in the namespace, oldest first; of one object where `about` names it."""
        with observing("events"):
            found = self.core.list_namespaced_event(self.namespace, _request_timeout=API_SECONDS).items
        return sorted((Event.of(event) for event in found if about in ("", event.involved_object.name)), key=lambda event: event.last)

    def log(self, pod: str, container: str | None = None, lines: int = 200, previous: bool = False) -> str:
        """The last `lines` of a pod's log; with `previous`, of the container that ran before. Empty where there is none to be had."""
        options: dict[str, Any] = {"container": container} if container else {}
        with observing(f"the log of {pod}"):
            found = _or_none(
                lambda: self.core.read_namespaced_pod_log(
                    pod, self.namespace, tail_lines=lines, previous=previous, _request_timeout=API_SECONDS, **options
                ),
                _NOT_FOUND,
                400,  # its container has not begun, or there was none before
            )
        return str(found or "")

    def nodes(self) -> dict[str, Node]:
        """Every node of the cluster by its name."""
        with observing("nodes"):
            found = self.core.list_node(_request_timeout=API_SECONDS).items
        return {node.metadata.name: Node.of(node) for node in found}

    def node(self, name: str) -> Node:
        """The node called `name`. Raises NotObservedError where there is none."""
        found = self.nodes()
        if name not in found:
            raise NotObservedError(f"there is no node {name}; there are {', '.join(sorted(found))}")
        return found[name]

    def pods_on(self, node: str) -> list[Pod]:
        """Pods of every namespace on `node`; only an administrator sees them."""
        with observing(f"pods on {node}"):
            found = self.core.list_pod_for_all_namespaces(field_selector=f"spec.nodeName={node}", _request_timeout=API_SECONDS).items
        return [Pod.of(pod) for pod in found]

    def node_seen(self, node: str) -> datetime:
        """When the kubelet of `node` said last that it is there; only an administrator sees it."""
        with observing(f"node {node}"):
            lease = self._leases.read_namespaced_lease(node, "kube-node-lease", _request_timeout=API_SECONDS)
        seen: datetime = lease.spec.renew_time
        return seen

    def platform_pods(self) -> set[str]:
        """Names of the pods behind the stack's own services: broker and ledger."""
        names: set[str] = set()
        for service in self.services.values():
            with observing(f"service {service['name']}"):
                found = self.core.read_namespaced_service(service["name"], self.namespace, _request_timeout=API_SECONDS)
            names |= {pod.name for pod in self.pods(found.spec.selector)}
        return names

    def wait_ready(self, name: str, pods: int, seconds: float, look: str = "") -> Workload:
        """Waits until the Deployment `name` has at least `pods` ready ones. Fails like `wait_for`."""

        def ready() -> Workload | None:
            found = self.deployment(name)
            return found if found.ready >= pods else None

        return wait_for(
            ready, seconds, expected=f"{name} with at least {pods} ready pods", observed=lambda: self.deployment(name), look=look, every=0.5
        )

    def settled(self) -> set[str]:
        """Names of the workloads that have what is wanted of them, and nothing else."""
        return {workload.name for workload in self.workloads() if workload.settled}

    def wait_settled(self, seconds: float) -> None:
        """Waits until every workload has what is wanted of it: a check that counts begins so. Raises NotObservedError where that does not come."""
        if not poll(lambda: all(workload.settled for workload in self.workloads()), seconds, every=0.5):
            unsettled = [str(workload) for workload in self.workloads() if not workload.settled]
            raise NotObservedError(f"not settled within {seconds:g} s: {'; '.join(unsettled)}")

    def exec(self, pod: str, *command: str, container: str | None = None, stdin: str = "", seconds: float = EXEC_SECONDS) -> Ran:
        """Runs `command` in a container of `pod`, as its user. Secrets go through `stdin`, never into arguments.

        Raises NotObservedError where it could not be run or did not end within `seconds`; how it ended is for the check to judge.
        """
        where = [pod, *(["--container", container] if container else [])]
        with kubeconfig_file(self.kubeconfig) as file:
            line = kubectl(file, self.namespace, "exec", "--stdin", "--quiet", *where, "--", *command)
            try:
                result = subprocess.run(line, input=stdin, capture_output=True, text=True, errors="replace", timeout=seconds, check=False)
            except subprocess.TimeoutExpired:
                raise NotObservedError(f"pod {pod} did not answer `{command[0]}` within {seconds:g} s") from None
            except FileNotFoundError:
                raise NotObservedError("the `kubectl` command is not installed") from None
        said, ended, _ = result.stderr.rpartition(_ENDED)
        if result.returncode and not ended:
            raise NotObservedError(f"pod {pod} cannot be reached: {result.stderr.strip()[-400:]}")
        return Ran(result.returncode, result.stdout, said if ended else result.stderr)

    def observed_pod(self, name: str, container: str | None = None) -> Any:
        """A container of the pod `name` as a testinfra host: `.file(...)`, `.process`, `.run(...)`, `.check_output(...)`."""
        return TestinfraHost(_PodBackend(self, name, container))

    @staticmethod
    def _there(found: Any, kind: str, name: str) -> Any:
        if found is None:
            raise NotAsExpectedError(f"there is no {kind} called {name}", f"a {kind} called {name}", f"kubectl get {kind.lower()}s", {})
        return found


class _PodBackend(KubectlBackend):  # type: ignore[misc]  # testinfra publishes no types
    """testinfra's kubectl backend, except that a broken control channel is no exit code but NotObservedError."""

    def __init__(self, view: ClusterView, name: str, container: str | None) -> None:
        super().__init__(name, container=container, namespace=view.namespace)
        self._view = view

    def run(self, command: str, *args: str, **_: Any) -> Any:
        script = self.get_command(command, *args)
        ran = self._view.exec(self.name, "/bin/sh", "-c", script, container=self.container)
        return self.result(ran.code, self.encode(script), ran.stdout.encode(), ran.stderr.encode())


@contextmanager
def observing(what: str) -> Iterator[None]:
    """What the API says instead of an answer, inside the block, becomes NotObservedError."""
    try:
        yield
    except (ApiException, HTTPError) as error:
        raise NotObservedError(f"the cluster does not show {what}: {getattr(error, 'reason', None) or error}") from None


def _or_none(read: Any, *absent: int) -> Any:
    """What `read` returns; None where the API says that there is nothing of the kind."""
    try:
        return read()
    except ApiException as error:
        if error.status not in (absent or (_NOT_FOUND,)):
            raise
        return None


def _selector(selector: str | Mapping[str, str]) -> str:
    if isinstance(selector, str):
        return f"{COMPONENT}={selector}" if selector and not set("=!,( ") & set(selector) else selector
    return ",".join(f"{name}={value}" for name, value in selector.items())
