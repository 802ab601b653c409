"""celerylab_probe.schedules: when entries of a schedule are due, on days whose clocks change. What a store does to times is seen on a stack."""

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.beat import PersistentScheduler, ScheduleEntry, Scheduler
from celery.schedules import crontab

from celerylab_probe import schedules
from celerylab_probe.schedules import runs, scheduler_of

SHOP = ZoneInfo("US/Pacific")
Runs = Callable[..., list[datetime]]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Runs:
    def look(schedule: Any, day: tuple[int, int], days: int = 1, zone: str = "US/Pacific", scheduler: type[Scheduler] = Scheduler) -> Any:
        app = Celery("shop", set_as_current=True)
        app.conf.timezone = zone
        app.conf.beat_schedule = {"entry": {"task": "a.task", "schedule": schedule}}
        begin = datetime(2026, *day, tzinfo=SHOP)
        return [run.astimezone(SHOP) for run in runs(app, scheduler, "entry", begin, begin + timedelta(days=days))]

    return look


@pytest.mark.parametrize(("day", "times"), [((11, 1), 25), ((3, 8), 23), ((6, 1), 24)])
def test_an_interval_of_an_hour_runs_as_often_as_the_day_has_hours(found: Runs, day: tuple[int, int], times: int) -> None:
    assert len(found(timedelta(hours=1), day)) == times


def test_a_crontab_leaves_the_hour_out_that_comes_twice(found: Runs) -> None:
    shown = [f"{run:%H:%M %Z}" for run in found(crontab(minute=0), (11, 1))]
    assert (len(shown), shown[:3]) == (24, ["00:00 PDT", "01:00 PDT", "02:00 PST"])
    assert len(found(crontab(minute=0), (11, 1), zone="UTC")) == 25


def test_a_crontab_of_a_day_follows_the_clock_of_the_time_zone(found: Runs) -> None:
    assert [run.hour for run in found(crontab(hour=6, minute=0), (10, 31), days=3)] == [6, 6, 6]
    assert [run.hour for run in found(crontab(hour=13, minute=0), (10, 31), days=3, zone="UTC")] == [6, 5, 5]


def test_the_applications_own_modules_see_the_same_clock(found: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("lab_beat")
    module.datetime = datetime  # type: ignore[attr-defined]  # as `from datetime import datetime`
    module.__file__ = f"{schedules.Path.cwd()}/lab_beat.py"
    monkeypatch.setitem(sys.modules, "lab_beat", module)

    class Entry(ScheduleEntry):  # type: ignore[misc]
        def default_now(self) -> datetime:
            return module.datetime.now(ZoneInfo("UTC"))  # type: ignore[no-any-return]

    class Mine(Scheduler):  # type: ignore[misc]
        pass

    Mine.Entry = Entry
    assert len(found(timedelta(hours=1), (11, 1), scheduler=Mine)) == 25


def test_the_last_scheduler_on_the_command_line_wins() -> None:
    app = Celery("shop", set_as_current=False)
    assert scheduler_of(app, "--loglevel=INFO") is PersistentScheduler
    assert scheduler_of(app, "--scheduler=celery.beat:PersistentScheduler --scheduler=celery.beat.Scheduler") is Scheduler
    assert scheduler_of(app, "-S celery.beat.Scheduler") is Scheduler


def test_an_entry_that_does_not_exist_is_said_so() -> None:
    app = Celery("shop", set_as_current=False)
    begin = datetime(2026, 6, 1, tzinfo=SHOP)
    with pytest.raises(LookupError):
        runs(app, Scheduler, "missing", begin, begin + timedelta(days=1))
