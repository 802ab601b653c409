"""Which cluster a stack is on, and whether it is prepared for stacks: what an administrator has to do once is said in one line."""

import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from celerylab.clusters.kubectl import require_kubectl
from celerylab.errors import EngineError, InputError
from celerylab.paths import project_root
from celerylab.pulumi_stack import CLUSTER, PulumiStack
from celerylab.topology.module import load_module, rung_of
from celerylab.topology.settings import stack_settings
from celerylab.topology.source import read_yaml, suggestion

RIGHTS = "manifests/access/stacks.yaml"  # the ClusterRole that stacks need
ROLE = "celerylab-stacks"
KEDA = "manifests/keda/keda.yaml"
_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class TargetCluster:
    """The cluster that a stack is on: `name` of its stack or context, whether it is one of ours (`local`), and how it is reached."""

    name: str
    local: bool
    kubeconfig: str

    @property
    def title(self) -> str:
        """The cluster for a message."""
        return f"cluster {self.name}" if self.local else f"context {self.name}"

    @cached_property
    def api(self) -> Any:
        """A client of its API."""
        from celerylab.kubernetes import client_of  # here, because importing it costs more than most commands take

        return client_of(self.kubeconfig)

    @cached_property
    def identity(self) -> str:
        """What tells this cluster from one that was made anew under the same name: the uid of its namespace kube-system."""
        from kubernetes import client

        with self._answers():
            return str(client.CoreV1Api(self.api).read_namespace("kube-system", _request_timeout=_TIMEOUT_SECONDS).metadata.uid)

    @cached_property
    def _nodes(self) -> list[dict[str, Any]]:
        from celerylab.kubernetes import nodes_of

        return nodes_of(self.api)

    def nodes(self) -> dict[str, str]:
        """Address of each node by its name."""
        return {node["name"]: node["address"] for node in self._nodes}

    def control_planes(self) -> set[str]:
        """Names of the nodes that the cluster itself runs on."""
        return {node["name"] for node in self._nodes if node["control_plane"]}

    def refuse_unprepared(self) -> None:
        """Raises EngineError where it does not answer, grants too little, or lacks KEDA; the message says what an administrator does."""
        lacking = [] if self.local else self._denied()
        if lacking:
            raise EngineError(
                f"{self.title} does not let you {lacking[0]}{f' and {len(lacking) - 1} more' if lacking[1:] else ''}; an administrator grants it: "
                f"`kubectl apply -f {RIGHTS} && kubectl create clusterrolebinding {ROLE} --clusterrole={ROLE} --user=YOU`"
            )
        from kubernetes import client
        from kubernetes.client.exceptions import ApiException

        with self._answers():
            try:
                client.CustomObjectsApi(self.api).get_api_resources("keda.sh", "v1alpha1", _request_timeout=_TIMEOUT_SECONDS)
            except ApiException as error:
                if error.status != 404:
                    raise
                raise EngineError(
                    f"{self.title} has no KEDA, which scales workers; an administrator installs it: `kubectl apply --server-side -f {KEDA}`"
                ) from None

    def _denied(self) -> list[str]:
        from kubernetes import client

        reviews = client.AuthorizationV1Api(self.api)

        def allowed(wanted: tuple[str, str, str]) -> bool:
            group, resource, verb = wanted
            kind, _, part = resource.partition("/")
            attributes = {"group": group, "resource": kind, "subresource": part, "verb": verb}
            body = {"spec": {"resourceAttributes": attributes}}
            return bool(reviews.create_self_subject_access_review(body, _request_timeout=_TIMEOUT_SECONDS).status.allowed)

        wanted = rights()
        with self._answers(), ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(allowed, wanted))
        return [f"{verb} {resource}" for (_, resource, verb), answer in zip(wanted, answers, strict=True) if not answer]

    @contextmanager
    def _answers(self) -> Iterator[None]:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (ApiException, HTTPError, OSError) as error:
            said = getattr(error, "reason", None) or error
            raise EngineError(f"{self.title} does not answer: {said}; is it up?") from None


def rights() -> list[tuple[str, str, str]]:
    """Group, resource and verb of everything that stacks do in a cluster, as the ClusterRole in manifests/access says it."""
    role = read_yaml(project_root() / RIGHTS).data
    return [
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def target_cluster(settings: Mapping[str, str | int]) -> TargetCluster:
    """The cluster that a stack's `settings` name: `context`, or the one of this machine whose stack is called `cluster`.

    Raises InputError where there is none of that name.
    """
    context = str(settings.get("context", ""))
    if context:
        return TargetCluster(context, False, _kubeconfig_of_context(context))
    folder = project_root() / "stacks" / CLUSTER
    stack = PulumiStack(folder, str(settings["cluster"]))
    return TargetCluster(stack.name, True, stack.secret_output("ClusterAccess", "kubeconfig"))


def kubeconfig_of(settings: Mapping[str, str | int]) -> str:
    """The kubeconfig (YAML, a secret) that reaches the cluster of a stack with these `settings`. Raises InputError as `target_cluster` does."""
    return target_cluster(settings).kubeconfig


def remove_from_cluster(stack: PulumiStack) -> list[str]:
    """Removes by label what `stack` has on a cluster, also where its state is lost; returns what has not gone, as `namespace NAME`.

    Nothing is to be done where its rung has no cluster, or where the cluster itself is not there any more.
    """
    if stack.project == CLUSTER:
        return []
    rung = rung_of(project_root(), stack.folder)
    if rung.substrate != "kubernetes":
        return []
    from celerylab.clusters.teardown import remove_namespaces  # here, because importing it costs more than most commands take

    try:
        configured = {name: value for name, value in stack.configuration().items() if name != "module"}
        kubeconfig = kubeconfig_of(stack_settings(load_module(stack.folder), configured, rung.settings).values)
    except InputError:
        return []
    return [f"namespace {name}" for name in remove_namespaces(kubeconfig, stack.instance.id)]


def _kubeconfig_of_context(context: str) -> str:
    """What of the user's kubeconfig belongs to one context, with certificates in it."""
    known = _kubectl("config", "get-contexts", "--output", "name").split()
    if context not in known:
        there = f"there are {', '.join(known)}" if known else "there is none in it"
        raise InputError(f"celerylab:context is {context!r}, which your kubeconfig does not have{suggestion(context, known)}; {there}")
    text = _kubectl("config", "view", "--raw", "--flatten", "--minify", "--context", context)
    return yaml.safe_dump({**yaml.safe_load(text), "current-context": context})


def _kubectl(*arguments: str) -> str:
    require_kubectl()
    result = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise EngineError(f"kubectl {' '.join(arguments[:2])}: {result.stderr.strip()[:300]}")
    return result.stdout
