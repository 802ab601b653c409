"""07.3 and 07.4: where failed tasks are kept, and how they come back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.result import AsyncResult
from celery.states import READY_STATES, SUCCESS

from celerylab.verify.expect import expect, wait_for
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.http_stub import Behaviour, HttpStub
from celerylab.verify.plugin import objective
from celerylab.verify.rabbitmq import Message, RabbitClient
from celerylab.verify.worker import WorkerClient

TASK = "payments.charge"
QUEUE, DEAD = "shop", "shop.dead"
LOOK = "celerylab shell 07 node-1 -- rabbitmqctl list_queues name policy messages"
ENDED_SECONDS = 45  # as long as a task may take to use up its retries
DEAD_SECONDS = 8
REASONS = {"rejected", "delivery_limit"}
COUNT, FIRST = 5, 2  # messages to bring back, and how many of them at the first time


@objective("07.3")
def test_exhausted_and_refused_charges_are_kept_and_successes_are_not(
    shop: WorkerClient, stub: HttpStub, rabbit: RabbitClient, run: str
) -> None:
    exists = rabbit.depth(DEAD) is not None
    expect(exists, observed=f"there is no queue {DEAD}", expected="a queue that keeps what failed", look=LOOK, dead_queue=exists)
    down, refused, good = f"{run}down", f"{run}refused", [f"{run}good-{number}" for number in range(3)]
    with _failing(stub, {down: 503, refused: 400}):
        failing = {key: shop.send(TASK, key, 700) for key in (down, refused)}
        working = [shop.send(TASK, key, 700) for key in good]
        for task in working:
            result = shop.outcome(task, 15, "celerylab logs 07")
            expect(
                result.state == SUCCESS,
                observed=f"a charge that the provider accepts ended {result.state}",
                expected="SUCCESS, whatever becomes of others",
                look="celerylab logs 07",
            )
        dead = _dead(shop, rabbit, failing)
    try:
        _expect_a_death(dead, failing)
        _expect_no_success(rabbit.messages(DEAD), {task.id for task in working})
    finally:
        rabbit.remove(DEAD, [task.id for task in failing.values()])


@objective("07.4")
def test_replay_brings_back_as_many_as_asked_and_they_succeed(
    shop: WorkerClient, stub: HttpStub, rabbit: RabbitClient, node: ObservedHost, run: str
) -> None:
    rabbit.purge(DEAD)  # what others left there would be brought back first
    keys = [f"{run}{number}" for number in range(COUNT)]
    with _failing(stub, dict.fromkeys(keys, 400)):
        _dead(shop, rabbit, {key: shop.send(TASK, key, 700) for key in keys})
    before = {key: len(calls) for key, calls in stub.calls(run).items()}
    _replay(node, str(FIRST))
    _expect_accepted(stub, rabbit, run, FIRST, f"after `python -m shop.replay {FIRST}`")
    _replay(node)
    _expect_accepted(stub, rabbit, run, COUNT, "after `python -m shop.replay`")
    again = {key: len(calls) - before[key] for key, calls in stub.calls(run).items()}
    expect(
        set(again.values()) == {1},
        observed=f"after the replays, payments were charged {', '.join(str(count) for count in sorted(set(again.values())))} times again",
        expected="once each: a message that is moved is in one queue, not in two",
        look=LOOK,
        most_charges=max(again.values()),
    )
    ran = _replay(node)
    expect(rabbit.depth(DEAD) == 0, observed=f"an empty queue was replayed: {ran}", expected="nothing to do, and no error", look=LOOK)


@contextmanager
def _failing(stub: HttpStub, statuses: dict[str, int]) -> Iterator[None]:
    """The provider fails these keys inside the block, each with its status, and is healthy after it."""
    for key, status in statuses.items():
        stub.behave([key], Behaviour(status=status))
    try:
        yield
    finally:
        stub.heal(statuses)


def _dead(shop: WorkerClient, rabbit: RabbitClient, failing: dict[str, AsyncResult]) -> list[Message]:
    """The dead messages of these tasks, once there is one of each."""
    ids = {task.id for task in failing.values()}

    def found() -> list[Message]:
        return [message for message in rabbit.messages(DEAD) if message.task_id in ids]

    def complete() -> list[Message] | None:
        messages = found()
        return messages if {message.task_id for message in messages} == ids else None

    def missing() -> str:
        there = {message.task_id for message in found()}
        keys = [key for key, task in failing.items() if task.id not in there]
        return f"in {DEAD} there is no message of {len(keys)} of {len(failing)} failed charges ({', '.join(keys)})"

    def ended() -> bool:
        return all(shop.state(task) in READY_STATES for task in failing.values())

    # A task may take long to use up its retries; once it has failed, its message is dead at once or never.
    texts: dict[str, Any] = {
        "expected": f"the message of each charge that was refused, or used up its retries, in {DEAD}",
        "observed": missing,
        "look": LOOK,
    }
    wait_for(lambda: complete() or ended(), ENDED_SECONDS, every=0.5, dead_queue=True, dead=0, **texts)
    return wait_for(complete, DEAD_SECONDS, every=0.5, dead_queue=True, dead=0, **texts)


def _expect_a_death(dead: list[Message], failing: dict[str, AsyncResult]) -> None:
    records = [(message.deaths[0]["queue"], message.deaths[0]["reason"]) if message.deaths else None for message in dead]
    expect(
        records and all(record and record[0] == QUEUE and record[1] in REASONS for record in records),
        observed=f"x-death of the messages says {', '.join(str(record) for record in records)}",
        expected=f"that RabbitMQ moved them from {QUEUE}, because they were rejected: a copy that a task sends knows nothing of its death",
        look=LOOK,
        dead=len(dead),
        x_death=all(records),
    )
    expect(
        len(dead) == len(failing),
        observed=f"{len(dead)} dead messages of {len(failing)} failed charges",
        expected="one of each: an attempt that will be repeated is not dead",
        look=LOOK,
        dead=len(dead),
        x_death=True,
    )


def _expect_no_success(messages: list[Message], worked: set[str]) -> None:
    buried = [message for message in messages if message.task_id in worked]
    expect(
        not buried,
        observed=f"{len(buried)} charges that succeeded are in {DEAD}",
        expected="none of them",
        look=LOOK,
        buried=len(buried),
    )


def _replay(node: ObservedHost, *count: str) -> str:
    ran = node.as_application("python", "-m", "shop.replay", *count)
    said = (ran.stdout + ran.stderr).strip().splitlines()[-1:] or ["nothing"]
    expect(
        ran.code == 0,
        observed=f"`python -m shop.replay {' '.join(count)}`".rstrip(" `") + f"` ended with {ran.code} and said: {said[0]}",
        expected="a command that ends with 0",
        look="celerylab shell 07 node-1",
        replay_code=ran.code,
    )
    return said[0]


def _expect_accepted(stub: HttpStub, rabbit: RabbitClient, run: str, count: int, when: str) -> None:
    """That exactly `count` of the charges have been accepted, and the others still wait among the dead."""

    def state() -> tuple[int, int | None]:
        return sum(calls[-1].status == 200 for calls in stub.calls(run).values()), rabbit.depth(DEAD)

    wait_for(
        lambda: state() == (count, COUNT - count),
        10,
        expected=f"{count} payments accepted and {COUNT - count} messages left in {DEAD}",
        observed=lambda: f"{when}, the provider has accepted {state()[0]} of {COUNT} payments and {state()[1]} messages are in {DEAD}",
        look=LOOK,
        replay_code=0,
        asked=count,
    )
