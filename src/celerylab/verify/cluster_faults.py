"""Failures on purpose on a cluster. Each is a context manager that is undone on any exit, and each has a test that it bites and that it heals.

They touch the stack's own namespace, and nodes of a local cluster: a module says `applies_when: {context: [""]}` where it uses one of a node or a
process. Of other stacks on the same cluster they evict and kill nothing, but for those whose node loses its power.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from kubernetes.client.exceptions import ApiException

from celerylab.verify.cluster import API_SECONDS, ClusterView, observing
from celerylab.verify.cluster_objects import Pod
from celerylab.verify.expect import NotAsExpectedError, NotObservedError, poll
from celerylab.verify.host_faults import host_killed
from celerylab.verify.hosts import ObservedHost

HEAL_SECONDS = 120
_GONE, _REPLACED, _REFUSED = 404, 409, 429
_CONTAINERS = ["ctr", "--namespace", "k8s.io", "tasks", "list"]


@contextmanager
def pod_killed(view: ClusterView, pod: str) -> Iterator[None]:
    """The pod is deleted without a grace period: its processes get SIGTERM and a second later SIGKILL. Who replaces it is what the block watches."""
    with observing(f"the end of pod {pod}"):
        view.core.delete_namespaced_pod(pod, view.namespace, grace_period_seconds=0, _request_timeout=API_SECONDS)
    yield


@contextmanager
def process_killed(view: ClusterView, pod: str, container: str = "worker") -> Iterator[None]:
    """The main process of a container gets SIGKILL, as the kernel does when memory runs out. Who starts it again is what the block watches.

    Raises NotObservedError where the cluster is not a local one.
    """
    node, _, process = _main_process(view, pod, container)
    node.as_root("kill", "-KILL", process)
    yield


@contextmanager
def process_stopped(view: ClusterView, pod: str, container: str = "worker") -> Iterator[None]:
    """The main process of a container is stopped by SIGSTOP inside the block: its connections stay open, and nobody answers on them.

    After it, it goes on, where nobody has replaced it. Raises NotObservedError where the cluster is not a local one.
    """
    node, task, process = _main_process(view, pod, container)
    node.as_root("kill", "-STOP", process)
    try:
        yield
    finally:
        if _processes(node).get(task) == process:
            node.as_root("sh", "-c", f"kill -CONT {process} 2>/dev/null || true")  # it may have gone in this moment


@contextmanager
def broker_down(view: ClusterView) -> Iterator[None]:
    """There is no broker inside the block. After it there is one again, with what it had on its volume."""
    name = view.services["broker"]["name"]
    before = view.stateful_set(name).wanted
    try:
        _scale(view, name, 0)
        if not poll(lambda: view.stateful_set(name).there == 0 and not _pods_of_set(view, name), HEAL_SECONDS):
            raise NotObservedError(f"the broker did not go within {HEAL_SECONDS} s")
        yield
    finally:
        _insist(lambda: _scale(view, name, before))
        if not poll(lambda: view.stateful_set(name).settled, HEAL_SECONDS):
            raise NotObservedError(f"the broker did not come back within {HEAL_SECONDS} s")


@contextmanager
def node_drained(view: ClusterView, node: str, seconds: float = 60) -> Iterator[list[str]]:
    """No new pod comes to `node` inside the block, and the stack's pods there were evicted as PodDisruptionBudgets allow: their names.

    Pods of the platform stay: they could not go elsewhere with what they hold. Fails like `wait_for` where a budget refuses, or a pod has not gone,
    within `seconds`. After the block the node takes pods again.
    """
    platform = view.platform_pods()
    schedulable = view.node(node).schedulable
    try:
        _cordon(view, node, True)
        going = [pod for pod in view.pods() if pod.node == node and pod.name not in platform]
        _evict(view, going, time.monotonic() + seconds, seconds)
        yield [pod.name for pod in going]
    finally:
        _insist(lambda: _cordon(view, node, not schedulable))


@contextmanager
def node_powered_off(view: ClusterView, node: str) -> Iterator[None]:
    """The node loses its power inside the block: every process on it gets SIGKILL at once. After it the node has booted, is ready, and runs its pods.

    The cluster itself notices only after 40 s. Take a node without `view.platform_pods()`. Raises NotObservedError where the cluster is not local.
    """
    host = _host(view, node)
    pods = {pod.uid for pod in view.pods_on(node) if pod.ready}
    off = datetime.now(UTC)
    try:
        with host_killed(host):
            yield
    finally:
        on = datetime.now(UTC)
        if not poll(lambda: view.node_seen(node) > on and view.node(node).ready, HEAL_SECONDS, every=0.5):
            raise NotObservedError(f"node {node} was not ready within {HEAL_SECONDS} s of its start")
        # Until its kubelet has looked, the API shows pods as they were. Whether a lab's pods become ready is the lab's: they are waited for, no more.
        poll(lambda: all(_ready_since(pod, off) for pod in view.pods_on(node) if pod.uid in pods and not pod.terminating), HEAL_SECONDS)


def _insist(undo: Callable[[], None]) -> None:
    """Undoes a fault; again and again, for a while, where the cluster does not answer in this moment."""
    deadline = time.monotonic() + HEAL_SECONDS
    while True:
        try:
            undo()
        except NotObservedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _host(view: ClusterView, node: str) -> ObservedHost:
    if node not in view.containers:
        raise NotObservedError(f"{node} is no container of this machine: faults of nodes and processes need a local cluster")
    return ObservedHost(node, view.containers[node])


def _main_process(view: ClusterView, pod: str, container: str) -> tuple[ObservedHost, str, str]:
    """The node that a pod's container runs on, its id there, and the number of its main process there."""
    found = view.pod(pod)
    statuses = {status.name: status for status in found.raw.status.container_statuses or []} if found else {}
    if found is None or container not in statuses:
        raise NotObservedError(f"pod {pod} has no container {container}; it has {', '.join(statuses) or 'none'}")
    task = str(statuses[container].container_id).partition("://")[2]
    node = _host(view, found.node)
    process = _processes(node).get(task)
    if process is None:
        raise NotObservedError(f"container {container} of pod {pod} does not run")
    return node, task, process


