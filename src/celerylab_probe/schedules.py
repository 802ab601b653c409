"""When the entries of an application's schedule are due, in any time: beat's clock is simulated, everything else is the application's own.

On a host with beat: `python -m celerylab_probe.schedules daily-report 2026-11-01 2026-11-03` prints when the entry runs between two midnights of the
application's time zone. The scheduler is the one that beat runs with, and with redbeat the entry is what redbeat has stored; what is
simulated goes through redbeat's store as well, under a prefix of its own, because what a store does to a time is a part of the schedule.
"""

import argparse
import os
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from celery import Celery
from celery.app.utils import find_app
from celery.beat import ScheduleEntry, Scheduler
from celery.utils.imports import load_extension_class_names, symbol_by_name

MAX_LOOP = timedelta(seconds=300)  # Celery's own default of beat_max_loop_interval
BEFORE = timedelta(hours=1)  # how long before the beginning the entry is said to have run last
_NAMESPACE = "celery.beat_schedulers"


def scheduler_of(app: Celery, options: str) -> type[Scheduler]:
    """The scheduler that beat uses with `options` on its command line; the last one wins."""
    words = options.split()
    named = [word.partition("=")[2] for word in words if word.startswith("--scheduler=")]
    named += [following for word, following in pairwise(words) if word in ("-S", "--scheduler")]
    scheduler: type[Scheduler] = symbol_by_name(
        named[-1] if named else app.conf.beat_scheduler, dict(load_extension_class_names(_NAMESPACE))
    )
    return scheduler


def stored_entry(app: Celery, scheduler: type[Scheduler], name: str) -> Any:
    """The entry called `name`: what redbeat has stored, or with another scheduler what the settings say. Raises LookupError for none."""
    entry = getattr(scheduler, "Entry", ScheduleEntry)
    if is_redbeat(scheduler):
        from redbeat.schedulers import ensure_conf

        return entry.from_key(ensure_conf(app).key_prefix + name, app=app)
    return entry(**dict(app.conf.beat_schedule[name], name=name, app=app))


def is_redbeat(scheduler: type[Scheduler]) -> bool:
    """Whether the scheduler keeps its entries where redbeat does."""
    return hasattr(getattr(scheduler, "Entry", None), "from_key")


def runs(app: Celery, scheduler: type[Scheduler], name: str, begin: datetime, end: datetime, step: timedelta = MAX_LOOP) -> list[datetime]:
    """The instants, in UTC, at which beat sends the entry called `name` from `begin` on and before `end`.

    It is said to have run last an hour before `begin`. Beat looks at it when it said it would be due, and at least every `step`.
    Raises LookupError where there is no such entry.
    """
    found: list[datetime] = []
    entry = stored_entry(app, scheduler, name)
    _simulate_clock(app)
    Simulated.clock = (begin - BEFORE).astimezone(UTC)
    current, again, forget = _simulated(app, scheduler, entry)
    try:
        while Simulated.clock < end:
            due, wait = current.is_due()
            if due:
                found.append(Simulated.clock)
                current = next(current)
            current = again(current)
            Simulated.clock += min(timedelta(seconds=max(wait or 0, 0.01)), step)
    finally:
        forget()
    return [run for run in found if begin <= run < end]


def _simulated(app: Celery, scheduler: type[Scheduler], entry: Any) -> tuple[Any, Callable[[Any], Any], Callable[[], None]]:
    """A copy of `entry` that runs in simulated time; what reads it again after each look of beat's; and what removes its traces."""
    kind = type(entry)
    definition = {"name": entry.name, "task": entry.task, "schedule": entry.schedule, "app": app}
    if not is_redbeat(scheduler):
        return kind(**definition), lambda current: current, lambda: None
    from redbeat.schedulers import ensure_conf, get_redis

    conf = ensure_conf(app)
    before = conf.key_prefix, conf.schedule_key
    conf.key_prefix = f"celerylab-probe:{uuid.uuid4().hex}:"
    conf.schedule_key = f"{conf.key_prefix}:schedule"
    copy = kind(**definition).save()
    key = copy.key

    def forget() -> None:
        get_redis(app).delete(key, conf.schedule_key)
        conf.key_prefix, conf.schedule_key = before

    return kind.from_key(key, app=app), lambda _: kind.from_key(key, app=app), forget


class Simulated(datetime):
    """Stands in for `datetime` in the application's own modules: `clock` is now."""

    clock: datetime

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        """As datetime.now()."""
        return cls.clock.astimezone(tz) if tz else cls.clock.astimezone().replace(tzinfo=None)


def _simulate_clock(app: Celery) -> None:
    """For this process, Simulated.clock is what the application and its own modules take for now."""
    app.now = lambda: Simulated.clock.astimezone(app.timezone)
    here = str(Path.cwd())
    for name, module in list(sys.modules.items()):
        if name != __name__ and getattr(module, "datetime", None) is datetime and str(getattr(module, "__file__", "")).startswith(here):
            module.datetime = Simulated  # type: ignore[attr-defined]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="When an entry of the schedule runs.")
    parser.add_argument("entry", help="name of the entry")
    parser.add_argument("begin", type=datetime.fromisoformat, help="first day, such as 2026-11-01")
    parser.add_argument("end", type=datetime.fromisoformat, help="day after the last one")
    parser.add_argument("--app", default=os.environ.get("CELERY_APP"), help="the application; the one beat runs by default")
    options = parser.parse_args()
    app = find_app(options.app)
    app.set_current()
    begin, end = (day.replace(tzinfo=app.timezone) for day in (options.begin, options.end))
    scheduler = scheduler_of(app, os.environ.get("CELERY_BEAT_OPTIONS", ""))
    try:
        found = runs(app, scheduler, options.entry, begin, end)
    except LookupError:
        parser.error(f"there is no entry {options.entry} in the schedule")
    for run in found:
        local = run.astimezone(app.timezone)
        sys.stdout.write(f"{local:%Y-%m-%d %H:%M:%S %Z}  {run:%H:%M:%S} UTC\n")
    sys.stdout.write(f"{len(found)} runs\n")


if __name__ == "__main__":
    main()
