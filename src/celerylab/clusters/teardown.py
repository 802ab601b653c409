"""The end of a stack on a cluster: everything at once, and a receipt that asks the cluster itself."""

import time
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from celerylab.errors import EngineError
from celerylab.kubernetes import INSTANCE_LABEL, TIMEOUT_SECONDS, client_of

GONE_SECONDS = 180  # a node without power keeps its pods for a while
_GONE = 404


def end_workloads(kubeconfig: str, namespace: str) -> None:
    """Takes away what makes pods in `namespace`, then the pods, without their grace. A cluster or namespace that is gone is no error."""
    api = client_of(kubeconfig)
    apps, core, custom = client.AppsV1Api(api), client.CoreV1Api(api), client.CustomObjectsApi(api)
    wait: dict[str, Any] = {"_request_timeout": TIMEOUT_SECONDS}
    try:
        custom.delete_collection_namespaced_custom_object("keda.sh", "v1alpha1", namespace, "scaledobjects", **wait)
        apps.delete_collection_namespaced_deployment(namespace, propagation_policy="Background", **wait)
        apps.delete_collection_namespaced_stateful_set(namespace, propagation_policy="Background", **wait)
        core.delete_collection_namespaced_pod(namespace, grace_period_seconds=0, **wait)
    except ApiException as error:
        if error.status != _GONE:
            raise EngineError(f"the cluster does not end what runs in {namespace}: {error.reason}") from None
    except HTTPError:
        return  # its cluster is gone, and everything with it


def namespaces_of(kubeconfig: str, instance: str) -> list[str]:
    """Namespaces on the cluster that carry the label of `instance`: empty is what a receipt wants. So it is where the cluster is gone."""
    try:
        found = client.CoreV1Api(client_of(kubeconfig)).list_namespace(
            label_selector=f"{INSTANCE_LABEL}={instance}", _request_timeout=TIMEOUT_SECONDS
        )
    except HTTPError:
        return []
    except ApiException as error:
        raise EngineError(f"the cluster does not say what is left of {instance}: {error.reason}") from None
    return [space.metadata.name for space in found.items]


def left_after(kubeconfig: str, instance: str, seconds: float = GONE_SECONDS) -> list[str]:
    """Namespaces of `instance` that are still on the cluster after `seconds`; asks until there is none."""
    deadline = time.monotonic() + seconds
    while (rest := namespaces_of(kubeconfig, instance)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return rest


def remove_namespaces(kubeconfig: str, instance: str) -> list[str]:
    """Removes every namespace of `instance`, for a state that is lost; returns those that have not gone in time."""
    for name in namespaces_of(kubeconfig, instance):
        end_workloads(kubeconfig, name)
        try:
            client.CoreV1Api(client_of(kubeconfig)).delete_namespace(name, _request_timeout=TIMEOUT_SECONDS)
        except ApiException as error:
            raise EngineError(f"the cluster does not remove namespace {name}: {error.reason}") from None
    return left_after(kubeconfig, instance)
