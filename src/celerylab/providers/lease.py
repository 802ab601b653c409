"""The first resource of a stack and the last to go: it says who has the stack until when, and its delete is the receipt."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from celerylab.errors import LeftBehindError
from celerylab.providers.engine import engine, left_behind, say


class LeaseProvider(ResourceProvider):
    """Inputs: `instance`, `owner`, `hours`, `labels`. Outputs: those, `started` and `expires` (ISO 8601, UTC)."""

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Starts the lease now. Asks Docker first, so that a stack never begins on a machine without an engine."""
        engine()
        started = datetime.now(UTC)
        return CreateResult(props["instance"], {**props, "started": _text(started), "expires": _expiry(started, props["hours"])})

    def diff(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> DiffResult:
        """Hours and owner can change; another instance is another stack."""
        changed = [key for key in ("instance", "owner", "hours") if old.get(key) != new.get(key)]
        return DiffResult(changes=bool(changed), replaces=["instance"] if "instance" in changed else [])

    def update(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> UpdateResult:
        """New hours count from the start of the lease."""
        started = datetime.fromisoformat(old["started"])
        return UpdateResult({**new, "started": old["started"], "expires": _expiry(started, new["hours"])})

    def delete(self, id_: str, _props: Mapping[str, Any]) -> None:
        """Looks at Docker itself, not at Pulumi's state. Raises LeftBehindError naming all that still carries the instance's label."""
        rest = left_behind(id_)
        if rest:
            raise LeftBehindError(f"left behind: {len(rest)}: {', '.join(rest)}; `celerylab down --force` removes by label")
        say(f"receipt: instance {id_}, left behind: 0")


class Lease(Resource, module="celerylab", name="Lease"):
    """Who has the stack until when. Everything else depends on it, so it is deleted last."""

    instance: Output[str]
    expires: Output[str]

    def __init__(
        self, resource: str, instance: Input[str], owner: Input[str], hours: Input[int], opts: ResourceOptions | None = None
    ) -> None:
        super().__init__(
            LeaseProvider(),
            resource,
            {"instance": instance, "owner": owner, "hours": hours, "started": None, "expires": None},
            opts,
        )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _expiry(started: datetime, hours: float) -> str:
    return _text(started + timedelta(hours=hours))
