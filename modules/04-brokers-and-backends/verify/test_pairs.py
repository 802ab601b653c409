"""04.1: four pairs of broker and result backend, where their results are, and how long a task takes with each."""

import json
import uuid
from itertools import permutations
from typing import Any

import pytest
from celery.states import PENDING, SUCCESS
from workers import READY_SECONDS

from celerylab.verify.callers import call, round_trips
from celerylab.verify.credentials import ACCEPTED, try_urls
from celerylab.verify.expect import NotObservedError, expect, wait_for
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.plugin import objective
from celerylab.verify.redis_server import redis_holds
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

REDIS, POSTGRESQL, NOWHERE = "Redis", "PostgreSQL", "the caller alone"
PAIRS = {"redis_redis": REDIS, "rabbitmq_redis": REDIS, "rabbitmq_postgresql": POSTGRESQL, "rabbitmq_rpc": NOWHERE}
ON_RABBITMQ = sorted(pair for pair in PAIRS if pair.startswith("rabbitmq"))
RECORD = "answers/measurements.json"
ROUNDS, TASKS = 9, 5
CLEARLY, CLEAR_ROUNDS = 1.5, 8  # so many times as long, in so many rounds: less is noise on a busy machine
MEASURE = "celerylab hint 04.1"  # the command that measures is longer than a line

# Reads a connection URL and a task's id from standard input; prints how many results PostgreSQL has of it.
COUNT = """
import json, sys
import psycopg
url, task = json.load(sys.stdin)
try:
    with psycopg.connect(url, connect_timeout=3) as connection:
        print(connection.execute("SELECT count(*) FROM celery_taskmeta WHERE task_id = %s", [task]).fetchone()[0])
except psycopg.Error:
    print(0)
"""


@objective("04.1")
def test_every_pair_on_rabbitmq_has_a_queue_of_its_own(rabbitmq_workers: WorkerClient) -> None:
    found: dict[str, set[str]] = {}

    def all_there() -> bool:
        answers = rabbitmq_workers.active_queues()
        found.update({name.split("@")[0]: {queue["name"] for queue in queues} for name, queues in answers.items()})
        return found.keys() >= set(ON_RABBITMQ)

    wait_for(
        all_there,
        READY_SECONDS,
        expected=f"workers {', '.join(ON_RABBITMQ)} on RabbitMQ",
        observed=lambda: f"only {', '.join(sorted(found)) or 'nobody'} answers",
        look="celerylab shell 04 node-1 -- journalctl -u 'celery@*' -n 40",
    )
    readers: dict[str, list[str]] = {}
    for worker, queues in sorted(found.items()):
        for queue in queues:
            readers.setdefault(queue, []).append(worker)
    shared = {queue: workers for queue, workers in readers.items() if len(workers) > 1}
    expect(
        not shared,
        observed="; ".join(f"queue {queue} is read by {', '.join(workers)}" for queue, workers in shared.items()),
        expected="a queue for each pair, because whoever runs a task stores its result",
        look="celerylab shell 04 queue-1 -- rabbitmqctl list_queues name consumers",
        consumers=max(map(len, readers.values())),
    )


@objective("04.1")
@pytest.mark.parametrize("pair", PAIRS)
def test_a_result_is_where_its_pair_says(pair: str, node: ObservedHost, stack: Stack, results_url: str) -> None:
    look = f"celerylab logs 04 -u celery@{pair}"
    token = uuid.uuid4().hex
    answer = call(node, f"settings.{pair}", "celerylab_probe.echo", [token], look)
    expect(
        answer.state == SUCCESS and answer.value == token,
        observed=f"{pair}: an echo of {token} is {answer.state} with {answer.value!r} for its caller",
        expected="SUCCESS with the same text",
        look=look,
        state=answer.state,
    )
    places = [place for place, there in _places(answer.id, node, stack, results_url).items() if there] or [NOWHERE]
    expect(
        places == [PAIRS[pair]],
        observed=f"{pair}: the result is kept by {' and '.join(places)}",
        expected=f"by {PAIRS[pair]}",
        look=look,
        wrong_place=True,
    )
    for_others = PENDING if PAIRS[pair] == NOWHERE else SUCCESS
    expect(
        answer.state_for_another_client == for_others,
        observed=f"{pair}: another client sees {answer.state_for_another_client}",
        expected=f"{for_others}, as for this kind of backend",
        look=look,
    )


