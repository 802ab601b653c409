"""A small application on a cluster, through the chart and helm alone: what tests and measurements share."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from celerylab.errors import EngineError
from celerylab.images.application import build_application, load_image
from celerylab.images.bake import bake_dockerfile
from celerylab.pulumi_stack import PulumiStack

SHOP = Path(__file__).with_name("shop")
NAMESPACE = "shop"
POOL = "shop-celery-worker-default"  # what the chart calls the Deployment
SCALE_DOWN_SECONDS = 15


@dataclass(frozen=True)
class ShopOnCluster:
    """The application `shop/` on the cluster of `kubeconfig`, whose `nodes` are containers of this machine. helm and kubectl are on PATH."""

    root: Path
    kubeconfig: str
    nodes: Sequence[str]

    @classmethod
    def on(cls, root: Path, cluster: PulumiStack) -> "ShopOnCluster":
        """On the cluster of a stack, whose kubeconfig has been written."""
        nodes = [host["container"] for host in cluster.outputs()["hosts"].values() if host["group"] == "node"]
        return cls(root, str(cluster.kubeconfig), nodes)

    def prepare(self) -> None:
        """A namespace with a broker that the chart does not own, and the images on every node."""
        load_image(self.image, self.nodes)
        self.kubectl("create", "namespace", NAMESPACE)
        self.run_beside("redis")
        for name, database in (("broker", 0), ("results", 1)):
            self.kubectl("create", "secret", "generic", name, f"--from-literal=url=redis://redis.{NAMESPACE}:6379/{database}")

    def run_beside(self, name: str) -> None:
        """Runs what shop/NAME.yaml says, with the image of that name, beside the chart."""
        manifest = (SHOP / f"{name}.yaml").read_text(encoding="utf-8").replace("IMAGE", self.bring(name))
        self.kubectl("apply", "--filename", "-", given=manifest)
        self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")

    def bring(self, name: str) -> str:
        """Puts the image of environments/images/NAME on every node; its reference."""
        reference = bake_dockerfile(self.root, name, _silent)
        load_image(reference, self.nodes)
        return reference

    @cached_property
    def image(self) -> str:
        """Reference of the application's image."""
        return build_application(self.root, [SHOP], SHOP / "requirements.txt", _silent)

    @property
    def values(self) -> dict[str, Any]:
        """The chart's values: one pool, which scales on its load."""
        repository, tag = self.image.rsplit(":", 1)
        scaling = {"enabled": True, "minReplicas": 1, "maxReplicas": 6, "scaleDownSeconds": SCALE_DOWN_SECONDS, "scaleDownPods": 6}
        resources = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
        return {
            "image": {"repository": repository, "tag": tag},
            "app": "shop",
            "broker": {"existingSecret": "broker"},
            "resultBackend": {"existingSecret": "results"},
            "workers": {"default": {"concurrency": 1, "longestTaskSeconds": 10, "autoscaling": scaling, "resources": resources}},
        }

    def helm(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Runs helm; with `values`, on the chart."""
        if values is None:
            return self._run(["helm", *arguments])
        chart = self.root / "manifests" / "charts" / "celery"
        return self._run(["helm", *arguments, str(chart), "--values", "-"], yaml.safe_dump(dict(values)))

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """Runs kubectl in the namespace; `given` is its standard input."""
        return self._run(["kubectl", *arguments], given)

    def replicas(self) -> tuple[int, int]:
        """How many workers are wanted, and how many are ready."""
        found = json.loads(self.kubectl("get", "deployment", POOL, "--output", "json"))
        return int(found["spec"]["replicas"]), int(found["status"].get("readyReplicas", 0))

    @contextmanager
    def port_of(self, service: str, port: int) -> Iterator[int]:
        """A port on 127.0.0.1 that leads to the `port` of a Service, for as long as the block takes."""
        command = ["kubectl", *self._options, "port-forward", f"service/{service}", f":{port}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None  # it is a pipe
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            if found is None:
                raise EngineError(f"kubectl port-forward does not reach {service}")
            yield int(found[1])
        finally:
            process.terminate()
            process.wait()

    @property
    def _options(self) -> list[str]:
        return ["--kubeconfig", self.kubeconfig, "--namespace", NAMESPACE]

    def _run(self, command: list[str], given: str = "") -> str:
        if shutil.which(command[0]) is None:
            raise EngineError(f"{command[0]} is not on PATH; `scripts/toolchain helm kubernetes` builds helm and kubectl")
        whole = [command[0], *self._options, *command[1:]]
        result = subprocess.run(whole, input=given, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise EngineError(f"{' '.join(command[:3])} ended with {result.returncode}: {result.stderr.strip()[-600:]}")
        return result.stdout


def _silent(_: str) -> None:
    """Nobody watches."""
