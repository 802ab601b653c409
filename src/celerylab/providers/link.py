"""The link between the sites of a stack: a small container on all their networks, which carries packets late."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import CreateResult, Resource

from celerylab.digest import digest_file
from celerylab.link import router
from celerylab.link.state import PROGRAM
from celerylab.providers.engine import engine_errors
from celerylab.providers.support import SupportProvider, start_support

_SCRIPT = Path(router.__file__)


class LinkProvider(SupportProvider):
    """Inputs: `name`, `image`, `labels`, `sites` (by name: `network`, `address` with its prefix, `hosts`), `seconds` (a packet's, one way),
    `program` (hash), `running`."""

    replacing = ("name", "image", "labels", "sites", "seconds", "program")

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Starts the link."""
        sites = {
            name: {"address": site["address"], "hosts": [int(host) for host in site["hosts"]]} for name, site in props["sites"].items()
        }
        networks = [{"name": site["network"], "address": site["address"].partition("/")[0]} for site in props["sites"].values()]
        command = ["python3", PROGRAM, "serve", json.dumps({"seconds": float(props["seconds"]), "sites": sites})]
        with engine_errors(f"creating link {props['name']}"):
            start_support(
                props["name"],
                props["image"],
                props["labels"],
                command,
                networks,
                {PROGRAM: (_SCRIPT.read_bytes(), 0o644, 0)},
                capabilities=["NET_RAW"],
            )
        return CreateResult(props["name"], dict(props))


class Link(Resource, module="celerylab", name="Link"):
    """The only way from one site to another."""

    name: Output[str]

    def __init__(
        self,
        resource: str,
        name: Input[str],
        image: str,
        sites: Input[Mapping[str, Any]],
        seconds: float,
        labels: Mapping[str, str],
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {"name": name, "image": image, "sites": sites, "seconds": seconds, "labels": dict(labels)}
        super().__init__(LinkProvider(), resource, {**inputs, "program": digest_file(_SCRIPT)[:16], "running": True}, opts)
