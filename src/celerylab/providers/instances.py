"""Which instances an engine has, found by our labels alone: what a lost state or another learner's backend still shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from celerylab.providers.engine import engine, engine_errors
from celerylab.topology.names import label


@dataclass
class DeployedInstance:
    """One stack's objects. `containers`: name within the instance to Docker's word for its state. `created`: of the oldest of them."""

    id: str
    project: str
    stack: str
    created: datetime | None = None
    containers: dict[str, str] = field(default_factory=dict)

    @property
    def running(self) -> int:
        """How many of the containers run."""
        return sum(state == "running" for state in self.containers.values())


def deployed_instances() -> list[DeployedInstance]:
    """Every instance that has a container or a network on this engine, oldest first."""
    found: dict[str, DeployedInstance] = {}
    selection = {"label": label("instance")}
    with engine_errors("looking for instances"):
        client = engine()
        for network in client.networks.list(filters=selection):
            _of(found, network.attrs["Labels"], network.attrs["Created"])
        for container in client.containers.list(all=True, filters=selection, ignore_removed=True):
            instance = _of(found, container.labels, container.attrs["Created"])
            instance.containers[container.labels[label("name")]] = container.status
    return sorted(found.values(), key=lambda instance: (str(instance.created), instance.id))


def _of(found: dict[str, DeployedInstance], labels: Mapping[str, Any], created: str) -> DeployedInstance:
    identity = labels[label("instance")]
    instance = found.setdefault(identity, DeployedInstance(identity, labels.get(label("project"), ""), labels.get(label("stack"), "")))
    moment = datetime.fromisoformat(created[:19] + "+00:00")  # Docker writes nanoseconds
    instance.created = min(instance.created or moment, moment)
    return instance
