"""The ledger of a stack: a store on the observe network that no fault and no learner's rule touches."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import CreateResult, Resource

from celerylab.digest import digest_file
from celerylab.ledger import server
from celerylab.providers.engine import engine_errors
from celerylab.providers.support import SupportProvider, start_support

_NOBODY = 65534
_SCRIPT = Path(server.__file__)


class LedgerProvider(SupportProvider):
    """Inputs: `name`, `image`, `labels`, `networks` (list of name and address), `port`, `token` (secret), `program` (hash), `running`."""

    replacing = ("name", "image", "labels", "networks", "port", "token", "program")

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Starts an empty ledger."""
        port = int(props["port"])
        files = {
            "/usr/local/lib/ledger.py": (_SCRIPT.read_bytes(), 0o644, 0),
            "/var/lib/ledger/token": (props["token"].encode(), 0o600, _NOBODY),
        }
        command = ["python3", "/usr/local/lib/ledger.py", str(port), "/var/lib/ledger/entries.sqlite", "/var/lib/ledger/token"]
        with engine_errors(f"creating ledger {props['name']}"):
            start_support(props["name"], props["image"], props["labels"], command, props["networks"], files)
        return CreateResult(props["name"], dict(props))


class Ledger(Resource, module="celerylab", name="Ledger"):
    """What tasks really did, reached through the gateway's endpoint `ledger`."""

    name: Output[str]

    def __init__(
        self,
        resource: str,
        name: Input[str],
        image: str,
        networks: Input[Sequence[Any]],
        port: int,
        token: Input[str],
        labels: Mapping[str, str],
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {"name": name, "image": image, "networks": networks, "port": port, "token": token, "labels": dict(labels)}
        opts = ResourceOptions.merge(opts, ResourceOptions(additional_secret_outputs=["token"]))
        super().__init__(LedgerProvider(), resource, {**inputs, "program": digest_file(_SCRIPT)[:16], "running": True}, opts)