@objective("04.1")
def test_postgresql_wants_the_password(node: ObservedHost, stack: Stack) -> None:
    own, *strangers = (_database_url(stack, login) for login in (_login(stack), "celery", "celery:wrong", "postgres", "postgres:postgres"))
    answers = try_urls([own, *strangers], node)
    look = "celerylab shell 04 store-1 -- cat /etc/postgresql/15/main/pg_hba.conf"
    expect(
        answers[own] == ACCEPTED,
        observed=f"on node-1, the workers' own login is {answers[own].replace(_login(stack), 'celery:…')[:200]}",
        expected="that PostgreSQL accepts it (else a refusal of others would mean nothing)",
        look=look,
    )
    accepted = [url for url in strangers if answers[url] == ACCEPTED]
    expect(
        not accepted,
        observed=f"on node-1, PostgreSQL accepts {' and '.join(accepted)}",
        expected="that it refuses who has no password, or a wrong one",
        look=look,
        open_door=bool(accepted),
    )


@objective("04.1")
def test_the_recorded_times_agree_with_a_new_measurement(node: ObservedHost, stack: Stack) -> None:
    recorded = _recorded(stack)
    expect(
        len(recorded) == len(PAIRS),
        observed=f"{RECORD}, as deployed, has a number of milliseconds for {', '.join(recorded) or 'no pair'}",
        expected=f"one for each of {', '.join(PAIRS)}",
        look=MEASURE,
        recorded=len(recorded),
    )
    found = round_trips(
        node, [f"settings.{pair}" for pair in PAIRS], ROUNDS, TASKS, "celerylab shell 04 node-1 -- journalctl -u 'celery@*' -n 40"
    )
    measured = {name.removeprefix("settings."): rounds for name, rounds in found.items()}
    decided = [(fast, slow) for fast, slow in permutations(PAIRS, 2) if _clearly_faster(measured[fast], measured[slow])]
    if not decided:
        raise NotObservedError(
            f"no pair was clearly faster than another one in {CLEAR_ROUNDS} of {ROUNDS} rounds; the machine is too busy to tell"
        )
    wrong = [f"{slow} is no slower than {fast}" for fast, slow in decided if recorded[slow] <= recorded[fast]]
    expect(
        not wrong,
        observed=f"{RECORD} says that {'; '.join(wrong)}. Milliseconds measured now: "
        + "; ".join(f"{pair} {min(rounds):g} to {max(rounds):g}" for pair, rounds in measured.items()),
        expected="the same order wherever the new measurement is clear",
        look=MEASURE,
        contradiction=bool(wrong),
    )


def _clearly_faster(fast: list[float], slow: list[float]) -> bool:
    return sum(slower > CLEARLY * faster for faster, slower in zip(fast, slow, strict=True)) >= CLEAR_ROUNDS


def _recorded(stack: Stack) -> dict[str, float]:
    try:
        content: Any = json.loads(stack.lab_file(RECORD) or "{}")
    except json.JSONDecodeError:
        content = {}
    numbers = content if isinstance(content, dict) else {}
    return {pair: numbers[pair] for pair in PAIRS if isinstance(numbers.get(pair), int | float) and numbers[pair] > 0}


def _places(task: str, node: ObservedHost, stack: Stack, results_url: str) -> dict[str, bool]:
    key = f"celery-task-meta-{task}"
    rows = node.python(COUNT, stdin=json.dumps([_database_url(stack, _login(stack)), task])).strip()
    return {REDIS: redis_holds(results_url, key) or redis_holds(stack.broker_url(), key), POSTGRESQL: rows != "0"}


def _login(stack: Stack) -> str:
    return f"celery:{stack.secrets['database_password']}"


def _database_url(stack: Stack, login: str) -> str:
    return f"postgresql://{login}@store-1:5432/results"
