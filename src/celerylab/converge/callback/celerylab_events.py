"""Callback `celerylab_events` of Ansible: says what goes on as lines of JSON, on the file descriptor that CELERYLAB_EVENTS names.

{"task": "redis: Write the configuration"}                       a task begins
{"changed": true}                                                it has changed the host
{"failed": "node-1: redis: Write the configuration: No space"}   it has failed, with its message
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: celerylab_events
type: stdout
short_description: events for celerylab
description: [Says what goes on as lines of JSON.]
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """What Ansible's loader looks for."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "celerylab_events"

    def __init__(self) -> None:
        super().__init__()
        self._events = os.fdopen(int(os.environ["CELERYLAB_EVENTS"]), "w", encoding="utf-8", buffering=1, closefd=False)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002  Ansible's signature
        """A task begins."""
        self._say(task=task_name(task))

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task has ended well."""
        if result.result.get("changed"):
            self._say(changed=True)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task has failed; one that says in its own words what is wrong may still rescue it."""
        if not ignore_errors:
            self._say(failed=f"{result.host.get_name()}: {task_name(result.task)}: {message(result.result)}")

    v2_runner_on_unreachable = v2_runner_on_failed

    def _say(self, **event: Any) -> None:
        print(json.dumps(event), file=self._events)


def task_name(task: Any) -> str:
    """Role and task, or the task alone where it is of no role."""
    return f"{task._role.get_name()}: {task.name or task.action}" if task._role else str(task.name or task.action)


def message(result: Mapping[str, Any]) -> str:
    """What a failed task says, in one line."""
    for item in result.get("results", []):  # of a loop, the item that failed has the message
        if isinstance(item, Mapping) and (item.get("failed") or item.get("unreachable")):
            return message(item)
    # A command's own words are in stderr; what Ansible says of it is only that it failed.
    said = [result.get(key) for key in ("msg", "stderr", "module_stderr", "censored")]
    return " ".join(": ".join(str(text) for text in said if text).split())[:600] or "failed"