def _processes(node: ObservedHost) -> dict[str, str]:
    """Main process of each running container of a node by the container's id."""
    rows = [line.split() for line in node.as_root(*_CONTAINERS).splitlines()[1:]]
    return {row[0]: row[1] for row in rows if row[2] == "RUNNING"}


def _scale(view: ClusterView, name: str, replicas: int) -> None:
    with observing(f"StatefulSet {name}"):
        view.apps.patch_namespaced_stateful_set_scale(name, view.namespace, {"spec": {"replicas": replicas}}, _request_timeout=API_SECONDS)


def _pods_of_set(view: ClusterView, name: str) -> list[Pod]:
    return view.pods(view.stateful_set(name).selector)


def _cordon(view: ClusterView, node: str, closed: bool) -> None:
    with observing(f"node {node}"):
        view.core.patch_node(node, {"spec": {"unschedulable": closed or None}}, _request_timeout=API_SECONDS)


def _evict(view: ClusterView, pods: list[Pod], deadline: float, seconds: float) -> None:
    """Evicts `pods` and waits until they are gone."""
    waiting, refusal = list(pods), ""
    while waiting:
        if time.monotonic() > deadline:
            said = refusal or "they have not ended"
            names = ", ".join(pod.name for pod in waiting)
            raise NotAsExpectedError(f"{names} did not go within {seconds:g} s: {said}", "a drain that ends", "kubectl get pdb", {})
        refusal = next(filter(None, [_asked_to_go(view, pod) for pod in waiting]), "")
        time.sleep(0.5)
        there = {pod.uid for pod in view.pods()}
        waiting = [pod for pod in waiting if pod.uid in there]


def _asked_to_go(view: ClusterView, pod: Pod) -> str:
    """Asks for the eviction of a pod; why it is refused, or nothing."""
    body: dict[str, Any] = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": view.namespace},
        "deleteOptions": {"preconditions": {"uid": pod.uid}},
    }
    with observing(f"the eviction of {pod.name}"):
        try:
            view.core.create_namespaced_pod_eviction(pod.name, view.namespace, body, _request_timeout=API_SECONDS)
        except ApiException as error:
            if error.status == _REFUSED:
                return str(json.loads(error.body)["message"])
            if error.status not in (_GONE, _REPLACED):
                raise
    return ""


def _ready_since(pod: Pod, moment: datetime) -> bool:
    started = [status.state.running.started_at for status in pod.raw.status.container_statuses or [] if status.state.running]
    return pod.ready and all(start > moment for start in started)
