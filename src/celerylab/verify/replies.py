"""Results that come as messages (`rpc://`), for a client that polls and wants to know how a task ended."""

from typing import Any

from celery import Celery
from celery.backends.rpc import RPCBackend
from celery.states import PENDING, READY_STATES


class ReplyBackend(RPCBackend):  # type: ignore[misc]  # Celery publishes no types
    """An end is an end, whatever comes after it.

    A retry without a wait may end before the process that asked for it has said RETRY (seen with Celery 5.7.0: the child publishes the new
    message first). Celery's own class keeps the message that came last, so such a task would be RETRY once, and PENDING from then on.
    """

    def __init__(self, app: Celery, **options: Any) -> None:
        super().__init__(app, **options)
        self._latest: dict[str, dict[str, Any]] = {}

    def get_task_meta(self, task_id: str, backlog_limit: int = 1000) -> dict[str, Any]:
        """The task's state, result and traceback, as far as its worker has said."""
        for message in self._slurp_from_queue(task_id, self.accept, backlog_limit):
            meta: dict[str, Any] = self.meta_from_decoded(message.payload)
            if self._state(meta["task_id"]) not in READY_STATES:
                self._latest[meta["task_id"]] = meta
            message.ack()
        return self._latest.get(task_id, {"status": PENDING, "result": None})

    def _state(self, task_id: str) -> str:
        return str(self._latest.get(task_id, {}).get("status", PENDING))


def use_replies(app: Celery) -> None:
    """From now on `rpc://` of `app` means ReplyBackend."""
    app.loader.override_backends = {**app.loader.override_backends, "rpc": f"{__name__}:{ReplyBackend.__name__}"}
