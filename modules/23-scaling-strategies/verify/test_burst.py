"""23.1, 23.2 and 23.3: a pool that follows its load, and what becomes of the tasks meanwhile. All three look at one burst."""

from burst import ENOUGH, FALL_SECONDS, LINGER_SECONDS, LONG, LONG_SECONDS, RISE_SECONDS, TASKS, Burst
from pool import Pool

from celerylab.verify.expect import expect
from celerylab.verify.plugin import objective

MOST_AT_REST = 2
LOOK = "celerylab status 23"
LOOK_LOG = "celerylab logs 23 worker"


@objective("23.1")
def test_a_burst_brings_pods_and_they_go_after_it(burst: Burst, pool: Pool) -> None:
    seen = burst.record()
    expect(
        1 <= seen.rest <= MOST_AT_REST,
        observed=f"with nothing to do {seen.rest} pods are wanted",
        expected=f"1 or {MOST_AT_REST}: what costs money at night is what is there without work",
        look=LOOK,
        rest=seen.rest,
    )
    expect(
        seen.rose_after is not None,
        observed=f"{TASKS} tasks brought {seen.rest} pods to at most {seen.peak} ready ones in {RISE_SECONDS} s",
        expected=f"at least {ENOUGH} ready pods by then",
        look=LOOK,
        peak=seen.peak,
        scaled=bool(pool.scaled_objects()),
    )
    expect(
        seen.fell_after is not None,
        observed=f"{FALL_SECONDS} s after the last task {seen.after} pods are wanted",
        expected=f"{seen.allowed}, as nothing else is left to do",
        look=LOOK,
        after=seen.after,
    )


@objective("23.2")
def test_each_task_starts_once_and_ends_once_while_the_pool_grows_and_shrinks(burst: Burst) -> None:
    seen = burst.record()
    unfinished = sum(not seen.ends[key] for key in seen.keys)
    repeated = sum(seen.starts[key] > 1 or seen.ends[key] > 1 for key in seen.keys)
    expect(
        len(seen.keys) == TASKS and not unfinished and not repeated,
        observed=f"of {len(seen.keys)} tasks {unfinished} did not end, and {repeated} started or ended more than once, in {seen.peak} pods",
        expected=f"one start and one end of each of {TASKS}, also in pods that were told to stop",
        look=LOOK_LOG,
        unfinished=unfinished,
        repeated=repeated,
    )


@objective("23.2")
def test_what_runs_is_still_the_brokers(burst: Burst) -> None:
    seen = burst.record()
    expect(
        seen.unacknowledged >= LONG,
        observed=f"while {LONG} tasks were running and none was waiting, the broker kept {seen.unacknowledged} messages that were not acknowledged",
        expected=f"{LONG}: who loses a pod has the tasks that it was doing",
        look="celerylab shell 23 worker -- celery --app shop inspect conf",
        unacked=seen.unacknowledged,
    )


@objective("23.2")
def test_a_pod_that_is_told_to_stop_goes_when_it_has_nothing_to_do(burst: Burst) -> None:
    lingered = burst.record().lingered()
    longest = max(lingered.values(), default=0.0)
    expect(
        lingered and longest <= LINGER_SECONDS,
        observed=f"of {len(lingered)} pods that were told to stop one was still there after {longest:.0f} s with nothing to do",
        expected=f"that each is gone after at most {LINGER_SECONDS} s: its worker hears that it is to stop, and stops",
        look=LOOK_LOG,
        lingered=round(longest, 1),
    )


@objective("23.3")
def test_the_pool_shrinks_while_long_tasks_run_and_not_below_them(burst: Burst) -> None:
    seen = burst.record()
    wanted = [moment.wanted for moment in seen.while_long_ones_run]
    expect(
        wanted and min(wanted) >= seen.needed,
        observed=f"while {LONG} tasks of {LONG_SECONDS} s were running and no message waited, only {min(wanted, default=0)} pods were wanted",
        expected=f"never fewer than {seen.needed}: what runs is load as well",
        look=LOOK,
        least=min(wanted, default=0),
    )
    busy = sum(told.busy for told in seen.told.values())
    expect(
        max(wanted) > min(wanted) and max(wanted) >= 2 and busy,
        observed=f"meanwhile {max(wanted)} to {min(wanted)} pods were wanted, and {busy} busy ones were told to stop",
        expected="that idle pods are given up after a while, and that it can hit a busy one",
        look=LOOK,
        told=busy,
    )


@objective("23.3")
def test_a_long_task_in_a_pod_that_has_to_go_starts_once_and_completes(burst: Burst) -> None:
    seen = burst.record()
    starts, ends = (sum(count[key] for key in seen.long_keys) for count in (seen.starts, seen.ends))
    told = sum(told.busy for told in seen.told.values())
    expect(
        starts == ends == LONG,
        observed=f"{LONG} tasks of {LONG_SECONDS} s had {starts} starts and {ends} ends; {told} of their pods were told to stop",
        expected=f"{LONG} starts and {LONG} ends: a pod that is told to stop has the time to finish",
        look=LOOK_LOG,
        long_starts=starts,
        long_ends=ends,
    )
