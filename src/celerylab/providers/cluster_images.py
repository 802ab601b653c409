"""Images of a stack where its cluster's nodes find them: in the nodes themselves, where they are containers of this machine, or in a registry."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi import Output, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from celerylab.errors import EngineError
from celerylab.images.application import build_application, load_image, push_image
from celerylab.images.bake import bake_dockerfile
from celerylab.providers.engine import engine, engine_errors, say
from celerylab.topology.kubernetes import APPLICATION


class ClusterImagesProvider(ResourceProvider):
    """Inputs: `root`, `code` and `requirements` of the application (paths), `wanted` (image's name to its reference here), `nodes` (a node's
    container to its id), `registry`, where there is one. Outputs: those."""

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Builds what is not there, and brings it where nodes find it."""
        return CreateResult("images", self._bring(props, {}))

    def diff(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> DiffResult:
        """Another image, another node, or another registry."""
        return DiffResult(changes=any(old.get(key) != new.get(key) for key in ("wanted", "nodes", "registry")))

    def update(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> UpdateResult:
        """Brings what is new."""
        return UpdateResult(self._bring(new, old))

    def delete(self, _id: str, _props: Mapping[str, Any]) -> None:
        """Nothing to do: nodes drop what no pod uses, and other stacks may use the same."""

    def _bring(self, props: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
        same = old.get("registry") == props["registry"] and old.get("nodes") == props["nodes"]
        known = set(old.get("wanted", {}).values()) if same else set()
        for name, reference in props["wanted"].items():
            if reference in known:
                continue
            self._make(name, props)
            if props["registry"]:
                push_image(reference, props["registry"])
            else:
                load_image(reference, list(props["nodes"]))
            where = f"in {props['registry']}" if props["registry"] else f"on {len(props['nodes'])} nodes"
            say(f"image {reference} is {where}")
        return dict(props)

    @staticmethod
    def _make(name: str, props: Mapping[str, Any]) -> None:
        if name == APPLICATION:
            build_application(Path(props["root"]), [Path(folder) for folder in props["code"]], Path(props["requirements"]), say)
        else:
            bake_dockerfile(Path(props["root"]), name, say)


class ClusterImages(Resource, module="celerylab", name="ClusterImages"):
    """Images of `wanted` (name to reference on this machine) where the nodes of a cluster find them."""

    wanted: Output[Mapping[str, str]]

    def __init__(
        self,
        resource: str,
        root: Path,
        code: Sequence[Path],
        requirements: Path,
        wanted: Mapping[str, str],
        nodes: Mapping[str, str],
        registry: str,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "root": str(root),
            "code": [str(folder) for folder in code],
            "requirements": str(requirements),
            "wanted": dict(wanted),
            "nodes": dict(nodes),
            "registry": registry,
        }
        super().__init__(ClusterImagesProvider(), resource, inputs, opts)


def containers_of(nodes: Mapping[str, str], title: str, registry: str) -> dict[str, str]:
    """The container of this machine that each of `nodes` (name to address) is, by the node's name; empty where `registry` serves the cluster.

    Raises EngineError where a node is none and there is no registry.
    """
    if registry:
        return {}
    with engine_errors("looking for the cluster's nodes"):
        there = {
            network["IPAddress"]: container.name
            for container in engine().containers.list()
            for network in container.attrs["NetworkSettings"]["Networks"].values()
        }
    strange = [name for name, address in nodes.items() if address not in there]
    if strange:
        raise EngineError(
            f"node {strange[0]} of {title} is no container of this machine, so images have to come from a registry: "
            "`pulumi config set celerylab:registry registry.example.com/lab`, one that you may push to and the nodes can pull from"
        )
    return {name: there[address] for name, address in nodes.items()}
