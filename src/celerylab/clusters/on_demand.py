"""A local cluster that nobody keeps: made when a module first needs one and none was named, and gone afterwards."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from celerylab.errors import LeftBehindError
from celerylab.paths import project_root
from celerylab.pulumi_stack import CLUSTER
from celerylab.throwaway import ThrowawayStack
from celerylab.topology.module import rung_of

NAMING = ("cluster", "context")  # settings that say which cluster a stack is on


class ClusterOnDemand:
    """Where stacks of modules on Kubernetes go for as long as the block takes: on the cluster that `settings` name, or on one made for them.

    `prepare` makes what a cluster is made of, where this machine lacks it. Raises LeftBehindError, after the block, where the cluster did not go.
    """

    def __init__(self, prefix: str, settings: Mapping[str, str], prepare: Callable[[], None]) -> None:
        self._prefix, self._prepare = prefix, prepare
        self._named = {name: settings[name] for name in NAMING if settings.get(name)}
        self._making = threading.Lock()
        self._made: ThrowawayStack | None = None

    def settings_for(self, folder: Path) -> dict[str, str]:
        """The settings that put a stack of the module in `folder` on the cluster; none where it has hosts. Raises CelerylabError."""
        if rung_of(project_root(), folder).substrate != "kubernetes":
            return {}
        if self._named:
            return self._named
        with self._making:
            if self._made is None:
                self._prepare()
                self._made = ThrowawayStack(project_root() / "stacks" / CLUSTER, self._prefix)
                self._made.up({"owner": self._prefix})
        return {"cluster": self._made.target.name}

    def __enter__(self) -> "ClusterOnDemand":
        return self

    def __exit__(self, *_: object) -> None:
        rest = self._made.down() if self._made else []
        if rest:
            raise LeftBehindError(f"left behind of the cluster: {', '.join(rest)}")
