"""The plan of a local cluster: what its hosts run, bring along and know of each other."""

import re
from pathlib import Path

import pytest
import yaml

from celerylab.components.cluster_parts import MANIFESTS
from celerylab.errors import InputError
from celerylab.providers.cluster_access import for_endpoint
from celerylab.topology.cluster import ClusterPlan, make_cluster_plan
from celerylab.topology.cluster_parts import cluster_images, cluster_versions

pytestmark = pytest.mark.unit


@pytest.fixture
def plan(root: Path) -> ClusterPlan:
    return make_cluster_plan(root, {})


def archives(plan: ClusterPlan, host: str) -> set[str]:
    role = next(role for found in plan.hosts if found.name == host for role in found.roles if role.name == "containerd")
    return {re.sub("-[0-9a-f]{12}.tar$", "", Path(path).name) for path in role.variables["containerd_image_archives"]}


def test_one_control_plane_and_two_nodes_by_default(plan: ClusterPlan) -> None:
    assert [host.name for host in plan.hosts] == ["control-plane-1", "node-1", "node-2"]
    assert all("ALL" in host.capabilities for host in plan.hosts)


def test_a_host_brings_along_what_runs_on_it_and_no_more(plan: ClusterPlan) -> None:
    assert archives(plan, "control-plane-1") == {"kubernetes", "etcd", "coredns", "pause"}
    keda = {f"keda-{part}" for part in ("operator", "adapter", "webhooks")}
    assert archives(plan, "node-1") == keda | {"kubernetes", "coredns", "pause", "busybox", "local-path-provisioner", "metrics-server"}


def test_one_node_more_moves_no_other_and_concerns_them_for_its_way_alone(root: Path, plan: ClusterPlan) -> None:
    more = make_cluster_plan(root, {"nodes": "3"})
    assert {host.name: host.position for host in plan.hosts}.items() <= {host.name: host.position for host in more.hosts}.items()
    before = {(host.name, role.name): role.fingerprint for host in plan.hosts for role in host.roles}
    after = {(host.name, role.name): role.fingerprint for host in more.hosts for role in host.roles}
    changed = {key for key, fingerprint in before.items() if after[key] != fingerprint}
    assert changed == {(host.name, "kubernetes_node") for host in plan.hosts}
    assert len({more.pod_subnet(host.name) for host in more.hosts}) == 4


def test_the_token_reaches_the_roles_that_need_it_and_no_others(plan: ClusterPlan) -> None:
    needs = {role.name for host in plan.hosts for role in host.roles if "join_token" in role.secrets}
    assert needs == {"kubernetes_node", "kubernetes_control_plane"}


@pytest.mark.parametrize(
    ("configuration", "words"),
    [({"nodes": "0"}, "whole number from 1 to 8"), ({"noodes": "2"}, "a cluster has no such setting (did you mean nodes?)")],
)
def test_a_wrong_setting_is_refused(root: Path, configuration: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        make_cluster_plan(root, configuration)


def test_manifests_ask_for_the_images_that_nodes_bring_along(root: Path) -> None:
    brought = {reference for image in cluster_images(root) for reference in image.references}
    asked = set()
    for path in MANIFESTS:
        asked |= set(re.findall(r"^ +image: (\S+)$", (root / "manifests" / path).read_text(encoding="utf-8"), re.MULTILINE))
    assert len(asked) == 6
    assert asked <= brought


def test_versions_are_those_that_tools_pins(root: Path) -> None:
    versions = cluster_versions(root)
    assert set(versions) == {"kubernetes", "etcd", "coredns", "keda", "metrics_server", "local_path_provisioner"}
    assert f"k8s.io/kubernetes v{versions['kubernetes']}" in (root / "tools" / "go.mod").read_text(encoding="utf-8")
    # The role's own default is what a cluster of ours has been run with.
    role = yaml.safe_load((root / "roles/kubernetes_control_plane/defaults/main.yml").read_text(encoding="utf-8"))
    assert role["kubernetes_control_plane_version"] == f"v{versions['kubernetes']}"


def test_a_kubeconfig_for_the_gateways_side_keeps_its_authority_and_its_key() -> None:
    of_kubeadm = yaml.safe_dump(
        {
            "clusters": [{"name": "kubernetes", "cluster": {"server": "https://10.0.0.5:6443", "certificate-authority-data": "QQ=="}}],
            "users": [{"name": "kubernetes-admin", "user": {"client-certificate-data": "Qg==", "client-key-data": "Qw=="}}],
        }
    )
    made = yaml.safe_load(for_endpoint(of_kubeadm, "127.0.0.1:20001", "celerylab-me"))
    assert made["clusters"][0]["cluster"] == {"server": "https://127.0.0.1:20001", "certificate-authority-data": "QQ=="}
    assert made["users"][0]["user"]["client-key-data"] == "Qw=="
    assert made["current-context"] == "celerylab-me"
