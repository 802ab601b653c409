"""What a worker logs, as JSON: one object on each line. The command `celery` beside this file imports it where the unit says so.

    {"time": "2026-11-25T10:40:00.123456+00:00", "level": "INFO", "logger": "celery.app.trace", "worker": "default@node-1", "process": 4711,
     "message": "Task shop.echo[…] succeeded in 0.001s: 7", "task_id": "…", "task_name": "shop.echo", "runtime": 0.001}

`task_id` and `task_name` are there where a line is about a task, or written by one; `runtime`, in seconds, where one succeeded; `exception`, which
is a traceback with its lines, where there is one. An application that configures logging itself (Celery's signal setup_logging) is left alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from celery import signals
from celery._state import get_current_task
from celery.utils.log import ColorFormatter, get_multiprocessing_logger

# journald cuts lines of 48 KiB in two, which then are no JSON. This is of one text, in bytes of JSON, and a line may have two long ones.
LONGEST = 20_000
_KEPT = 900  # characters of either end of one that is longer; each may become six bytes, beyond the first plane twelve
worker = ""


def shortened(text: str) -> str:
    """`text`, without its middle where it is too long."""
    if len(json.dumps(text)) <= LONGEST:
        return text
    return f"{text[:_KEPT]} … {len(text) - 2 * _KEPT} characters left out … {text[-_KEPT:]}"


def line(moment: float, level: str, logger: str, message: str, **more: Any) -> str:
    """One line, without its end. `moment` is in seconds since 1970; what is None in `more` is left out."""
    known = {
        "time": datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="microseconds"),  # noqa: UP017 (the application may have an older Python)
        "level": level,
        "logger": logger,
        "worker": worker,
        "process": os.getpid(),
        "message": shortened(message),
    }
    return json.dumps(known | {name: value for name, value in more.items() if value is not None}, default=str)


class JsonLines(ColorFormatter):
    """Celery's own formatter knows how to write exceptions that come from another process."""

    def format(self, record: Any) -> str:
        """The record as JSON."""
        told = getattr(record, "data", None)  # what Celery knows of the task that its line is about
        told = told if isinstance(told, dict) else {}
        task = get_current_task()
        request = getattr(task, "request", None)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError) as error:  # wrong arguments for the format; the line is worth having
            message = f"{record.msg} ({error})"
        exception = self.formatException(record.exc_info) if record.exc_info and record.exc_info != (None, None, None) else record.exc_text
        return line(
            record.created,
            record.levelname,
            record.name,
            str(message),
            task_id=told.get("id") or getattr(request, "id", None),
            task_name=told.get("name") or getattr(task, "name", None),
            runtime=told.get("runtime"),
            exception=shortened(str(exception)) if exception else None,
        )


@signals.after_setup_logger.connect
@signals.after_setup_task_logger.connect
def use_json(logger: Any, **_: Any) -> None:
    """Gives the handlers that Celery has just made another formatter; those of its logger for processes have no signal of their own."""
    others = get_multiprocessing_logger()
    for handler in [*logger.handlers, *(others.handlers if others else [])]:
        handler.setFormatter(JsonLines(use_color=False))


@signals.celeryd_init.connect
def speak_json(sender: Any, instance: Any, **_: Any) -> None:
    """What Celery says past its loggers: its banner, which has nothing that is not known, and that it stops."""
    global worker
    from celery.apps import worker as program

    worker, instance.quiet = str(sender), True
    write = getattr(program, "_original_os_write", os.write)

    def say(message: Any, stream: Any = sys.__stderr__) -> None:
        write(stream.fileno(), (line(time.time(), "WARNING", "celery.apps.worker", str(message).strip()) + "\n").encode())

    program.safe_say = say


def say_now(level: str, logger: str, message: str, exception: str | None = None) -> None:
    """Writes a line where Python would write what nobody handles, before there are loggers or past them."""
    print(line(time.time(), level, logger, message, exception=exception), file=sys.__stderr__, flush=True)


def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The last words of a process whose error nobody caught."""
    said = JsonLines(use_color=False).formatException((kind, error, trace))
    say_now("CRITICAL", "python", f"{kind.__name__}: {error}", shortened(said))


def showwarning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any) -> None:
    """A warning from before Celery hands them to its loggers, such as one of a module that the application imports."""
    say_now("WARNING", "py.warnings", f"{filename}:{lineno}: {category.__name__}: {message}")


sys.excepthook = excepthook
warnings.showwarning = showwarning
