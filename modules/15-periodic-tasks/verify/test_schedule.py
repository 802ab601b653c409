"""15.3: what became due while nobody sent. 15.4: the days on which the clocks change. 15.7: the sun."""

import json
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from periodic import BEAT_UNIT, LOOK_BEAT, Beats

from celerylab.verify.expect import NotAsExpectedError, expect, wait_for
from celerylab.verify.faults import unit_stopped
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.plugin import objective

SHOP = ZoneInfo("US/Pacific")
DAILY, DAILY_KEY = "daily-report", "report-daily"
OVERDUE_HOURS = 36
CAUGHT_UP_SECONDS = 25
GOES_ON = 2  # runs of till-check that show that beat is at work
DAY, HOUR, SIX_HOURS = 300, 3600, 21600  # steps of the simulation, in seconds; beat itself looks at least every 300 s
_SUN = """
import json, sys
from datetime import datetime
from shop.lights import sunset
found = []
for text in json.load(sys.stdin):
    now = datetime.fromisoformat(text)
    sunset.nowfun = lambda: now
    found.append((now + sunset.remaining_estimate(now)).timestamp())
print(json.dumps(found))
"""


@objective("15.3")
def test_what_is_overdue_runs_once_and_not_again(beats: Beats) -> None:
    settings = beats.settings()
    expect(
        settings["scheduler"] == "redbeat",
        observed=f"beat runs with {settings['scheduler']}, which keeps what ran last where only one host can read it",
        expected="a schedule in Redis, which both beats and the API share",
        look="celerylab shell 15 beat-1 -- cat /etc/celery/beat.env",
        **settings,
    )
    beats.control_runs(1, time.time())
    with ExitStack() as stopped:
        for host in beats.hosts:
            stopped.enter_context(unit_stopped(host, BEAT_UNIT))
        beats.make_overdue(DAILY, OVERDUE_HOURS)
        outage = time.time()
    wait_for(
        lambda: beats.runs(DAILY_KEY, outage),
        CAUGHT_UP_SECONDS,
        expected=f"that {DAILY}, which was due while beat was away, runs now",
        observed="it did not",
        look=LOOK_BEAT,
        daily_runs=0,
        **settings,
    )
    _once(beats, outage, time.time(), "after an outage", settings)
    kept = beats.last_run(DAILY)
    with ExitStack() as stopped:
        for host in beats.hosts:
            stopped.enter_context(unit_stopped(host, BEAT_UNIT))
        again = time.time()
    _once(beats, outage, again, "after an outage and a second restart", settings)
    now, ago = beats.last_run(DAILY), time.time()
    expect(
        kept >= outage - 1 and abs(now - kept) < 1,
        observed=f"before the second restart it had run {ago - kept:.0f} s ago; after it the schedule says {ago - now:.0f} s",
        expected="the time of that run, before and after",
        look=LOOK_BEAT,
        **settings,
    )


def _once(beats: Beats, outage: float, since: float, when: str, settings: dict[str, Any]) -> None:
    """The daily entry has run once since the outage, and till-check goes on."""
    beats.control_runs(GOES_ON, since, **settings)
    runs = len(beats.runs(DAILY_KEY, outage))
    expect(
        runs == 1,
        observed=f"{when}, {DAILY} ran {runs} times",
        expected="exactly once: it was overdue once",
        look=LOOK_BEAT,
        daily_runs=runs,
        **settings,
    )


