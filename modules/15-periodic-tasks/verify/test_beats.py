"""15.1 and 15.2: two beats that send once, and one that is killed. 15.6: one that is stopped, and a task that takes longer than its interval."""

import time
from typing import Any

from periodic import BEAT_UNIT, CONTROL, CONTROL_SECONDS, LOOK_BEAT, Beats, sender

from celerylab.verify.expect import expect, lasting, poll, wait_for
from celerylab.verify.faults import unit_stopped, units_killed
from celerylab.verify.plugin import objective
from celerylab.verify.worker import WorkerClient

WINDOW_SECONDS, DUE = 18, 6
CAUGHT_UP_SECONDS = 2 * CONTROL_SECONDS  # after the first run: what waited for workers that were starting has run then
LOCK_SECONDS = 10
TAKEN_OVER_SECONDS = LOCK_SECONDS + 2 * CONTROL_SECONDS
SYNCS = 2
SYNCED_SECONDS = 30
LOOK_STOCK = "celerylab hint 15.6"


@objective("15.1")
def test_two_beats_send_what_one_schedule_says(beats: Beats, worker: WorkerClient) -> None:
    some = beats.control_runs(1, time.time())[0]["time"]
    first = beats.control_runs(1, some + CAUGHT_UP_SECONDS)[0]["time"]
    up = beats.up()
    lasting(first + WINDOW_SECONDS + 1 - time.time(), f"{DUE} runs of an entry that is due every {CONTROL_SECONDS:g} s")
    found = [run for run in beats.runs(CONTROL, first) if first < run["time"] <= first + WINDOW_SECONDS]
    senders = sorted({sender(run) for run in found})
    with worker.timing():
        expect(
            abs(len(found) - DUE) <= 1,
            observed=f"{len(found)} runs of till-check in {WINDOW_SECONDS} s, sent by {', '.join(senders) or 'nobody'}",
            expected=f"{DUE}, one more or less: it is due every {CONTROL_SECONDS:g} s",
            look=LOOK_BEAT,
            senders=len(senders),
            beats_up=len(up),
        )
    expect(
        len(up) == len(beats.hosts) and beats.up() == up,
        observed=f"beat is up on {' and '.join(up) or 'no host'}",
        expected=f"on {' and '.join(host.name for host in beats.hosts)}: one sends, the other is there to take over",
        look="celerylab shell 15 beat-2 -- systemctl status celery-beat",
        senders=len(senders),
        beats_up=len(up),
    )


@objective("15.2")
def test_the_other_beat_takes_over_from_a_killed_one(beats: Beats, worker: WorkerClient) -> None:
    settings = beats.settings()
    active = beats.active()
    killed = time.time()
    with beats.lock_freed_on_failure(), worker.timing(), units_killed(active, BEAT_UNIT):
        run = _sent_by_another(beats, active.name, killed, TAKEN_OVER_SECONDS, "was killed", settings)
    expect(
        run["time"] - killed <= TAKEN_OVER_SECONDS,
        observed=f"the next run came after {run['time'] - killed:.1f} s",
        expected=f"within {TAKEN_OVER_SECONDS:g} s",
        look=LOOK_BEAT,
        **settings,
    )


@objective("15.6")
def test_the_other_beat_takes_over_from_a_stopped_one(beats: Beats, worker: WorkerClient) -> None:
    settings = beats.settings()
    active = beats.active()
    with worker.timing(), unit_stopped(active, BEAT_UNIT):
        _sent_by_another(beats, active.name, time.time(), LOCK_SECONDS, "was stopped", {**settings, "handover": False})


@objective("15.6")
def test_a_task_that_takes_longer_than_its_interval_never_overlaps(beats: Beats, worker: WorkerClient) -> None:
    slots = sum(int(stats["pool"]["max-concurrency"]) for stats in worker.stats().values())
    expect(slots >= 2, observed=f"{slots} slots", expected="2 or more, else nothing could overlap", look=LOOK_STOCK, slots=slots)
    since = time.time()
    # Beat's own may all come to one host, where a lock of that host is enough; so many at once come to each.
    beats.send_at_once("stock-sync", slots)
    found: list[tuple[float, float]] = []

    def complete() -> int:
        return sum(end != float("inf") for _, end in found)

    def enough_or_overlap() -> bool:
        found[:] = _intervals(beats, since)
        return complete() >= SYNCS or _overlaps(found) > 0

    expect(
        poll(enough_or_overlap, SYNCED_SECONDS),
        observed=f"{complete()} complete runs in {SYNCED_SECONDS} s",
        expected=f"{SYNCS} complete runs of stock-sync, which is due every 2 s and takes 4 s",
        look=LOOK_STOCK,
        completed=complete(),
    )
    expect(
        _overlaps(found) == 0,
        observed=f"{_overlaps(found)} of {len(found)} runs of stock-sync began while another one was running",
        expected="none",
        look=LOOK_STOCK,
        overlaps=_overlaps(found),
    )


def _sent_by_another(beats: Beats, name: str, since: float, seconds: float, how: str, evidence: dict[str, Any]) -> dict[str, Any]:
    """The first run of till-check that another beat than `name` has sent."""
    others = {host.name for host in beats.hosts} - {name}
    return wait_for(
        lambda: next((run for run in beats.runs(CONTROL, since) if sender(run) in others), None),
        seconds,
        expected=f"that {' or '.join(sorted(others))} sends till-check within {seconds:g} s",
        observed=f"the beat of {name} {how}, and nobody else has sent it",
        look=LOOK_BEAT,
        **evidence,
    )


def _intervals(beats: Beats, since: float) -> list[tuple[float, float]]:
    """Start and end of each run of stock-sync that began after `since`; infinity for one that still runs."""
    entries = [entry for entry in beats.ledger.entries("stock") if entry["time"] >= since and entry["data"]]
    ends = {entry["data"]["run"]: entry["time"] for entry in entries if entry["kind"] == "end"}
    return sorted((entry["time"], ends.get(entry["data"]["run"], float("inf"))) for entry in entries if entry["kind"] == "start")


def _overlaps(intervals: list[tuple[float, float]]) -> int:
    """How many began before one of those before them had ended."""
    return sum(any(end > start for _, end in intervals[:index]) for index, (start, _) in enumerate(intervals))
