"""What commands show of a stack that is on a cluster, and how they get into its pods."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from celerylab.clusters.kubectl import kubeconfig_file, kubectl, require_kubectl
from celerylab.errors import CelerylabError, EngineError, InputError
from celerylab.verify.expect import NotObservedError
from celerylab.verify.stack import Stack, reaching_cluster

if TYPE_CHECKING:  # the libraries of Kubernetes take longer than most commands
    from celerylab.verify.cluster import ClusterView

_REQUESTS = 50  # pods whose logs are followed at once; kubectl refuses more than 5 unless told


def show_logs(stack: Stack, name: str | None, lines: int, follow: bool) -> int:
    """Prints the log of a workload's pods, or of one pod; kubectl's exit code."""
    with _namespace(stack) as view:
        workload = next((found for found in view.workloads() if found.name == name), None)
        several = ["--prefix", f"--max-log-requests={_REQUESTS}"]
        what = [f"--selector={workload.selector}", *several] if workload else [f"pod/{_pod(view, name)}"]
        return _call(view, "logs", *what, "--all-containers", f"--tail={lines}", *(["--follow"] if follow else []))


def open_shell(stack: Stack, name: str | None, command: list[str]) -> int:
    """Opens a shell in a pod (of a workload, in the first that is ready), or runs `command` there; its exit code."""
    with _namespace(stack) as view:
        terminal = ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
        return _call(view, "exec", "--stdin", *terminal, _pod(view, name), "--", *(command or ["sh"]))


def described(name: str, outputs: dict[str, Any]) -> dict[str, Any]:
    """Namespace, cluster and workloads of a stack, for `status`; why they cannot be seen, instead, where the cluster does not answer."""
    found: dict[str, Any] = {"namespace": outputs["namespace"], "cluster": outputs["cluster"]["name"]}
    try:
        with _namespace(Stack(name, reaching_cluster(outputs))) as view:
            workloads = {found.name: {"wanted": found.wanted, "ready": found.ready} for found in view.workloads()}
    except CelerylabError as error:
        return {**found, "workloads": {}, "problem": str(error)}
    return {**found, "workloads": workloads}


@contextmanager
def _namespace(stack: Stack) -> "Iterator[ClusterView]":
    from celerylab.verify.cluster import ClusterView

    try:
        yield ClusterView.of(stack)
    except NotObservedError as error:
        raise EngineError(str(error)) from None


def _pod(view: "ClusterView", name: str | None) -> str:
    """The pod called `name`, or the first of the workload of that name, one that is ready where there is one. Raises InputError."""
    pods, workloads = view.pods(), {workload.name: workload for workload in view.workloads()}
    if name in {pod.name for pod in pods}:
        return str(name)
    if name in workloads:
        own = view.pods(workloads[name].selector)
        if own:
            return min(own, key=lambda pod: (not pod.ready, pod.name)).name
        raise InputError(f"{name} has no pod now")
    there = f"this stack has the workloads {', '.join(workloads)} and the pods {', '.join(pod.name for pod in pods)}"
    raise InputError(f"there is no workload or pod {name}; {there}" if name else f"name a workload or a pod; {there}")


def _call(view: "ClusterView", *arguments: str) -> int:
    require_kubectl()
    with kubeconfig_file(view.kubeconfig) as file:
        return subprocess.call(kubectl(file, view.namespace, *arguments))
