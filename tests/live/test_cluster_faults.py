"""Faults of a cluster bite and heal, and what checks see it with goes on while they do."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from celerylab.clusters.forwards import Forwards
from celerylab.images.application import load_image
from celerylab.images.bake import bake_dockerfile
from celerylab.verify.cluster import ClusterView
from celerylab.verify.cluster_faults import broker_down, node_drained, node_powered_off, pod_killed, process_killed, process_stopped
from celerylab.verify.cluster_objects import Pod
from celerylab.verify.expect import NotAsExpectedError, wait_for
from celerylab.verify.host_faults import container_of
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.redis_server import redis_client
from tests.live.cluster import LiveCluster

SERVICES = {"broker": {"name": "lab-redis", "port": 6379}}
MANIFEST = Path(__file__).with_name("faults.yaml")


@pytest.fixture(scope="module")
def view(shared_cluster: LiveCluster, root: Path) -> Iterator[ClusterView]:
    """A namespace with a broker and two workers, on two nodes."""
    nodes = {name: host["container"] for name, host in shared_cluster.outputs()["hosts"].items() if host["group"] == "node"}
    image = bake_dockerfile(root, "redis", lambda _: None)
    load_image(image, list(nodes.values()))
    space = f"faults-{uuid.uuid4().hex[:6]}"
    seen = ClusterView(Path(shared_cluster.kubeconfig).read_text(encoding="utf-8"), space, nodes, SERVICES)
    shared_cluster.kubectl("create", "namespace", space)
    try:
        shared_cluster.apply(MANIFEST.read_text(encoding="utf-8").replace("IMAGE", image), space)
        seen.wait_settled(90)
        yield seen
    finally:
        shared_cluster.kubectl("delete", "namespace", space, "--wait=false")


@pytest.fixture(autouse=True)
def _whole(view: ClusterView) -> None:
    """What a fault of the test before left to a controller is done."""
    view.wait_settled(90)


@pytest.fixture
def worker(view: ClusterView) -> Pod:
    """A worker on a node that the broker is not on."""
    with_broker = view.node_of("lab-redis-0")
    return next(pod for pod in view.pods_of("worker") if pod.node != with_broker and not pod.terminating)


def state(view: ClusterView, pod: str) -> str:
    """State of the main process of a pod, such as `T` for one that is stopped."""
    return view.observed_pod(pod).check_output("cut -d' ' -f3 /proc/1/stat")


def test_a_pod_is_seen_from_outside_and_from_inside(view: ClusterView, worker: Pod) -> None:
    assert view.pod(worker.name) == worker
    assert view.node_of(worker.name) in view.containers
    assert view.observed_pod(worker.name, "worker").file("/etc/passwd").is_file
    assert view.exec(worker.name, "sh", "-c", "cat; exit 3", stdin="in").stdout == "in"
    assert view.exec(worker.name, "sh", "-c", "exit 3").code == 3
    assert "Started" in {event.reason for event in view.events(worker.name)}
    assert view.log("lab-redis-0", lines=1)
    assert view.platform_pods() == {"lab-redis-0"}


def test_a_killed_pod_is_gone_and_another_one_comes(view: ClusterView, worker: Pod) -> None:
    with pod_killed(view, worker.name):
        wait_for(lambda: view.pod(worker.name) is None, 10, expected="no such pod")  # it bites
    view.wait_settled(60)  # it heals
    assert worker.uid not in {pod.uid for pod in view.pods_of("worker")}


def test_a_killed_process_is_started_again_in_its_pod(view: ClusterView, worker: Pod) -> None:
    def restarts() -> int:
        found = view.pod(worker.name)
        return found.restarts if found and found.ready else 0

    with process_killed(view, worker.name):
        wait_for(lambda: restarts() == worker.restarts + 1, 30, expected="a restart", observed=restarts)


def test_a_stopped_process_goes_on_after_an_exception(view: ClusterView, worker: Pod) -> None:
    def fail_inside() -> None:
        with process_stopped(view, worker.name):
            assert state(view, worker.name) == "T"  # it bites
            raise KeyError("on the way")

    with pytest.raises(KeyError):
        fail_inside()
    assert state(view, worker.name) != "T"  # it heals
    found = view.pod(worker.name)
    assert found is not None
    assert found.restarts == worker.restarts


def test_a_stopped_process_that_was_replaced_is_left_alone(view: ClusterView, worker: Pod) -> None:
    with process_stopped(view, worker.name), pod_killed(view, worker.name):
        wait_for(lambda: view.pod(worker.name) is None, 30, expected="no such pod")


def test_a_broker_that_was_down_is_back_with_what_it_had_behind_the_same_port(view: ClusterView) -> None:
    with Forwards(view.kubeconfig, view.namespace, SERVICES) as forwards:
        url = f"redis://{forwards.endpoints['broker']}/0"

        def kept() -> list[str]:
            try:
                with redis_client(url) as client:
                    return client.lrange("celery", 0, -1)  # type: ignore[return-value]
            except RedisError:
                return []

        with redis_client(url) as client:
            client.delete("celery")
            client.rpush("celery", "one", "two")
        with broker_down(view):
            assert view.pods("app=redis") == []
            assert kept() == []  # it bites
        assert wait_for(kept, 20, expected="the broker") == ["one", "two"]  # it heals


def test_a_drained_node_has_no_pod_of_the_stack_and_takes_some_afterwards(view: ClusterView, worker: Pod) -> None:
    with node_drained(view, worker.node) as evicted:
        assert worker.name in evicted
        assert not view.nodes()[worker.node].schedulable  # it bites
        view.wait_settled(60)
        assert worker.node not in {pod.node for pod in view.pods() if not pod.terminating}
    assert view.nodes()[worker.node].schedulable  # it heals
    with pod_killed(view, view.pods_of("worker")[0].name):
        view.wait_settled(60)
    assert worker.node in {pod.node for pod in view.pods_of("worker") if not pod.terminating}


def test_a_drain_spares_the_broker(view: ClusterView) -> None:
    before = view.pod("lab-redis-0")
    assert before is not None
    with node_drained(view, before.node) as evicted:
        assert "lab-redis-0" not in evicted
        after = view.pod("lab-redis-0")
        assert after is not None
        assert (after.uid, after.ready) == (before.uid, True)


def test_a_drain_that_a_budget_forbids_fails_and_leaves_the_node_open(shared_cluster: LiveCluster, view: ClusterView, worker: Pod) -> None:
    budget = ["patch", "poddisruptionbudget", "worker", "--namespace", view.namespace, "--type=merge", "--patch"]
    shared_cluster.kubectl(*budget, '{"spec": {"maxUnavailable": 0}}')
    try:
        with pytest.raises(NotAsExpectedError, match="disruption budget"), node_drained(view, worker.node, seconds=3):
            pytest.fail("the block must not begin")
    finally:
        shared_cluster.kubectl(*budget, '{"spec": {"maxUnavailable": 1}}')
    assert view.nodes()[worker.node].schedulable
    found = view.pod(worker.name)
    assert found is not None
    assert (found.uid, found.terminating) == (worker.uid, False)


def test_a_node_without_power_is_gone_and_runs_its_pods_again_after_an_exception(view: ClusterView, worker: Pod) -> None:
    host = ObservedHost(worker.node, view.containers[worker.node])

    def fail_inside() -> None:
        with node_powered_off(view, worker.node):
            assert container_of(host).status == "exited"  # it bites
            raise KeyError("on the way")

    with pytest.raises(KeyError):
        fail_inside()
    found = view.pod(worker.name)  # it heals
    assert found is not None
    assert found.ready
    assert found.restarts == worker.restarts + 1
    assert view.nodes()[worker.node].ready
    assert state(view, worker.name)
