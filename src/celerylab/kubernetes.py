"""A cluster as the Kubernetes API shows it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from celerylab.errors import EngineError
from celerylab.topology.names import LABEL_PREFIX

INSTANCE_LABEL = f"{LABEL_PREFIX}/instance"
CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
STACK_ANNOTATION = f"{LABEL_PREFIX}/stack"
TIMEOUT_SECONDS = 15


def client_of(kubeconfig: str) -> Any:
    """A client for what `kubeconfig` (YAML) describes."""
    return config.new_client_from_config_dict(yaml.safe_load(kubeconfig))


def stacks_on(api: Any) -> list[str]:
    """Every stack that has a namespace on the cluster, as `project/stack (namespace)`. Raises EngineError where the API does not answer."""
    with answering("the cluster does not say who is on it"):
        found = client.CoreV1Api(api).list_namespace(label_selector=INSTANCE_LABEL, _request_timeout=TIMEOUT_SECONDS).items
    return sorted(f"{(space.metadata.annotations or {}).get(STACK_ANNOTATION, '?')} ({space.metadata.name})" for space in found)


def spaces_of(api: Any) -> list[dict[str, Any]]:
    """Every namespace of a stack: its `instance`, its `stack` as `project/name`, when it was `created`, and its `pods` by name with `running` or
    Kubernetes' word for their phase. Raises EngineError where the API does not answer."""
    core = client.CoreV1Api(api)
    found = []
    with answering("the cluster does not say who is on it"):
        for space in core.list_namespace(label_selector=INSTANCE_LABEL, _request_timeout=TIMEOUT_SECONDS).items:
            pods = core.list_namespaced_pod(space.metadata.name, _request_timeout=TIMEOUT_SECONDS).items
            found.append(
                {
                    "instance": space.metadata.labels[INSTANCE_LABEL],
                    "stack": (space.metadata.annotations or {}).get(STACK_ANNOTATION, ""),
                    "created": space.metadata.creation_timestamp,
                    "pods": {pod.metadata.name: pod.status.phase.lower() for pod in pods},
                }
            )
    return found


def nodes_of(api: Any) -> list[dict[str, Any]]:
    """Every node: its name, whether the cluster itself runs on it, its address, and whether it is ready. Raises EngineError as `stacks_on`."""
    with answering("the cluster does not say what nodes it has"):
        nodes = client.CoreV1Api(api).list_node(_request_timeout=TIMEOUT_SECONDS).items
    return [
        {
            "name": node.metadata.name,
            "control_plane": CONTROL_PLANE_LABEL in (node.metadata.labels or {}),
            "address": next((address.address for address in node.status.addresses if address.type == "InternalIP"), ""),
            "ready": has_condition(node, "Ready"),
        }
        for node in nodes
    ]


def pods_by_node(api: Any) -> Counter[str]:
    """How many pods each node runs, of all namespaces. Raises EngineError as `stacks_on`."""
    with answering("the cluster does not say what pods it has"):
        pods = client.CoreV1Api(api).list_pod_for_all_namespaces(_request_timeout=TIMEOUT_SECONDS).items
    return Counter(pod.spec.node_name for pod in pods)


def has_condition(found: Any, kind: str) -> bool:
    """Whether a node or a pod says that its condition `kind` holds."""
    return any(condition.type == kind and condition.status == "True" for condition in found.status.conditions or [])


@contextmanager
def answering(complaint: str) -> Iterator[None]:
    """What the API says instead of an answer, inside the block, becomes an EngineError that begins with `complaint`."""
    try:
        yield
    except (ApiException, HTTPError) as error:
        raise EngineError(f"{complaint}: {getattr(error, 'reason', None) or error}") from None
