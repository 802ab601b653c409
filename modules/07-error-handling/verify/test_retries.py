"""07.1 and 07.2: when the provider has a bad minute, when it has a bad day, and when it says no."""

import time
from statistics import mean, quantiles

from celery.states import FAILURE, SUCCESS

from celerylab.verify.expect import expect, lasting, wait_for
from celerylab.verify.http_stub import Behaviour, Call, HttpStub
from celerylab.verify.plugin import objective
from celerylab.verify.rabbitmq import RabbitClient
from celerylab.verify.worker import WorkerClient

TASK = "payments.charge"
DEAD = "shop.dead"
LOOK = "celerylab logs 07 -n 60"

TASKS = 20
LONGEST_WAIT = 4  # seconds between two calls that a retry may ask for
SLACK = 1  # and so much longer the next call may take to arrive
# Jitter is chance, so that means over 20 tasks prove little: batches go on until the ratio is clear.
BATCH, BATCHES = 64, 4
PER_SECOND = 8
GROWTH, CLEARLY_NOT = 1.5, 1.2
SPREAD = 0.2  # seconds between the 10th and the 90th of a hundred first waits; without jitter it is some hundredths
MOST_RETRIES = 8
EXHAUSTED_SECONDS = 45  # 8 retries of 4 s, and some


@objective("07.1")
def test_a_provider_that_fails_twice_is_called_three_times_and_the_charge_succeeds(shop: WorkerClient, stub: HttpStub, run: str) -> None:
    tasks = _charge_all(shop, stub, run, TASKS)
    for key, task in tasks.items():
        result = shop.outcome(task, 30, LOOK)
        expect(
            result.state == SUCCESS,
            observed=f"{TASK} of {key} ended {result.state} with {result.result!r} after {_count(stub, key)} calls",
            expected="SUCCESS: the provider failed twice with 503, and the third call would have worked",
            look=LOOK,
            state=result.state,
            calls=_count(stub, key),
        )
    _expect_three_calls(stub.calls(run), tasks)


@objective("07.1")
def test_waits_grow_differ_and_have_an_end(shop: WorkerClient, stub: HttpStub, run: str) -> None:
    with shop.timing():
        _expect_waits(shop, stub, run)


@objective("07.2")
def test_the_number_of_retries_has_a_limit(shop: WorkerClient) -> None:
    _declared_limit(shop)


@objective("07.2")
def test_a_refusal_is_final_and_a_provider_that_stays_down_is_called_as_often_as_declared(
    shop: WorkerClient, stub: HttpStub, rabbit: RabbitClient, run: str
) -> None:
    allowed = 1 + _declared_limit(shop)
    refused, down = f"{run}refused", f"{run}down"
    stub.behave([refused], Behaviour(status=400))
    stub.behave([down], Behaviour(status=503))
    task_down, task_refused = shop.send(TASK, down, 700), shop.send(TASK, refused, 700)
    try:
        # While the other one is called again and again, a refusal that would be called again has the time for it.
        ended = shop.outcome(task_down, EXHAUSTED_SECONDS, LOOK)
        asked = _count(stub, down)
        expect(
            ended.state == FAILURE and asked == allowed,
            observed=f"with a provider that always answers 503, {TASK} ended {ended.state} after {asked} calls",
            expected=f"FAILURE after exactly {allowed}: the first one and as many as max_retries says",
            look=LOOK,
            state=ended.state,
            calls=asked,
        )
        final = shop.outcome(task_refused, EXHAUSTED_SECONDS, LOOK)
        asked = _count(stub, refused)
        expect(
            final.state == FAILURE and asked == 1,
            observed=f"with a provider that answers 400, {TASK} ended {final.state} after {asked} calls",
            expected="FAILURE after one call: the same request will be refused again",
            look=LOOK,
            refused_state=final.state,
            refused_calls=asked,
        )
    finally:
        stub.heal([refused, down])  # a task without a limit ends when the provider does not fail any more
        rabbit.remove(DEAD, [task_down.id, task_refused.id])


