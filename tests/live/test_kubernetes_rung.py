"""The Kubernetes rung: an application that knows nothing of it, in a namespace of its own, deployed by `celerylab` and by plain `pulumi`."""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from celerylab.bench.rung import module_on
from celerylab.clusters.forwards import Forwards
from celerylab.providers.engine import engine
from celerylab.topology.lab import overlay
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient
from tests.live.cluster import LiveCluster, cluster_up
from tests.live.conftest import LiveStack, copy_checkout
from tests.live.registry import registry

MANIFESTS = Path(__file__).with_name("manifests")
POOL = {"worker": {"nodes": "celery@worker-", "queues": ["celery"]}}
TASKS, SECONDS = 60, 1.0
UNCHANGED = [{"same"}]


@pytest.fixture(scope="module")
def checkout(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout in which module 99 is module 02's application on this rung."""
    made = copy_checkout(root, tmp_path_factory.mktemp("kubernetes") / "checkout")
    folder = module_on(made, made, "kubernetes", {"chart": {"exporter": {"pools": POOL}}})
    overlay(folder / "solution", folder / "starter")
    shutil.copytree(MANIFESTS, folder / "starter" / "manifests")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELERYLAB_PROJECT", str(made))
        yield made


@pytest.fixture(scope="module")
def cluster(checkout: Path) -> Iterator[LiveCluster]:
    with cluster_up(checkout) as live:
        yield live


@pytest.fixture(scope="module")
def rung(checkout: Path, cluster: LiveCluster) -> Iterator[LiveStack]:
    """The stack, deployed."""
    live = LiveStack(checkout / "modules" / "99-rung")
    try:
        live.up("starter", cluster=cluster.name)
        yield live
    finally:
        live.remove()
    assert cluster.get("namespaces", "--selector", f"io.celerylab/instance={live.instance}")["items"] == []


@pytest.fixture(scope="module")
def stack(rung: LiveStack, cluster: LiveCluster) -> Iterator[Stack]:
    """The stack as a suite sees it, with ways to its broker and ledger."""
    with stack_of(rung, cluster) as stack:
        yield stack


@contextmanager
def stack_of(live: LiveStack, cluster: LiveCluster) -> Iterator[Stack]:
    """A deployed stack as a suite sees it."""
    outputs = live.outputs()
    kubeconfig = Path(cluster.kubeconfig).read_text(encoding="utf-8")
    with Forwards(kubeconfig, outputs["namespace"], outputs["services"]) as forwards:
        yield Stack(live.name, {**outputs, "endpoints": forwards.endpoints})


def replicas(cluster: LiveCluster, stack: Stack) -> tuple[int, int]:
    found = cluster.get("deployment", "worker", "--namespace", stack.outputs["namespace"])
    return int(found["spec"]["replicas"]), int(found["status"].get("readyReplicas", 0))


def resource_changes(stack: LiveStack, *command: str) -> list[set[str]]:
    events = [json.loads(line) for line in stack.pulumi(*command, "--json").stdout.splitlines()]
    return [set(event["summaryEvent"]["resourceChanges"]) for event in events if "summaryEvent" in event]


def test_it_stands_in_a_namespace_of_its_own_and_the_cluster_knows_whose_it_is(cluster: LiveCluster, rung: LiveStack, stack: Stack) -> None:
    space = cluster.get("namespace", stack.outputs["namespace"])
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert f"celerylab-99/{rung.name} ({stack.outputs['namespace']})" in json.loads(cluster.cluster("status", "--json"))["stacks"]
    assert "celerylab-99" in cluster.refused("down")


def test_its_pool_follows_the_load_and_no_task_is_lost_or_done_twice(cluster: LiveCluster, rung: LiveStack, stack: Stack) -> None:
    worker, ledger = WorkerClient(stack), LedgerReader(stack)
    try:
        assert worker.outcome(worker.send("receipts.send", 1, "a@example.com"), 60).result["status"] == "sent"
        sent = {key: worker.send("celerylab_probe.sleep", SECONDS, key) for key in (uuid.uuid4().hex for _ in range(TASKS))}
        cluster.wait("three workers", lambda: replicas(cluster, stack)[1] >= 3)
        # A second `up` in the middle of it changes nothing, and a refresh sees nothing that others own.
        assert resource_changes(rung, "up", "--yes", "--skip-preview") == UNCHANGED
        assert resource_changes(rung, "refresh", "--yes", "--skip-preview") == UNCHANGED
        for result in sent.values():
            assert worker.outcome(result, 120).state == "SUCCESS"
        cluster.wait("one worker again", lambda: replicas(cluster, stack) == (1, 1), 120)
        for kind in ("start", "end"):
            assert sorted(entry["key"] for entry in ledger.entries(kind=kind) if entry["key"] in sent) == sorted(sent)
    finally:
        worker.close()


def test_no_secret_is_in_the_state_in_clear(cluster: LiveCluster, rung: LiveStack) -> None:
    secrets = rung.outputs()["secrets"]
    state = rung.pulumi("stack", "export").stdout
    key = next(line for line in Path(cluster.kubeconfig).read_text(encoding="utf-8").splitlines() if "client-key-data" in line).split()[-1]
    assert [name for name, value in secrets.items() if str(value) in state] == []
    assert key not in state


def test_what_an_edit_changes_is_there_after_an_up(cluster: LiveCluster, checkout: Path, rung: LiveStack, stack: Stack) -> None:
    file = checkout / "modules" / "99-rung" / "starter" / "app" / "shop" / "tasks.py"
    before = file.read_text(encoding="utf-8")
    try:
        file.write_text(before.replace('"sent"', '"posted"'), encoding="utf-8")
        rung.up("starter", cluster=cluster.name)
        worker = WorkerClient(stack)
        assert worker.outcome(worker.send("receipts.send", 2, "b@example.com"), 60).result["status"] == "posted"
        worker.close()
    finally:
        file.write_text(before, encoding="utf-8")


def test_an_application_that_does_not_start_says_so_with_its_log(cluster: LiveCluster, checkout: Path, says: Callable[..., str]) -> None:
    live = LiveStack(checkout / "modules" / "99-rung")
    lab = checkout / "broken"
    overlay_of(checkout, lab)
    (lab / "app" / "shop" / "celery.py").write_text("raise RuntimeError('nobody ordered this')\n", encoding="utf-8")
    try:
        failed = live.celerylab("up", "--lab", str(lab), "--set", f"cluster={cluster.name}", check=False)
        says(failed, "does not become ready", "CrashLoopBackOff", "nobody ordered this")
        assert "left behind: 0" in live.celerylab("down", "--remove").stdout
    finally:
        live.remove()
    assert cluster.get("namespaces", "--selector", f"io.celerylab/instance={live.instance}")["items"] == []


def test_a_cluster_that_is_not_there_or_not_prepared_is_refused_in_one_line(
    cluster: LiveCluster, checkout: Path, rung: LiveStack, says: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveStack(checkout / "modules" / "99-rung")
    try:
        says(live.celerylab("up", "--lab", "starter", "--set", "cluster=nobody", check=False), "has no stack nobody")
        monkeypatch.setenv("KUBECONFIG", weak_user(cluster, checkout))
        says(live.celerylab("up", "--lab", "starter", "--set", "context=nowhere", check=False), "'nowhere'", "there are weak")
        denied = live.celerylab("up", "--lab", "starter", "--set", "context=weak", check=False)
        says(denied, "context weak does not let you create namespaces", "kubectl apply -f manifests/access/stacks.yaml")
        cluster.kubectl("apply", "--filename", str(checkout / "manifests" / "access" / "stacks.yaml"))
        user = "system:serviceaccount:default:weak"
        cluster.kubectl("create", "clusterrolebinding", "weak", "--clusterrole=celerylab-stacks", f"--user={user}")
        live.up("starter", context="weak")  # with what the message says, and no more
        assert live.outputs()["cluster"]["local"] is False
        assert "left behind: 0" in live.celerylab("down", "--remove").stdout
    finally:
        monkeypatch.undo()
        live.remove()


def test_images_come_from_a_registry_that_is_named_and_else_from_the_nodes(cluster: LiveCluster, checkout: Path, tmp_path: Path) -> None:
    live = LiveStack(checkout / "modules" / "99-rung")
    nodes = [host["container"] for host in cluster.outputs()["hosts"].values()]
    try:
        with registry(checkout, tmp_path, f"celerylab-{cluster.instance}-lab", nodes) as address:
            live.up("starter", cluster=cluster.name, registry=f"{address}/lab")
            pods = cluster.get("pods", "--namespace", live.outputs()["namespace"])["items"]
            images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
            assert len(images) == 3
            assert all(image.startswith(f"{address}/lab/") for image in images)
            second_names = [tag for image in engine().images.list() for tag in image.tags if tag.startswith(address)]
            assert second_names == []
        # Without the registry a node has what is loaded into it, whatever a kubelet noted of the same image under its other name.
        live.up("starter", cluster=cluster.name, registry="")
        pods = cluster.get("pods", "--namespace", live.outputs()["namespace"])["items"]
        assert not [pod for pod in pods for container in pod["spec"]["containers"] if "127.0.0.1" in container["image"]]
        assert "left behind: 0" in live.celerylab("down", "--remove").stdout
    finally:
        live.remove()


def test_with_rabbitmq_the_same_pool_follows_the_load_and_down_gives_a_receipt(cluster: LiveCluster, checkout: Path) -> None:
    live = LiveStack(checkout / "modules" / "99-rung")
    try:
        live.up("starter", cluster=cluster.name, broker="rabbitmq")
        with stack_of(live, cluster) as stack:
            worker, ledger = WorkerClient(stack), LedgerReader(stack)
            sent = {key: worker.send("celerylab_probe.sleep", SECONDS, key) for key in (uuid.uuid4().hex for _ in range(TASKS))}
            cluster.wait("three workers", lambda: replicas(cluster, stack)[1] >= 3)
            for result in sent.values():
                assert worker.outcome(result, 120).state == "SUCCESS"
            cluster.wait("one worker again", lambda: replicas(cluster, stack) == (1, 1), 120)
            assert sorted(entry["key"] for entry in ledger.entries(kind="end") if entry["key"] in sent) == sorted(sent)
            worker.close()
        gone = live.celerylab("down", "--remove").stdout
        assert "left behind: 0" in gone
        assert "namespaces left on the cluster: 0" in gone
        assert cluster.get("namespaces", "--selector", f"io.celerylab/instance={live.instance}")["items"] == []
    finally:
        live.remove()


def overlay_of(checkout: Path, lab: Path) -> None:
    """The lab of module 99 as a folder of its own."""
    lab.mkdir()
    overlay(checkout / "modules" / "99-rung" / "starter", lab)


def weak_user(cluster: LiveCluster, folder: Path) -> str:
    """Path of a kubeconfig whose one context, `weak`, is a user without any right."""
    cluster.kubectl("create", "serviceaccount", "weak")
    token = cluster.kubectl("create", "token", "weak", "--duration", "1h").strip()
    known = yaml.safe_load(Path(cluster.kubeconfig).read_text(encoding="utf-8"))
    written = {
        **known,
        "users": [{"name": "weak", "user": {"token": token}}],
        "contexts": [{"name": "weak", "context": {"cluster": known["clusters"][0]["name"], "user": "weak"}}],
        "current-context": "weak",
    }
    path = folder / "weak.yaml"
    path.write_text(yaml.safe_dump(written), encoding="utf-8")
    path.chmod(0o600)
    return str(path)