@objective("15.4")
def test_entries_run_when_the_shops_clock_says_so(beats: Beats) -> None:
    wanted = [
        ("hourly-count", (2026, 11, 1), (2026, 11, 2), DAY),
        ("hourly-count", (2026, 3, 8), (2026, 3, 9), DAY),
        ("daily-report", (2026, 10, 31), (2026, 11, 3), DAY),
        ("daily-report", (2026, 3, 7), (2026, 3, 10), DAY),
        ("weekly-cleanup", (2026, 10, 31), (2026, 11, 9), HOUR),
        ("weekly-cleanup", (2026, 3, 7), (2026, 3, 16), HOUR),
        ("monthly-report", (2026, 10, 31), (2026, 12, 2), SIX_HOURS),
        ("monthly-report", (2026, 2, 28), (2026, 4, 2), SIX_HOURS),
    ]
    asked = [(name, _midnight(*begin).isoformat(), _midnight(*end).isoformat(), step) for name, begin, end, step in wanted]
    found = beats.simulated(asked)
    missing = sorted({name for (name, *_), runs in zip(wanted, found, strict=True) if runs is None})
    expect(
        not missing,
        observed=f"there is no entry {' and no '.join(missing)}",
        expected="the shop's entries, under their names",
        look=LOOK_BEAT,
    )
    autumn, spring, *others = [[datetime.fromtimestamp(run, UTC).astimezone(SHOP) for run in runs or []] for runs in found]
    expect(
        (len(autumn), len(spring)) == (25, 23),
        observed=f"hourly-count runs {len(autumn)} times on 2026-11-01 and {len(spring)} times on 2026-03-08{_oddity(autumn)}",
        expected="25 and 23 times: so many hours have these days",
        look="celerylab hint 15.4",
        autumn_runs=len(autumn),
        spring_runs=len(spring),
    )
    expected = [
        [(10, 31, 6), (11, 1, 6), (11, 2, 6)],
        [(3, 7, 6), (3, 8, 6), (3, 9, 6)],
        [(11, 1, 4), (11, 8, 4)],
        [(3, 8, 4), (3, 15, 4)],
        [(11, 1, 7), (12, 1, 7)],
        [(3, 1, 7), (4, 1, 7)],
    ]
    for (name, *_), runs, right in zip(wanted[2:], others, expected, strict=True):
        instants = [datetime(2026, month, day, hour, tzinfo=SHOP) for month, day, hour in right]
        expect(
            [run.replace(second=0, microsecond=0) for run in runs] == instants,
            observed=f"{name} runs at {_said(runs)}",
            expected=f"at {_said(instants)}",
            look="celerylab hint 15.4",
            autumn_runs=len(autumn),
            daily_hour=others[0][0].hour if others[0] else -1,
        )


@objective("15.7")
def test_the_sun_sets_where_the_shop_is(hosts: dict[str, ObservedHost]) -> None:
    noons = [datetime(2026, 6, 21, 12, tzinfo=SHOP), datetime(2026, 12, 21, 12, tzinfo=SHOP)]
    almanac = [datetime(2026, 6, 21, 20, 35, tzinfo=SHOP), datetime(2026, 12, 21, 16, 54, tzinfo=SHOP)]
    ran = hosts["worker-1"].as_application("python", "-c", _SUN, stdin=json.dumps([noon.isoformat() for noon in noons]))
    if ran.code != 0:
        said = (ran.stderr.strip().splitlines() or ["nothing"])[-1]
        raise NotAsExpectedError(
            f"a program that asks shop.lights.sunset said: {said[:300]}", "the time of a sunset", "celerylab hint 15.7", {}
        )
    found = [datetime.fromtimestamp(when, UTC).astimezone(SHOP) for when in json.loads(ran.stdout)]
    expect(
        len(found) == len(almanac) and all(abs(one - right) <= timedelta(minutes=5) for one, right in zip(found, almanac, strict=True)),
        observed=f"the lights go on at {_said(found)}",
        expected=f"at {_said(almanac)}, to five minutes",
        look="celerylab hint 15.7",
        hours_off=round(max(abs(one - right).total_seconds() / 3600 for one, right in zip(found, almanac, strict=True)), 1),
    )


def _midnight(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=SHOP)


def _said(times: list[datetime]) -> str:
    shown = ", ".join(f"{when:%a %Y-%m-%d %H:%M %Z}" for when in times[:4])
    return f"{shown or 'no time'}{' and so on' if len(times) > 4 else ''}"


def _oddity(runs: list[datetime]) -> str:
    """Where two runs of the hourly entry are not an hour apart, in words."""
    for one, other in pairwise(runs):
        minutes = (other.astimezone(UTC) - one.astimezone(UTC)).total_seconds() / 60
        if abs(minutes - 60) > 1:
            return f": after {one:%H:%M %Z} comes {other:%H:%M %Z}"
    return ""
