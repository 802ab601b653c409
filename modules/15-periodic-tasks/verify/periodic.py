"""Beats and what they send, entries as beat sees them, and the schedule API."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from celerylab.verify.expect import NotAsExpectedError, NotObservedError, wait_for
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.ledger import LedgerReader

BEAT_UNIT = "celery-beat.service"
CONTROL, CONTROL_SECONDS = "tills", 3.0  # what till-check leaves in the ledger, and how often it is due
READY_SECONDS = 30
CONTROL_RUNS_SECONDS = 25
PROBE_SECONDS = 60
LOOK_BEAT = "celerylab logs 15 beat-1 -n 40"

# The application and the scheduler that beat runs with; the unit's own file says both.
_LOAD = """
import json, os, sys
from datetime import datetime, timedelta, timezone
from celery.app.utils import find_app
from celerylab_probe.schedules import is_redbeat, runs, scheduler_of, stored_entry
app = find_app(os.environ["CELERY_APP"])
app.set_current()
scheduler = scheduler_of(app, os.environ["CELERY_BEAT_OPTIONS"])
request = json.load(sys.stdin)
"""
_SETTINGS = """
print(json.dumps({"scheduler": "redbeat" if is_redbeat(scheduler) else scheduler.__name__, "loop_seconds": app.conf.beat_max_loop_interval or 300,
                  "lock_seconds": app.conf.get("redbeat_lock_timeout") or 5 * (app.conf.beat_max_loop_interval or 300)}))
"""
_BACKDATE = """
entry = stored_entry(app, scheduler, request["name"])
entry.reschedule(last_run_at=entry._default_now() - timedelta(hours=request["hours"]))
print(json.dumps({"due_in": entry.schedule.is_due(entry._default_now()).next}))
"""
_LAST_RUN = """
print(json.dumps(stored_entry(app, scheduler, request["name"]).last_run_at.timestamp()))
"""
_SEND = """
entry = stored_entry(app, scheduler, request["name"])
for _ in range(request["times"]):
    app.send_task(entry.task, entry.args, entry.kwargs, **entry.options)
