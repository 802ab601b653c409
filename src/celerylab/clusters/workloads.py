"""What runs in a stack's namespace: whether it is ready, and if it never becomes so, why, with the log of what failed."""

import time
from collections.abc import Callable
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from celerylab.errors import EngineError
from celerylab.kubernetes import TIMEOUT_SECONDS, answering

STEADY_SECONDS = 10  # a container without a readinessProbe counts as ready at once: it has to run for so long
_HOPELESS = ("CrashLoopBackOff", "CreateContainerConfigError", "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName")
_ATTEMPTS = 2  # restarts after which a container that ends is not waited for any longer
_LOG_LINES = 15


def wait_until_ready(api: Any, namespace: str, seconds: float, say: Callable[[str], None]) -> None:
    """Waits until every Deployment and StatefulSet of `namespace` is ready, and no pod of an older version is left.

    Raises EngineError, with the reason and the log, for a pod that cannot start, and after `seconds` for what is not ready by then.
    """
    deadline = time.monotonic() + seconds
    told: list[str] = []
    while True:
        waiting, pods = unready(api, namespace)
        if not waiting:
            return
        if waiting != told:
            say(f"waiting for {', '.join(waiting)}")
            told = waiting
        for pod in pods:
            trouble = hopeless(pod)
            if trouble:
                raise EngineError(_complaint(api, namespace, waiting[0], pod, trouble))
        if time.monotonic() > deadline:
            raise EngineError(_too_late(api, namespace, waiting, pods, seconds))
        time.sleep(0.5)


def unready(api: Any, namespace: str) -> tuple[list[str], list[Any]]:
    """Names of workloads that are not settled, and all pods of the namespace."""
    apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
    with answering(f"the cluster does not say what runs in {namespace}"):
        found = [
            *apps.list_namespaced_deployment(namespace, _request_timeout=TIMEOUT_SECONDS).items,
            *apps.list_namespaced_stateful_set(namespace, _request_timeout=TIMEOUT_SECONDS).items,
        ]
        pods = core.list_namespaced_pod(namespace, _request_timeout=TIMEOUT_SECONDS).items
    return [workload.metadata.name for workload in found if not is_settled(workload, pods)], pods


def is_settled(workload: Any, pods: list[Any]) -> bool:
    """Whether a Deployment or StatefulSet is complete, its pods are steady, and no pod of another version is there, not even one that is going: a
    worker may still take tasks until it has gone."""
    wanted = workload.spec.replicas or 0
    own = [pod for pod in pods if _selects(workload.spec.selector.match_labels, pod.metadata.labels or {})]
    running = [pod for pod in own if pod.metadata.deletion_timestamp is None]
    return (
        is_complete(workload)
        and len(running) == wanted
        and all(_is_steady(pod) for pod in running)
        and (not wanted or {_version(pod) for pod in own} == {_version(pod) for pod in running})
    )


def is_complete(workload: Any) -> bool:
    """Whether a Deployment's or StatefulSet's controller has seen what was written last, and counts as many pods as are wanted, all ready and of
    the newest version."""
    status, wanted = workload.status, workload.spec.replicas or 0
    seen = (status.observed_generation or 0) >= workload.metadata.generation
    return seen and wanted == (status.replicas or 0) == (status.ready_replicas or 0) == (status.updated_replicas or 0)


def hopeless(pod: Any) -> str:
    """Why a pod will not start by waiting, such as `container worker CrashLoopBackOff`; empty while there is hope."""
    for status in [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]:
        waiting, last = status.state.waiting, status.last_state.terminated
        if waiting is None or waiting.reason not in _HOPELESS:
            continue
        if waiting.reason == "CrashLoopBackOff" and status.restart_count < _ATTEMPTS:
            continue
        said = f", ended with {last.exit_code}" if last else ""
        detail = f" ({waiting.message})" if waiting.message and not last else ""
        return f"container {status.name} {waiting.reason}{said}{detail}"
    return ""


def _is_steady(pod: Any) -> bool:
    probed = {container.name for container in pod.spec.containers if container.readiness_probe}
    for status in pod.status.container_statuses or []:
        if status.name in probed:
            continue
        running = status.state.running
        if running is None or time.time() - running.started_at.timestamp() < STEADY_SECONDS:
            return False
    return True


def _version(pod: Any) -> str | None:
    labels = pod.metadata.labels or {}
    return labels.get("pod-template-hash") or labels.get("controller-revision-hash")


def _selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def _complaint(api: Any, namespace: str, workload: str, pod: Any, trouble: str) -> str:
    name = pod.metadata.name
    container = trouble.split()[1]
    return f"{workload} of namespace {namespace} does not become ready: pod {name}: {trouble}; its log: {_log(api, namespace, name, container)}"


def _log(api: Any, namespace: str, pod: str, container: str) -> str:
    core = client.CoreV1Api(api)
    for previous in (True, False):
        try:
            text = core.read_namespaced_pod_log(
                pod, namespace, container=container, previous=previous, tail_lines=_LOG_LINES, _request_timeout=TIMEOUT_SECONDS
            )
        except (ApiException, HTTPError):
            continue  # there was no container before, or there is none yet
        if text.strip():
            return " | ".join(line.strip() for line in text.strip().splitlines())
    return "empty"


def _too_late(api: Any, namespace: str, waiting: list[str], pods: list[Any], seconds: float) -> str:
    with answering(f"{', '.join(waiting)} of namespace {namespace} not ready after {seconds:.0f} s, and the cluster does not say why"):
        events = client.CoreV1Api(api).list_namespaced_event(namespace, _request_timeout=TIMEOUT_SECONDS).items
    warnings = [event for event in events if event.type == "Warning"]
    said = f"; the last warning: {warnings[-1].involved_object.name}: {warnings[-1].message}" if warnings else ""
    phases = ", ".join(f"{pod.metadata.name} {pod.status.phase}" for pod in pods)
    return f"{', '.join(waiting)} of namespace {namespace} not ready after {seconds:.0f} s ({phases or 'no pods'}){said}"
