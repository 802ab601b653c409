"""Names and labels of everything a stack owns: programs, tests and commands share them, so that they cannot disagree."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

LABEL_PREFIX = "io.celerylab"
LABEL_SCHEMA = "1"
DRAIN_VARIABLE = "CELERYLAB_DRAIN_SECONDS"  # for a whole `pulumi destroy`: over what the stack says of its workers; `celerylab down` sets 0
WITH_STACKS_VARIABLE = "CELERYLAB_WITH_STACKS"  # a cluster that goes takes stacks along; `celerylab cluster down --with-stacks` sets it


def label(key: str) -> str:
    """Docker label `io.celerylab.<key>`."""
    return f"{LABEL_PREFIX}.{key}"


@dataclass(frozen=True)
class Instance:
    """One deployed stack: two people's stacks of one name never meet, because the backend is part of the id."""

    backend: str
    project: str
    stack: str

    @property
    def id(self) -> str:
        """Ten hexadecimal digits that are in every object's name and label."""
        return hashlib.sha256("|".join((self.backend, self.project, self.stack)).encode()).hexdigest()[:10]

    def object_name(self, name: str) -> str:
        """Docker name of this instance's object `name`, such as `celerylab-0123456789-node-1`."""
        return f"celerylab-{self.id}-{name}"

    def labels(self, kind: str, name: str) -> dict[str, str]:
        """Docker labels of this instance's object; the instance label is what a receipt looks for."""
        values = {
            "schema": LABEL_SCHEMA,
            "instance": self.id,
            "project": self.project,
            "stack": self.stack,
            "kind": kind,
            "name": name,
        }
        return {label(key): value for key, value in values.items()}


def at_site(site: str, name: str) -> str:
    """What a group, network or endpoint of a rung is called at one of its sites; `site` is empty where the rung has none."""
    return f"{site}-{name}" if site else name


def group_of(host: str) -> str:
    """Group of the host called `host`: hosts are `<group>-<number>`."""
    return host.rsplit("-", 1)[0]


def current_backend() -> str:
    """URL of the Pulumi backend in use: PULUMI_BACKEND_URL, else what `pulumi login` stored."""
    configured = os.environ.get("PULUMI_BACKEND_URL")
    if configured:
        return configured
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        credentials = json.loads((home / "credentials.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    return str(credentials.get("current", ""))


def project_name(module_id: str) -> str:
    """Pulumi project of a module, or of the `cluster`, as its Pulumi.yaml must say it."""
    return f"celerylab-{module_id}"
