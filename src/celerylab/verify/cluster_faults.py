"""Failures on purpose on a cluster. Each is a context manager that is undone on any exit, and each has a test that it bites and that it heals.

They touch the stack's own namespace, and nodes of a local cluster. What is the platform's (broker, ledger) is spared by those of a node.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from celerylab.verify.cluster import API_SECONDS, ClusterView, observing
from celerylab.verify.cluster_objects import Pod
from celerylab.verify.expect import NotAsExpectedError, NotObservedError, poll
from celerylab.verify.host_faults import host_killed
from celerylab.verify.hosts import ObservedHost

BROKER = "lab-redis"  # the chart's StatefulSet
HEAL_SECONDS = 120
_GONE, _REFUSED = 404, 429


@contextmanager
def pod_killed(view: ClusterView, pod: str) -> Iterator[None]:
    """The pod is deleted without a grace period: its processes have one second. Whoever replaces it is what the block watches.

    After the block, as many pods with its labels are ready as were before, where somebody replaces it.
    """
    raise NotImplementedError
    yield


@contextmanager
def process_killed(view: ClusterView, pod: str, container: str = "worker") -> Iterator[None]:
    """The main process of a container gets SIGKILL, as the kernel does when memory runs out. Its kubelet starts it again.

    Needs a local cluster: module.yaml says `applies_when: {context: [""]}`.
    """
    raise NotImplementedError
    yield


@contextmanager
def process_stopped(view: ClusterView, pod: str, container: str = "worker") -> Iterator[None]:
    """The main process of a container is stopped by SIGSTOP inside the block: its connections stay open, and nobody answers on them.

    After it, it goes on where it is still there. Needs a local cluster.
    """
    raise NotImplementedError
    yield


@contextmanager
def node_drained(view: ClusterView, node: str, seconds: float = 60) -> Iterator[list[str]]:
    """No new pod comes to `node` inside the block, and the stack's pods there were evicted as PodDisruptionBudgets allow: their names.

    Those of the platform stay. Fails like `wait_for` where a budget refuses or a pod has not gone after `seconds`. The node takes pods again after it.
    """
    raise NotImplementedError
    yield []


@contextmanager
def node_powered_off(view: ClusterView, node: str) -> Iterator[None]:
    """The node loses its power inside the block: every process on it gets SIGKILL at once. After it the node boots and is ready again.

    Needs a local cluster. Take a node without `view.platform_pods()`.
    """
    raise NotImplementedError
    yield


@contextmanager
def broker_down(view: ClusterView) -> Iterator[None]:
    """There is no broker inside the block. After it there is one again, with what it had on its volume."""
    raise NotImplementedError
    yield
