"""15.5: entries that come and go while beat runs."""

import time
import uuid

from periodic import CONTROL, Beats, ScheduleApi

from celerylab.verify.expect import expect, wait_for
from celerylab.verify.plugin import objective

TASK = "reminders.remind"
EVERY_SECONDS = 2
RUNS_SECONDS = 20
GOES_ON = 2  # runs of till-check
SENT_SECONDS = 2  # after which a task that was sent has run
LOOK_API = "celerylab logs 15 api-1 -n 40"
# Wrong fields, too few, no numbers, and what Celery's parser has an exception of its own for.
NOT_CRONTABS = ("61 * * * *", "* * * *", "every monday at noon please", "1,,2 * * * *")


@objective("15.5")
def test_entries_come_and_go_without_a_restart(beats: Beats, api: ScheduleApi) -> None:
    name = f"observer-{uuid.uuid4().hex[:8]}"
    bad = [f"{name}-{number}" for number in range(len(NOT_CRONTABS))]
    key = f"reminder-{name}"
    api.wait_until_ready()
    beats.control_runs(1, time.time())
    processes = beats.processes()
    try:
        status, answer = api.ask("POST", "/entries", {"name": name, "task": TASK, "schedule": {"every": EVERY_SECONDS}, "args": [name]})
        expect(status == 201, observed=f"POST /entries was answered {status} {answer}"[:300], expected="201", look=LOOK_API, status=status)
        wait_for(
            lambda: len(beats.runs(key, 0)) >= 2,
            RUNS_SECONDS,
            expected=f"that the new entry, due every {EVERY_SECONDS} s, runs",
            observed=lambda: f"{len(beats.runs(key, 0))} runs of it; the processes of beat were {processes} and are {beats.processes()}",
            look=LOOK_API,
        )
        for wrong, crontab in zip(bad, NOT_CRONTABS, strict=True):
            status, answer = api.ask("POST", "/entries", {"name": wrong, "task": TASK, "schedule": {"crontab": crontab}, "args": [wrong]})
            expect(
                400 <= status < 500,
                observed=f"an entry with the crontab {crontab!r} was answered {status} {answer}"[:300],
                expected="400, or another 4xx: the mistake is the caller's",
                look=LOOK_API,
                bad_status=status,
            )
        since = time.time()
        beats.control_runs(GOES_ON, since)
        wait_for(
            lambda: beats.runs(key, since),
            RUNS_SECONDS,
            expected="that all other entries go on",
            observed="after bad crontabs, the entry that was added before does not run any more",
            look=LOOK_API,
        )
        status, answer = api.ask("DELETE", f"/entries/{name}")
        expect(200 <= status < 300, observed=f"DELETE /entries/{name} was answered {status} {answer}"[:300], expected="204", look=LOOK_API)
        settled = time.time() + SENT_SECONDS
        beats.control_runs(GOES_ON + 1, settled)
        after = len(beats.runs(key, settled))
        expect(
            after == 0,
            observed=f"{after} runs of an entry that was deleted, while till-check ran {len(beats.runs(CONTROL, settled))} times",
            expected="none",
            look=LOOK_API,
            runs_after_delete=after,
        )
        expect(
            beats.processes() == processes,
            observed=f"the processes of beat were {processes} and are {beats.processes()}",
            expected="that nobody restarts beat for it",
            look="celerylab logs 15 beat-1 -n 40",
        )
    finally:
        for added in (name, *bad):
            api.ask("DELETE", f"/entries/{added}")
