"""A cluster that tests drive, as its user would, and who stands on it."""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from celerylab.providers.engine import left_behind
from celerylab.topology.cluster_parts import cluster_images
from tests.live.conftest import LiveStack, run


class LiveCluster(LiveStack):
    """A cluster that a test drives through `celerylab cluster`, `pulumi` and `kubectl`."""

    @cached_property
    def kubeconfig(self) -> str:
        return self.cluster("kubeconfig").strip()

    def cluster(self, command: str, *arguments: str) -> str:
        return run(["celerylab", "cluster", command, *arguments, "--stack", self.name], self.folder).stdout

    def refused(self, command: str, *arguments: str) -> str:
        result = run(["celerylab", "cluster", command, *arguments, "--stack", self.name], self.folder, check=False)
        assert result.returncode != 0
        return result.stdout + result.stderr

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        return run(["kubectl", "--kubeconfig", self.kubeconfig, *arguments], self.folder, check).stdout

    def apply(self, manifest: str, namespace: str) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(manifest)
            file.flush()
            self.kubectl("apply", "--namespace", namespace, "--filename", file.name)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def wait(self, what: str, holds: Any, seconds: float = 90) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
            time.sleep(1)
        return found

    def remove(self) -> None:
        run(["celerylab", "cluster", "down", "--force", "--stack", self.name], self.folder, check=False)
        (self.folder / f"Pulumi.{self.name}.yaml").unlink(missing_ok=True)


@contextmanager
def cluster_up(root: Path) -> Iterator[LiveCluster]:
    """A cluster of a control plane and two nodes, which is gone after the block. Skips, with the reason, where none was baked."""
    lacking = [image.name for image in cluster_images(root) if not image.archive.is_file()]
    if lacking:
        pytest.skip(f"no cluster on this machine yet: `celerylab cluster bake` makes {', '.join(lacking)}, which takes minutes")
    live = LiveCluster(root / "stacks" / "cluster")
    try:
        live.cluster("up")
        yield live
    finally:
        live.remove()
    assert left_behind(live.instance) == []
