"""What checks see of a cluster and do to it. The Kubernetes API and kubectl, our edges, are stand-ins."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celerylab.verify.cluster import ClusterView
from celerylab.verify.cluster_faults import broker_down, node_drained, node_powered_off, pod_killed, process_stopped
from celerylab.verify.control import control_problem
from celerylab.verify.evidence import collect_evidence
from celerylab.verify.expect import NotAsExpectedError, NotObservedError
from celerylab.verify.stack import Stack
from tests.unit.kubernetes_api import APPS, CORE, LABELS, REDIS, FakeApi, kubeconfig_of, pod, served, workload

SERVICES = {"broker": {"name": "lab-redis", "port": 6379}}


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with served(FakeApi()) as fake:
        yield fake


@pytest.fixture
def view(api: FakeApi) -> ClusterView:
    return view_of(api.url)


def view_of(url: str) -> ClusterView:
    return ClusterView(kubeconfig_of(url), "space", {}, SERVICES)


def stack_of(api: FakeApi) -> Stack:
    """A stack whose cluster, and whose ledger, is the stand-in."""
    secrets = {"kubeconfig": kubeconfig_of(api.url), "ledger_token": "not-for-you"}
    places = {"endpoints": {"ledger": api.url.removeprefix("http://")}, "services": SERVICES, "hosts": {}}
    return Stack("s", {"namespace": "space", "cluster": {"nodes": {}}, "secrets": secrets, **places})


def test_a_pod_is_read_as_it_is(api: FakeApi, view: ClusterView) -> None:
    going = pod("b", ready="False", deletionTimestamp="2026-01-01T00:00:00Z")
    api.objects[f"{CORE}/pods"] = [going, pod("a", node="node-2")]
    first, second = view.pods(LABELS)
    assert (first.name, first.node, first.ready, first.terminating, first.restarts) == ("a", "node-2", True, False, 2)
    assert (second.name, second.ready, second.terminating, second.labels) == ("b", False, True, LABELS)


def test_a_pod_that_went_is_none_and_no_trouble(view: ClusterView) -> None:
    assert view.pod("gone") is None
    with pytest.raises(NotObservedError, match="pod gone is on no node"):
        view.node_of("gone")


def test_a_deployment_that_is_not_there_is_the_labs_failure(view: ClusterView) -> None:
    with pytest.raises(NotAsExpectedError) as failure:
        view.deployment("worker")
    assert (failure.value.observed, failure.value.look) == ("there is no Deployment called worker", "kubectl get deployments")


def test_a_scaled_object_is_found_by_its_name(api: FakeApi, view: ClusterView) -> None:
    mine = {"metadata": {"name": "worker"}, "spec": {"minReplicaCount": 1}}
    api.objects["/apis/keda.sh/v1alpha1/namespaces/space/scaledobjects"] = [{"metadata": {"name": "other"}}, mine]
    assert view.scaled_object("worker") == mine
    with pytest.raises(NotAsExpectedError, match="no ScaledObject called none"):
        view.scaled_object("none")


def test_an_api_that_does_not_answer_is_trouble_of_the_harness() -> None:
    with pytest.raises(NotObservedError, match="the cluster does not show pods"):
        view_of("http://127.0.0.1:9").pods()


@pytest.mark.parametrize(
    ("status", "settled"),
    [
        ({}, True),
        ({"replicas": 3}, False),
        ({"readyReplicas": 1}, False),
        ({"updatedReplicas": 1}, False),
        ({"observedGeneration": 0}, False),
    ],
)
def test_only_a_workload_that_has_what_is_wanted_is_settled(api: FakeApi, view: ClusterView, status: dict[str, int], settled: bool) -> None:
    api.objects[f"{APPS}/deployments"] = [workload("worker", 2, 2, **status)]
    api.objects[f"{APPS}/statefulsets"] = []
    assert view.settled() == ({"worker"} if settled else set())
    if not settled:
        with pytest.raises(NotObservedError, match=r"not settled within 0 s: worker: \d of 2 pods ready"):
            view.wait_settled(0)


def test_a_killed_pod_gets_no_grace(api: FakeApi, view: ClusterView) -> None:
    api.objects[f"{CORE}/pods"] = [pod("a")]
    with pod_killed(view, "a"):
        assert view.pods() == []
    assert api.asked[0][:2] == ("DELETE", f"{CORE}/pods/a")


@pytest.fixture
def drained(api: FakeApi) -> FakeApi:
    """A namespace with a worker on each of two nodes, and its broker on the first."""
    api.objects |= {
        f"{CORE}/pods": [pod("a"), pod("b", node="node-2"), pod("lab-redis-0", labels={"app": "redis"})],
        f"{CORE}/services/lab-redis": {"metadata": {"name": "lab-redis"}, "spec": {"selector": {"app": "redis"}}},
        "/api/v1/nodes": [{"metadata": {"name": "node-1"}, "spec": {}, "status": {}}],
    }
    return api


@pytest.fixture
def selective(drained: FakeApi, monkeypatch: pytest.MonkeyPatch, view: ClusterView) -> ClusterView:
    """A view whose pods of the platform are those that the stand-in, which knows no selectors, cannot tell."""
    monkeypatch.setattr(view, "platform_pods", lambda: {"lab-redis-0"})
    return view


def cordons(api: FakeApi) -> list[Any]:
    return [body["spec"]["unschedulable"] for method, path, body in api.asked if (method, path) == ("PATCH", "/api/v1/nodes/node-1")]


def test_a_drain_evicts_the_stacks_pods_of_that_node_alone_and_ends_with_the_block(drained: FakeApi, selective: ClusterView) -> None:
    drained.refusals = {"POST": [(429, "Cannot evict pod as it would violate the pod's disruption budget.")]}
    with node_drained(selective, "node-1", seconds=10) as evicted:
        assert evicted == ["a"]  # although it was refused once
        assert [found.name for found in selective.pods()] == ["b", "lab-redis-0"]
        assert cordons(drained) == [True]
    assert cordons(drained) == [True, None]


def test_a_drain_that_a_budget_refuses_is_the_labs_failure_and_is_undone(drained: FakeApi, selective: ClusterView) -> None:
    drained.refusals = {"POST": [(429, "it would violate the pod's disruption budget")] * 100}
    with pytest.raises(NotAsExpectedError, match="a did not go within 1 s: it would violate"), node_drained(selective, "node-1", seconds=1):
        pytest.fail("the block must not begin")
    assert cordons(drained) == [True, None]


def test_a_node_that_was_closed_stays_closed(drained: FakeApi, selective: ClusterView) -> None:
    drained.objects["/api/v1/nodes"][0]["spec"]["unschedulable"] = True
    with node_drained(selective, "node-1", seconds=10):
        pass
    assert cordons(drained) == [True, True]


def test_a_broker_that_was_down_is_back_after_an_exception(api: FakeApi, view: ClusterView) -> None:
    api.objects |= {REDIS: workload("lab-redis", 1, 1, {"app": "redis"}), f"{CORE}/pods": []}

    def fail_inside() -> None:
        with broker_down(view):
            assert view.stateful_set("lab-redis").there == 0
            raise KeyError("on the way")

    with pytest.raises(KeyError):
        fail_inside()
    assert view.stateful_set("lab-redis").wanted == 1


def test_a_fault_is_undone_although_the_cluster_is_busy_in_that_moment(api: FakeApi, drained: FakeApi, selective: ClusterView) -> None:
    with node_drained(selective, "node-1", seconds=10):
        api.refusals = {"PATCH": [(504, "timed out")] * 2}
    assert cordons(drained) == [True, None, None, None]
    api.objects |= {REDIS: workload("lab-redis", 1, 1, {"app": "redis"}), f"{CORE}/pods": []}
    with broker_down(selective):
        api.refusals = {"PATCH": [(504, "timed out")] * 2}
    assert selective.stateful_set("lab-redis").wanted == 1


def test_faults_of_a_node_want_a_local_cluster(api: FakeApi, view: ClusterView) -> None:
    with pytest.raises(NotObservedError, match="node-1 is no container of this machine"), node_powered_off(view, "node-1"):
        pytest.fail("the block must not begin")
    found = pod("a")
    found["status"]["containerStatuses"][0]["containerID"] = "containerd://0123"
    api.objects[f"{CORE}/pods/a"] = found
    with pytest.raises(NotObservedError, match="node-1 is no container of this machine"), process_stopped(view, "a"):
        pytest.fail("the block must not begin")


def test_the_control_channel_is_the_api_and_an_answer_of_the_ledger(api: FakeApi) -> None:
    stack = stack_of(api)
    assert "the cluster does not show pods" in str(control_problem(stack))
    api.objects[f"{CORE}/pods"] = []
    assert "the ledger does not answer" in str(control_problem(stack))  # although its port takes connections
    api.objects["/health"] = {}
    assert control_problem(stack) is None


KUBECTL = """#!{python}
import os, pathlib, sys
kubeconfig = sys.argv[sys.argv.index("--kubeconfig") + 1]
assert oct(pathlib.Path(kubeconfig).stat().st_mode)[-3:] == "600"
said = os.environ["KUBECTL_SAYS"]
print(os.environ["KUBECTL_SHOWS"] or f"given: {{sys.stdin.read()}}")
sys.exit(said) if said else None
"""


@pytest.mark.parametrize(
    ("said", "code", "stderr"),
    [("", 0, ""), ("no such thing\ncommand terminated with exit code 1", 1, "no such thing\n")],
)
def test_how_a_command_in_a_pod_ends_is_for_the_check_to_judge(
    view: ClusterView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: int, stderr: str
) -> None:
    fake_kubectl(tmp_path, monkeypatch, said)
    ran = view.exec("a", "cat", stdin="secret")
    assert (ran.code, ran.stdout, ran.stderr) == (code, "given: secret\n", stderr)
    ran = view.observed_pod("a").run("cat %s", "it's")
    assert (ran.rc, ran.stderr) == (code, stderr)


def test_a_pod_that_cannot_be_reached_is_trouble_of_the_harness(view: ClusterView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_kubectl(tmp_path, monkeypatch, 'Error from server (NotFound): pods "a" not found')
    with pytest.raises(NotObservedError, match=r'pod a cannot be reached: Error from server \(NotFound\): pods "a"'):
        view.observed_pod("a").run("true")


def test_what_failed_leaves_its_pods_logs_without_secrets(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_kubectl(tmp_path, monkeypatch, "", "pod/a\nthe token is not-for-you")
    collect_evidence(stack_of(api), tmp_path / "evidence")
    kept = {str(path.relative_to(tmp_path / "evidence")) for path in (tmp_path / "evidence").rglob("*.txt")}
    assert kept == {"pods.txt", "described.txt", "events.txt", "a/log.txt", "a/log-before-restart.txt"}
    assert "the token is <ledger_token>" in (tmp_path / "evidence" / "a" / "log.txt").read_text()


def fake_kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, says: str, shows: str = "") -> None:
    program = folder / "kubectl"
    program.write_text(KUBECTL.format(python=sys.executable))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("KUBECTL_SAYS", says)
    monkeypatch.setenv("KUBECTL_SHOWS", shows)