def _declared_limit(shop: WorkerClient) -> int:
    """max_retries of the task, as the running worker declares it; fails where that is no sensible number."""
    limits = wait_for(
        lambda: shop.declared(TASK, "max_retries"),
        15,
        expected=f"a worker that has registered {TASK}",
        observed="no worker says so",
        look=LOOK,
    )
    numbers = [int(limit) for limit in limits.values() if limit is not None]
    expect(
        len(numbers) == len(limits) and all(2 <= number <= MOST_RETRIES for number in numbers),
        observed=f"max_retries of {TASK} is {' and '.join(str(limit) for limit in limits.values())}",
        expected=f"a number from 2 to {MOST_RETRIES}; None means for ever",
        look="celerylab logs 07",
        max_retries=" ".join(str(limit) for limit in limits.values()),
    )
    return max(numbers)


def _charge_all(shop: WorkerClient, stub: HttpStub, prefix: str, count: int) -> dict[str, object]:
    """Sends `count` charges, evenly, to a provider that fails the first two calls of each."""
    keys = [f"{prefix}{number}" for number in range(count)]
    stub.behave(keys, Behaviour(status=503, times=2))
    tasks: dict[str, object] = {}
    started = time.monotonic()
    for number, key in enumerate(keys):
        lasting(max(0.0, started + number / PER_SECOND - time.monotonic()), "callers come one after the other, evenly")
        tasks[key] = shop.send(TASK, key, 700)
    return tasks


def _expect_waits(shop: WorkerClient, stub: HttpStub, run: str) -> None:
    """That waits grow, have an end, and differ."""
    waits: list[tuple[float, float]] = []
    for batch in range(BATCHES):
        waits += _waits(shop, stub, f"{run}{batch}-")
        ratio = mean(second for _, second in waits) / mean(first for first, _ in waits)
        if ratio >= GROWTH or ratio < CLEARLY_NOT:
            break
    firsts, seconds = [first for first, _ in waits], [second for _, second in waits]
    longest = max(firsts + seconds)
    expect(
        longest <= LONGEST_WAIT + SLACK,
        observed=f"the longest wait between two calls was {longest:.1f} s",
        expected=f"at most {LONGEST_WAIT} s between two attempts, and {SLACK} s for the way",
        look=LOOK,
        longest_wait=round(longest, 2),
    )
    expect(
        ratio >= GROWTH,
        observed=f"over {len(waits)} charges the first wait was {mean(firsts):.2f} s and the second {mean(seconds):.2f} s on average",
        expected=f"a second wait of at least {GROWTH} times the first: a provider that is still down gets more time",
        look=LOOK,
        growth=round(ratio, 2),
        first_wait=round(mean(firsts), 2),
        second_wait=round(mean(seconds), 2),
    )
    spread = _spread(firsts)
    expect(
        spread >= SPREAD,
        observed=f"eight of ten first waits are within {spread:.2f} s of each other, around {mean(firsts):.2f} s",
        expected=f"waits that differ, by {SPREAD} s and more: else all that failed together comes back together",
        look=LOOK,
        spread=round(spread, 2),
    )


def _waits(shop: WorkerClient, stub: HttpStub, prefix: str) -> list[tuple[float, float]]:
    """First and second wait of each of a batch of charges, by the clock of the provider."""
    tasks = _charge_all(shop, stub, prefix, BATCH)

    def all_done() -> dict[str, list[Call]] | None:
        calls = stub.calls(prefix)
        return calls if len(calls) == BATCH and all(one[-1].status == 200 for one in calls.values()) else None

    calls = wait_for(
        all_done,
        4 * (LONGEST_WAIT + SLACK),
        expected=f"{BATCH} charges that the provider has accepted at the third call",
        observed=lambda: f"{sum(one[-1].status == 200 for one in stub.calls(prefix).values())} of {BATCH} were accepted",
        look=LOOK,
    )
    _expect_three_calls(calls, tasks)
    return [(one[1].time - one[0].time, one[2].time - one[1].time) for one in calls.values()]


def _expect_three_calls(calls: dict[str, list[Call]], tasks: dict[str, object]) -> None:
    counts = sorted({len(calls.get(key, [])) for key in tasks})
    expect(
        counts == [3],
        observed=f"charges with {' or '.join(str(count) for count in counts)} calls to a provider that fails twice",
        expected="exactly 3 calls each: two that fail, one that works, and none after that",
        look=LOOK,
        calls=max(counts),
    )


def _count(stub: HttpStub, key: str) -> int:
    return len(stub.calls(key).get(key, []))


def _spread(values: list[float]) -> float:
    tenths = quantiles(values, n=10)
    return tenths[-1] - tenths[0]
