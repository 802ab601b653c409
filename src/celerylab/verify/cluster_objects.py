"""What a cluster has, at one moment, as checks read it."""

from dataclasses import dataclass, field
from typing import Any

from celerylab.clusters.workloads import is_complete
from celerylab.kubernetes import has_condition


@dataclass(frozen=True)
class Pod:
    """A pod. `node` and `address` are empty while it has none; `raw` is the client's V1Pod, for all else."""

    name: str
    uid: str
    labels: dict[str, str]
    node: str
    address: str
    phase: str
    ready: bool
    terminating: bool
    restarts: int
    raw: Any = field(compare=False, repr=False)

    @classmethod
    def of(cls, raw: Any) -> "Pod":
        """The pod that the API shows as `raw`."""
        return cls(
            name=raw.metadata.name,
            uid=raw.metadata.uid,
            labels=dict(raw.metadata.labels or {}),
            node=raw.spec.node_name or "",
            address=raw.status.pod_ip or "",
            phase=raw.status.phase or "",
            ready=has_condition(raw, "Ready"),
            terminating=raw.metadata.deletion_timestamp is not None,
            restarts=sum(status.restart_count for status in raw.status.container_statuses or []),
            raw=raw,
        )


@dataclass(frozen=True)
class Workload:
    """A Deployment or StatefulSet: how many pods are wanted, there, and ready. `raw` is the client's object."""

    name: str
    wanted: int
    there: int
    ready: int
    raw: Any = field(compare=False, repr=False)

    @classmethod
    def of(cls, raw: Any) -> "Workload":
        """The Deployment or StatefulSet that the API shows as `raw`."""
        return cls(raw.metadata.name, raw.spec.replicas or 0, raw.status.replicas or 0, raw.status.ready_replicas or 0, raw)

    @property
    def selector(self) -> str:
        """The labels of its pods, in kubectl's words."""
        return ",".join(f"{key}={value}" for key, value in self.raw.spec.selector.match_labels.items())

    @property
    def settled(self) -> bool:
        """Whether it has what is wanted and nothing else, as far as its controller has seen what was written last."""
        return is_complete(self.raw)

    def __str__(self) -> str:
        return f"{self.name}: {self.ready} of {self.wanted} pods ready"


@dataclass(frozen=True)
class Node:
    """A node. New pods come to it where it is `schedulable`."""

    name: str
    ready: bool
    schedulable: bool

    @classmethod
    def of(cls, raw: Any) -> "Node":
        """The node that the API shows as `raw`."""
        return cls(raw.metadata.name, has_condition(raw, "Ready"), not raw.spec.unschedulable)


@dataclass(frozen=True)
class Event:
    """What Kubernetes noted: `about` is such as `Pod/worker-0`, `last` an ISO time, `count` how often."""

    about: str
    type: str
    reason: str
    message: str
    count: int
    last: str

    @classmethod
    def of(cls, raw: Any) -> "Event":
        """The event that the API shows as `raw`."""
        last = raw.last_timestamp or raw.event_time or raw.metadata.creation_timestamp
        about = f"{raw.involved_object.kind}/{raw.involved_object.name}"
        return cls(about, raw.type or "", raw.reason or "", raw.message or "", raw.count or 1, last.isoformat() if last else "")