print(json.dumps(None))
"""
_FREE_LOCK = """
from redbeat.schedulers import ensure_conf, get_redis
print(json.dumps(get_redis(app).delete(ensure_conf(app).lock_key)))
"""
_RUNS = """
found = []
for name, begin, end, step in request:
    try:
        found.append([run.timestamp() for run in runs(app, scheduler, name, *map(datetime.fromisoformat, (begin, end)), timedelta(seconds=step))])
    except LookupError:
        found.append(None)
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Beats:
    """The hosts with beat. What an entry does is in the ledger, with the host that has sent it."""

    hosts: list[ObservedHost]
    ledger: LedgerReader

    def runs(self, key: str, since: float) -> list[dict[str, Any]]:
        """Effects under `key` from the time `since` (seconds since 1970) on, in the order of their time."""
        return sorted((entry for entry in self.ledger.entries(key, "effect") if entry["time"] >= since), key=lambda entry: entry["time"])

    def up(self) -> list[str]:
        """Names of the hosts whose beat is active."""
        return [host.name for host in self.hosts if host.unit(BEAT_UNIT, "ActiveState")["ActiveState"] == "active"]

    def processes(self) -> list[int]:
        """Main process of each beat."""
        return [host.main_pid(BEAT_UNIT) for host in self.hosts]

    def control_runs(self, number: int, since: float, **evidence: Any) -> list[dict[str, Any]]:
        """The runs of till-check since then, once there are `number`: somebody sends, and workers work. Fails like `expect` where there are not."""
        return wait_for(
            lambda: found if len(found := self.runs(CONTROL, since)) >= number else None,
            CONTROL_RUNS_SECONDS,
            expected=f"that till-check, due every {CONTROL_SECONDS:g} s, goes on",
            observed=lambda: f"{len(self.runs(CONTROL, since))} runs of it",
            look=LOOK_BEAT,
            **evidence,
        )

    def active(self) -> ObservedHost:
        """The host whose beat sends now."""
        newest = sender(self.control_runs(1, time.time())[-1])
        for host in self.hosts:
            if host.name == newest:
                return host
        return self._only_beats()

    def _only_beats(self) -> ObservedHost:
        """Somebody else sends as well: the host with beat that has sent last."""
        names = {host.name: host for host in self.hosts}
        sent = [sender(run) for run in self.control_runs(4, time.time()) if sender(run) in names]
        if not sent:
            raise NotAsExpectedError("neither of the hosts with beat sends till-check", "one that does", LOOK_BEAT, {})
        return names[sent[-1]]

    def others(self, host: ObservedHost) -> list[ObservedHost]:
        """The hosts with beat but for `host`."""
        return [other for other in self.hosts if other.name != host.name]

    def ask(self, script: str, request: Any = None) -> Any:
        """What `script` prints, run as a program of the application beside the first beat: with its application and its scheduler."""
        command = 'set -a; . /etc/celery/beat.env; exec python -c "$0"'
        ran = self.hosts[0].as_application("sh", "-c", command, _LOAD + script, stdin=json.dumps(request), seconds=PROBE_SECONDS)
        said = ((ran.stdout if ran.code == 0 else ran.stderr).strip().splitlines() or ["nothing"])[-1]
        if ran.code != 0:
            ended = "did not end in time" if ran.code == 124 else f"ended with {ran.code}"
            raise NotAsExpectedError(
                f"a program that reads the schedule as beat does {ended} and said: {said[:300]}",
                "a schedule that can be read",
                LOOK_BEAT,
                {},
            )
        return json.loads(said)

    def settings(self) -> dict[str, Any]:
        """Scheduler, and seconds of beat's loop and of redbeat's lock."""
        found: dict[str, Any] = self.ask(_SETTINGS)
        return found

    @contextmanager
    def lock_freed_on_failure(self) -> Iterator[None]:
        """A killed beat leaves its lock behind. Where nobody has taken over inside the block, the lock is taken away after it: the fault is the
        check's, so its traces are."""
        taken_over = False
        try:
            yield
            taken_over = True
        finally:
            if not taken_over:
                self.ask(_FREE_LOCK)

    def make_overdue(self, name: str, hours: float) -> None:
        """From now on the entry called `name` has run last so many hours ago. Raises NotObservedError where it is due in a moment anyway."""
        due_in = self.ask(_BACKDATE, {"name": name, "hours": hours})["due_in"]
        if due_in < 4 * PROBE_SECONDS:
            raise NotObservedError(f"{name} is due in {due_in:.0f} s by itself, so nothing could be counted; verify again after that")

    def send_at_once(self, name: str, times: int) -> None:
        """Sends the entry called `name` so many times, with the options that beat sends it with."""
        self.ask(_SEND, {"name": name, "times": times})

    def last_run(self, name: str) -> float:
        """When the entry ran last, in seconds since 1970."""
        return float(self.ask(_LAST_RUN, {"name": name}))

    def simulated(self, wanted: list[tuple[str, str, str, int]]) -> list[list[float] | None]:
        """Times of an entry's runs for each name, beginning and end (ISO, with offset) and step in seconds; None where there is no such entry."""
        found: list[list[float] | None] = self.ask(_RUNS, wanted)
        return found


def sender(entry: dict[str, Any]) -> str:
    """Name of the host that sent what left this entry."""
    return str((entry["data"] or {}).get("by"))


@dataclass(frozen=True)
class ScheduleApi:
    """The schedule API under `url`."""

    url: str
    token: str

    def ask(self, method: str, path: str, value: Any = None) -> tuple[int, Any]:
        """Status and value of the answer; status 0 where there is none."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        body = None if value is None else json.dumps(value).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers, method=method), timeout=10) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode(errors="replace")
        except (OSError, HTTPException):
            return 0, "no answer"
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def wait_until_ready(self) -> None:
        """Waits until it answers."""
        wait_for(
            lambda: self.ask("GET", "/entries")[0] == 200,
            READY_SECONDS,
            expected="that GET /entries is answered 200",
            observed=lambda: "the schedule API answered {} {}".format(*self.ask("GET", "/entries")),
            look="celerylab logs 15 api-1 -n 40",
        )
