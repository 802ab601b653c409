"""A local Kubernetes cluster: made, used, scaled, guarded and taken away. Skipped, with the reason, where its programs are not there."""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
import redis
from celery import Celery

from celerylab.bench.chart import NAMESPACE, ShopOnCluster
from celerylab.providers.engine import engine
from celerylab.pulumi_stack import PulumiStack
from celerylab.topology.addresses import pool
from celerylab.topology.cluster import PODS
from celerylab.topology.cluster_parts import cluster_versions
from tests.live.cluster import LiveCluster, cluster_up
from tests.live.conftest import run
from tests.live.packets import Watch, uplink

NODES = {"control-plane-1", "node-1", "node-2"}
SERVICES = "10.96.0.0/16"
PASSWORD = "of-this-test-alone"


@pytest.fixture(scope="module")
def cluster(root: Path) -> Iterator[LiveCluster]:
    """A cluster of a control plane and two nodes; nothing of it may go to the uplink, from its beginning to its end."""
    with Watch(uplink()) as outside, cluster_up(root) as live:
        yield live
    private = [IPv4Network(PODS), IPv4Network(SERVICES), pool()]
    leaked = {packet.destination for packet in outside.packets if any(IPv4Address(packet.destination) in network for network in private)}
    assert leaked == set()


def test_its_nodes_are_ready_and_have_its_version(cluster: LiveCluster, root: Path) -> None:
    nodes = {node["metadata"]["name"]: node for node in cluster.get("nodes")["items"]}
    assert set(nodes) == NODES
    for node in nodes.values():
        assert {condition["type"]: condition["status"] for condition in node["status"]["conditions"]}["Ready"] == "True"
        assert node["status"]["nodeInfo"]["kubeletVersion"] == f"v{cluster_versions(root)['kubernetes']}"
    shown = json.loads(cluster.cluster("status", "--json"))
    assert {node["name"] for node in shown["nodes"] if node["ready"]} == NODES
    assert shown["stacks"] == []
    everything = json.loads(run(["celerylab", "status", "--all", "--json"], root).stdout)
    assert [(stack["module"], stack["rung"], bool(stack["expires"])) for stack in everything if stack["stack"] == cluster.name] == [
        ("cluster", "cluster", True)
    ]


def test_a_pod_reaches_a_service_on_another_node(cluster: LiveCluster, root: Path) -> None:
    image = f"registry.k8s.io/kube-proxy:v{cluster_versions(root)['kubernetes']}"  # every node has it, and getent is in it
    overrides = json.dumps({"apiVersion": "v1", "spec": {"nodeName": "node-2"}})
    ask = ["getent", "hosts", "kubernetes.default.svc.cluster.local"]
    cluster.kubectl("run", "asks", f"--image={image}", "--restart=Never", f"--overrides={overrides}", "--command", "--", *ask)
    phase = cluster.wait("the pod's end", lambda: _ended(cluster, "asks"))
    assert phase == "Succeeded", cluster.kubectl("logs", "asks", check=False)
    assert cluster.kubectl("logs", "asks").split()[0] == "10.96.0.1"
    dns = {pod["spec"]["nodeName"] for pod in cluster.get("pods", "--namespace", "kube-system", "--selector", "k8s-app=kube-dns")["items"]}
    assert dns == {"control-plane-1"}  # so the question crossed from node to node
    cluster.kubectl("delete", "pod", "asks", "--now")


def test_keda_and_metrics_are_there(cluster: LiveCluster) -> None:
    assert cluster.get("crd", "scaledobjects.keda.sh")["spec"]["group"] == "keda.sh"
    for service in ("v1beta1.external.metrics.k8s.io", "v1beta1.metrics.k8s.io"):
        cluster.wait(service, lambda name=service: _available(cluster, name))
    cluster.wait("metrics of nodes", lambda: len(cluster.kubectl("top", "nodes", "--no-headers", check=False).splitlines()) == len(NODES))


def test_a_second_up_changes_nothing(cluster: LiveCluster) -> None:
    events = [json.loads(line) for line in cluster.pulumi("up", "--yes", "--skip-preview", "--json").stdout.splitlines()]
    assert [set(event["summaryEvent"]["resourceChanges"]) for event in events if "summaryEvent" in event] == [{"same"}]


def test_no_secret_is_in_the_state_in_clear(cluster: LiveCluster) -> None:
    stack = PulumiStack(cluster.folder, cluster.name)
    token, kubeconfig = stack.outputs()["secrets"]["join_token"], stack.secret_output("ClusterAccess", "kubeconfig")
    state = cluster.pulumi("stack", "export").stdout
    key = next(line for line in kubeconfig.splitlines() if "client-key-data" in line).split()[-1]
    assert token not in state
    assert key not in state
    assert Path(cluster.kubeconfig).stat().st_mode & 0o777 == 0o600


TASKS, SECONDS = 60, 2.0


@pytest.fixture(scope="module")
def shop(cluster: LiveCluster, root: Path) -> ShopOnCluster:
    if shutil.which("helm") is None:
        pytest.skip("helm is neither on PATH nor built; `scripts/toolchain helm` builds it")
    nodes = [host["container"] for host in cluster.outputs()["hosts"].values() if host["group"] == "node"]
    made = ShopOnCluster(root, cluster.kubeconfig, nodes)
    made.prepare()
    return made


