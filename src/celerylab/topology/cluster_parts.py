"""What a local cluster is made of: versions, programs and images, as tools/ pins them."""

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from celerylab.digest import digest_json, digest_tree
from celerylab.paths import cache_dir

PAUSE_VERSION = "3.10.1"  # the one that kubeadm of this Kubernetes wants
_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
BUSYBOX_VERSION = "1.35.0"  # Debian's
_NOBODY = "65532:65532"  # as the official images of KEDA
_EVERYWHERE, _NODES, _CONTROL_PLANE = ("control-plane", "node"), ("node",), ("control-plane",)  # groups of environments/cluster.yaml


@dataclass(frozen=True)
class ClusterImage:
    """One image that hosts of `groups` bring along; `references` are its names.

    `program` is a file of the programs' folder, which is at each of `paths` in it. Made by us, it stands on an image of environments/images/
    (`base`), or on nothing, and runs as `user`; without a program it is the base and nothing more.
    """

    name: str
    references: tuple[str, ...]
    program: str
    paths: tuple[str, ...]
    groups: tuple[str, ...] = _EVERYWHERE
    base: str = ""
    user: str = "0"
    key: str = ""

    @property
    def archive(self) -> Path:
        """Where the image is kept for nodes to bring along."""
        return cache_dir() / "cluster-images" / f"{self.name}-{self.key}.tar"


def cluster_versions(root: Path) -> dict[str, str]:
    """Version of Kubernetes, etcd, CoreDNS, KEDA and metrics-server, as tools/ pins them."""
    text = "".join((root / "tools" / folder / "go.mod").read_text(encoding="utf-8") for folder in ("", "etcd", "metrics-server"))
    modules = {
        "kubernetes": "k8s.io/kubernetes",
        "etcd": "go.etcd.io/etcd/server/v3",
        "coredns": "github.com/coredns/coredns",
        "keda": "github.com/kedacore/keda/v2",
        "metrics_server": "sigs.k8s.io/metrics-server",
        "local_path_provisioner": "github.com/rancher/local-path-provisioner",
    }
    return {name: re.findall(rf"^\t{re.escape(module)} v([0-9.]+)", text, re.MULTILINE)[0] for name, module in modules.items()}


def programs_folder(root: Path) -> Path:
    """Folder of what `scripts/toolchain kubernetes` built; its folder `host` is what hosts have. It need not be there."""
    return (root / ".tools").resolve() / "cluster"


def cluster_images(root: Path) -> list[ClusterImage]:
    """Every image of the cluster's own, KEDA and metrics-server."""
    versions = cluster_versions(root)
    registry, keda = "registry.k8s.io", "ghcr.io/kedacore/keda"
    wanted = [
        ClusterImage(
            "kubernetes",
            tuple(f"{registry}/{part}:v{versions['kubernetes']}" for part in _KUBERNETES),
            "host/kubernetes",
            tuple(f"/usr/local/bin/{part}" for part in _KUBERNETES),
            base="iptables",
        ),
        ClusterImage("etcd", (f"{registry}/etcd:{versions['etcd']}-0",), "etcd", ("/usr/local/bin/etcd",), _CONTROL_PLANE),
        ClusterImage("coredns", (f"{registry}/coredns/coredns:v{versions['coredns']}",), "coredns", ("/coredns",)),
        ClusterImage("pause", (f"{registry}/pause:{PAUSE_VERSION}",), "pause", ("/pause",)),
        ClusterImage(
            "metrics-server",
            (f"{registry}/metrics-server/metrics-server:v{versions['metrics_server']}",),
            "metrics-server",
            ("/metrics-server",),
            _NODES,
        ),
        ClusterImage(
            "local-path-provisioner",
            (f"rancher/local-path-provisioner:v{versions['local_path_provisioner']}",),
            "local-path-provisioner",
            ("/usr/bin/local-path-provisioner",),
            _NODES,
        ),
        ClusterImage("busybox", (f"busybox:{BUSYBOX_VERSION}",), "", (), _NODES, base="busybox"),
        ClusterImage("keda-operator", (f"{keda}:{versions['keda']}",), "keda-operator", ("/keda",), _NODES, user=_NOBODY),
        ClusterImage(
            "keda-adapter", (f"{keda}-metrics-apiserver:{versions['keda']}",), "keda-adapter", ("/keda-adapter",), _NODES, user=_NOBODY
        ),
        ClusterImage(
            "keda-webhooks",
            (f"{keda}-admission-webhooks:{versions['keda']}",),
            "keda-webhooks",
            ("/keda-admission-webhooks",),
            _NODES,
            user=_NOBODY,
        ),
    ]
    return [replace(image, key=_key(root, image)) for image in wanted]


def _key(root: Path, image: ClusterImage) -> str:
    """Hash of what decides the archive: the image's description, the tools that were built, and the recipe of what it stands on."""
    base = digest_tree(root / "environments" / "images" / image.base) if image.base else ""
    return digest_json([asdict(image), (root / ".tools").resolve().name, base])[:12]
