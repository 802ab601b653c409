"""What becomes of a stack whose lease ends: two warnings in its owner's terminals, then it is destroyed."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from celerylab.paths import data_dir
from celerylab.pulumi_stack import PulumiStack

WARN_MINUTES = (15, 5)  # before the end, the earlier one first


@dataclass(frozen=True)
class Lease:
    """How long a stack may stay."""

    stack: PulumiStack
    expires: datetime

    @property
    def module(self) -> str:
        """The module's number, or `cluster`."""
        return self.stack.project


@dataclass(frozen=True)
class Action:
    """What is to be done about a lease: a warning `minutes` before its end, or, with None, the end."""

    lease: Lease
    minutes: int | None

    @property
    def text(self) -> str:
        """One line for a terminal."""
        which = f"{self.lease.stack.title}, stack {self.lease.stack.name}"
        if self.minutes is None:
            return f"celerylab: the lease of {which} is over"
        return (
            f"celerylab: {which} ends in less than {self.minutes} minutes and will be destroyed; "
            "`pulumi config set celerylab:hours N && pulumi up` in its folder gives it N hours from its start"
        )


class Warned:
    """Which warnings were given, kept in a file, so that nobody reads one twice."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or data_dir() / "warned.json"
        self._given: dict[str, list[int]] = json.loads(self._path.read_text(encoding="utf-8")) if self._path.is_file() else {}

    def __contains__(self, action: Action) -> bool:
        return action.minutes in self._given.get(_key(action.lease), [])

    def add(self, action: Action) -> None:
        """Notes that a warning was given, and with it every earlier one."""
        if action.minutes is not None:
            self._given[_key(action.lease)] = [minutes for minutes in WARN_MINUTES if minutes >= action.minutes]
            self._write()

    def keep(self, leases: Iterable[Lease]) -> None:
        """Forgets all but these."""
        kept = {_key(lease) for lease in leases}
        self._given = {key: given for key, given in self._given.items() if key in kept}
        self._write()

    def _write(self) -> None:
        self._path.write_text(json.dumps(self._given) + "\n", encoding="utf-8")


def due(leases: Iterable[Lease], now: datetime, warned: Warned) -> list[Action]:
    """What is to be done at the moment `now`: at most one thing for each lease."""
    actions = []
    for lease in leases:
        left = lease.expires - now
        near = [minutes for minutes in WARN_MINUTES if left <= timedelta(minutes=minutes)]
        action = Action(lease, None if left <= timedelta(0) else min(near, default=None))
        if near and action not in warned:
            actions.append(action)
    return actions


def _key(lease: Lease) -> str:
    return f"{lease.stack.instance.id} {lease.expires.isoformat()}"