def test_helm_runs_an_application_that_scales_on_its_load_and_loses_no_task(cluster: LiveCluster, shop: ShopOnCluster) -> None:
    shop.helm("install", "shop", values=shop.values)
    cluster.wait("the first worker", lambda: shop.replicas()[1] == 1)
    with shop.port_of("redis", 6379) as port:
        app = Celery("client", broker=f"redis://127.0.0.1:{port}/0", backend=f"redis://127.0.0.1:{port}/1")
        sent = {key: app.send_task("shop.work", (key, SECONDS)) for key in (uuid.uuid4().hex for _ in range(TASKS))}
        cluster.wait("four workers", lambda: shop.replicas()[1] >= 4)
        # A release in the middle of it: workers go, and what they had begun is finished.
        shop.helm("upgrade", "shop", values={**shop.values, "env": [{"name": "RELEASE", "value": "2"}]})
        assert {result.get(timeout=120) for result in sent.values()} == {"", "2"}
        counters = redis.Redis(port=port, db=1)
        for what in ("started", "ended"):
            assert [int(counters.get(f"{what}:{key}") or 0) for key in sent] == [1] * TASKS
        cluster.wait("back to one worker", lambda: shop.replicas() == (1, 1))
        shop.helm("rollback", "shop", "1")
        cluster.wait("the first release again", lambda: app.send_task("shop.work", ("again", 0.0)).get(timeout=60) == "")
    shop.helm("uninstall", "shop", "--wait")
    assert [found["metadata"]["name"] for found in cluster.get("deployments", "--namespace", NAMESPACE)["items"]] == ["redis"]


@pytest.mark.parametrize(("kind", "port", "url"), [("redis", 6379, "redis://:{}/0"), ("rabbitmq", 5672, "amqp://celery:{}//")])
def test_the_charts_own_broker_keeps_what_it_accepted(cluster: LiveCluster, shop: ShopOnCluster, kind: str, port: int, url: str) -> None:
    """On a volume: tasks that wait outlive the broker's pod."""
    repository, tag = shop.bring(kind).rsplit(":", 1)
    own = {"enabled": True, "image": {"repository": repository, "tag": tag}, "password": PASSWORD}
    asleep = {"default": {**shop.values["workers"]["default"], "autoscaling": {"enabled": False}, "replicas": 0}}
    values = {**shop.values, "broker": {"type": kind}, kind: own, "workers": asleep}
    name = f"kept-celery-{kind}"

    @contextmanager
    def client() -> Iterator[Celery]:
        with shop.port_of(name, port) as here:
            yield Celery(broker=url.format(f"{PASSWORD}@127.0.0.1:{here}"), set_as_current=False)

    shop.helm("install", "kept", "--wait", "--timeout", "90s", values=values)
    with client() as app:
        app.conf.broker_transport_options = {"confirm_publish": True}
        for number in range(2):
            app.send_task("shop.work", (f"kept-{number}", 0.0))
        assert _waiting(app) == 2
    before = cluster.get("pod", f"{name}-0", "--namespace", NAMESPACE)["metadata"]["uid"]
    shop.kubectl("delete", "pod", f"{name}-0", "--grace-period=0", "--force")
    cluster.wait("another pod", lambda: _ready(cluster, f"{name}-0") not in (None, before))
    with client() as app:
        assert _waiting(app) == 2
    shop.helm("uninstall", "kept", "--wait")


def test_one_node_more_leaves_the_others_as_they_are(cluster: LiveCluster) -> None:
    before = {name: engine().containers.get(host["container"]).id for name, host in cluster.outputs()["hosts"].items()}
    cluster.cluster("up", "--set", "nodes=3")
    assert {node["metadata"]["name"] for node in cluster.get("nodes")["items"]} == NODES | {"node-3"}
    after = {name: engine().containers.get(host["container"]).id for name, host in cluster.outputs()["hosts"].items()}
    assert before.items() <= after.items()


def test_a_cluster_with_stacks_on_it_does_not_go_by_mistake(cluster: LiveCluster) -> None:
    cluster.kubectl("create", "namespace", "celerylab-ada")
    cluster.kubectl("label", "namespace", "celerylab-ada", "io.celerylab/instance=0123456789")
    cluster.kubectl("annotate", "namespace", "celerylab-ada", "io.celerylab/stack=celerylab-23/ada")
    assert "celerylab-23/ada (celerylab-ada)" in cluster.refused("down")
    assert cluster.get("namespace", "celerylab-ada")["status"]["phase"] == "Active"
    assert "left behind: 0" in cluster.cluster("down", "--with-stacks", "--remove")


def _ready(cluster: LiveCluster, pod: str) -> str | None:
    """The pod's uid where it is ready."""
    for found in cluster.get("pods", "--namespace", NAMESPACE)["items"]:
        ready = {condition["type"]: condition["status"] for condition in found["status"].get("conditions", [])}.get("Ready") == "True"
        if found["metadata"]["name"] == pod and ready:
            return str(found["metadata"]["uid"])
    return None


def _ended(cluster: LiveCluster, pod: str) -> str | None:
    phase: str = cluster.get("pod", pod)["status"]["phase"]
    return phase if phase in ("Succeeded", "Failed") else None


def _available(cluster: LiveCluster, name: str) -> bool:
    conditions = cluster.get("apiservice", name).get("status", {}).get("conditions", [])
    return any(condition["type"] == "Available" and condition["status"] == "True" for condition in conditions)


def _waiting(app: Celery) -> int:
    with app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
        return int(queue.qsize())
