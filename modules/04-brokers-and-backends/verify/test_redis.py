"""04.3, 04.4 and 04.5: what Redis keeps, how workers live through its absence, and when a message counts as abandoned."""

import uuid
from contextlib import suppress
from typing import Any

from redis.exceptions import OutOfMemoryError
from workers import LONGEST_SECONDS, READY_SECONDS, REDIS_WORKERS, unit

from celerylab.verify.callers import Refused, Sent, call, publish, published
from celerylab.verify.expect import expect, lasting, wait_for
from celerylab.verify.faults import outlast_attempts, process_frozen, process_killed, started_afterwards, unit_stopped
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.plugin import objective
from celerylab.verify.redis_server import abandon_message, redis_client, redis_holds, redis_info, redis_length
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient, broker_errors

SETTINGS = "settings.redis_redis"
MESSAGES = 10
EVERYSEC_SECONDS = 2  # appendfsync everysec may lose the last second; the objective grants two
MEGABYTE = 2**20
LIMITS = range(32 * MEGABYTE, 100 * MEGABYTE + 1)
RESCUED_SECONDS = 15
ATTEMPTS = 2
LONGEST_SOCKET_TIMEOUT = 5
HANGING_SECONDS = 20  # a caller with such a timeout has given up long before, on a busy machine as well
LOOK_CONF = "celerylab shell 04 node-1 -- cat /etc/redis/local.conf"
LOOK_WORKER = "celerylab logs 04 -u celery@redis_redis"
LOOK_BOTH = "celerylab shell 04 node-1 -- journalctl -u celery@redis_redis -u celery@spare -n 40"


@objective("04.3")
def test_messages_that_wait_outlive_a_kill_of_redis(node: ObservedHost, stack: Stack, ledger: LedgerReader) -> None:
    url = stack.broker_url()
    keys = [f"04.3-{uuid.uuid4().hex}-{number}" for number in range(MESSAGES)]
    with unit_stopped(node, *REDIS_WORKERS):
        queue = _published(node, [], LOOK_CONF).queue
        with broker_errors(), redis_client(url) as client:
            client.delete(queue)
        _published(node, [[key, 1] for key in keys], LOOK_CONF)
        expect(
            redis_length(url, queue) == MESSAGES,
            observed=f"{redis_length(url, queue)} of {MESSAGES} messages wait in {queue} although no worker runs",
            expected=f"all {MESSAGES} (else their survival would mean nothing)",
            look=LOOK_CONF,
        )
        lasting(EVERYSEC_SECONDS, "appendfsync everysec may lose what is younger than a second; the objective says 2 s")
        with process_killed(node, node.main_pid(stack.broker.unit), stack.broker.unit):
            survived = _length_when_back(url, queue, node, stack)
        info = redis_info(url)
        aof = bool(info["aof_enabled"])
        expect(
            survived == MESSAGES and aof,
            observed=f"after a SIGKILL of redis-server {survived} of {MESSAGES} messages are left (append-only file: {'on' if aof else 'off'})",
            expected=f"all {MESSAGES}, and the append-only file on",
            look=LOOK_CONF,
            survived=survived,
            aof=aof,
        )
    wait_for(
        lambda: {entry["key"] for entry in ledger.entries(kind="effect")} >= set(keys),
        READY_SECONDS,
        expected="the tasks run once the workers are back",
        observed="not all of them have run",
        look=LOOK_BOTH,
    )


@objective("04.3")
def test_redis_refuses_at_its_limit_and_drops_nothing(node: ObservedHost, stack: Stack) -> None:
    url = stack.broker_url()
    info = redis_info(url)
    policy, limit = info["maxmemory_policy"], info["maxmemory"]
    expect(
        policy == "noeviction" and limit in LIMITS,
        observed=f"maxmemory is {limit // MEGABYTE} MB with the policy {policy}",
        expected="a limit between 32 and 100 MB, and the policy noeviction",
        look=LOOK_CONF,
        policy=policy,
        maxmemory=limit,
    )
    with unit_stopped(node, *REDIS_WORKERS):
        aside = f"04.3-{uuid.uuid4().hex}"
        with broker_errors(), redis_client(url) as client:
            client.rpush(aside, *range(MESSAGES))
            refused, fillers = _fill(client, aside, 2 * limit // MEGABYTE)
            left = client.llen(aside)
            client.delete(aside, *fillers)
    expect(
        refused and left == MESSAGES,
        observed=f"after {len(fillers)} MB more, {'Redis refused to take more' if refused else 'Redis still takes more'}, "
        f"and of a list of {MESSAGES} it has {left}",
        expected="a refusal at the limit, and nothing dropped",
        look=LOOK_CONF,
        refused=refused,
    )


@objective("04.4")
def test_workers_consume_again_after_an_outage(node: ObservedHost, worker: WorkerClient, stack: Stack, ledger: LedgerReader) -> None:
    _both_ready(worker)
    before = {name: node.main_pid(name) for name in REDIS_WORKERS}
    with started_afterwards(node, *REDIS_WORKERS):
        with unit_stopped(node, stack.broker.unit):
            outlast_attempts(node, before, ATTEMPTS, READY_SECONDS / 2, since=node.check_output("date +%s"))
        key = f"04.4-{uuid.uuid4().hex}"
        _published(node, [[key, 1]], LOOK_WORKER)
        wait_for(
            lambda: ledger.entries(key, "effect") and len(_redis_workers(worker)) == len(REDIS_WORKERS),
            READY_SECONDS,
            expected=f"workers that run tasks again within {READY_SECONDS} s",
            observed=lambda: f"Redis is back; {', '.join(_redis_workers(worker)) or 'nobody'} answers",
            look=LOOK_WORKER,
            **_restarts(node, before),
        )
        facts = _restarts(node, before)
        after = {name: node.main_pid(name) for name in REDIS_WORKERS}
        expect(
            after == before,
            observed="; ".join(f"{name} was process {pid} and is {after[name]}" for name, pid in before.items() if after[name] != pid),
            expected="the same processes as before the outage, which waited",
            look=LOOK_WORKER,
            **facts,
        )


@objective("04.5")
def test_a_task_of_the_longest_length_starts_once(node: ObservedHost, worker: WorkerClient, stack: Stack, ledger: LedgerReader) -> None:
    _both_ready(worker)
    key, abandoned = (f"04.5-{uuid.uuid4().hex}" for _ in range(2))
    queue = _published(node, [[LONGEST_SECONDS, key]], LOOK_BOTH, "celerylab_probe.sleep").queue
    wait_for(lambda: ledger.entries(key, "start"), READY_SECONDS, expected="the start of a task", look=LOOK_BOTH)
    # Positive control: workers do look for messages of the dead, and soon. Were they not looking, one start would mean nothing.
    abandon_message(stack.broker_url(), queue, "celerylab_probe.mark", [abandoned, 1])
    wait_for(
        lambda: len(ledger.entries(key, "end")) > 0,
        LONGEST_SECONDS + READY_SECONDS,
        expected=f"the end of a task of {LONGEST_SECONDS} s",
        look=LOOK_BOTH,
    )
    starts = len(ledger.entries(key, "start"))
    expect(
        starts == 1,
        observed=f"a task of {LONGEST_SECONDS} s was started {starts} times before its first run had ended",
        expected="one start: its message is given to nobody else while it runs",
        look=LOOK_BOTH,
        starts=starts,
    )
    wait_for(
        lambda: ledger.entries(abandoned, "effect"),
        RESCUED_SECONDS,
        expected="a message that a dead worker left behind is taken up by another one",
        observed="it was not taken up",
        look=LOOK_BOTH,
        rescued=False,
    )


@objective("04.5")
def test_workers_transport_options_fit(worker: WorkerClient) -> None:
    _both_ready(worker)
    for name, stats in sorted(worker.stats().items()):
        options: dict[str, Any] = stats["broker"]["transport_options"]
        visibility, timeout = options.get("visibility_timeout", 3600), options.get("socket_timeout")
        expect(
            visibility > LONGEST_SECONDS and timeout is not None and 0 < timeout <= LONGEST_SOCKET_TIMEOUT,
            observed=f"{name} has visibility_timeout {visibility} and socket_timeout {timeout}",
            expected=f"a visibility_timeout above {LONGEST_SECONDS}, and a socket_timeout of at most {LONGEST_SOCKET_TIMEOUT}",
            look="celerylab shell 04 node-1 -- cat /opt/celery/current/settings/redis_redis.py",
            visibility_timeout=visibility,
            socket_timeout=timeout or 0,
        )


@objective("04.5")
def test_a_sender_gives_up_on_a_redis_that_does_not_answer(node: ObservedHost, worker: WorkerClient, stack: Stack) -> None:
    _published(node, [["somebody hears"]], LOOK_WORKER, "celerylab_probe.echo")  # positive control: while Redis answers, all is well
    with process_frozen(node, node.main_pid(stack.broker.unit)):
        answer = publish(node, SETTINGS, "celerylab_probe.echo", [["nobody hears"]], LOOK_WORKER, HANGING_SECONDS, retry=False)
    expect(
        isinstance(answer, Refused),
        observed=f"a sender's message was taken by a Redis that stood still: {answer}",
        expected="an error for the sender, after its socket_timeout",
        look="celerylab shell 04 node-1 -- cat /opt/celery/current/settings/redis_redis.py",
    )
    _both_ready(worker)


@objective("04.5")
def test_results_are_kept_by_another_redis(node: ObservedHost, stack: Stack, results_url: str) -> None:
    answer = call(node, SETTINGS, "celerylab_probe.echo", ["where"], LOOK_WORKER)
    key = f"celery-task-meta-{answer.id}"
    here, there = redis_holds(stack.broker_url(), key), redis_holds(results_url, key)
    expect(
        there and not here,
        observed=f"the result of a task is in the broker's Redis: {here}; in the one on store-1: {there}",
        expected="only in the one on store-1",
        look="celerylab shell 04 node-1 -- cat /opt/celery/current/settings/redis_redis.py",
        same_instance=here,
    )


def _published(node: ObservedHost, calls: list[list[Any]], look: str, task: str = "celerylab_probe.mark") -> Sent:
    return published(node, SETTINGS, task, calls, look)


def _length_when_back(url: str, queue: str, node: ObservedHost, stack: Stack) -> int:
    """Messages in `queue` once a Redis that was killed answers again; it may be reading its file."""
    lengths: list[int] = []
    wait_for(
        lambda: lengths.append(redis_length(url, queue)) is None,
        READY_SECONDS,
        expected="a Redis that is started again after a crash",
        observed=lambda: f"systemd says {node.unit(stack.broker.unit, 'ActiveState')['ActiveState']}",
        look=f"celerylab logs 04 -u {stack.broker.unit}",
    )
    return lengths[-1]


def _fill(client: Any, prefix: str, megabytes: int) -> tuple[bool, list[str]]:
    """Writes up to `megabytes`; whether Redis refused on the way, and the keys that were written."""
    keys: list[str] = []
    filler = "x" * MEGABYTE
    with suppress(OutOfMemoryError):
        for number in range(megabytes):
            client.set(f"{prefix}-{number}", filler)
            keys.append(f"{prefix}-{number}")
        return False, keys
    return True, keys


def _redis_workers(worker: WorkerClient) -> list[str]:
    return [name for name in worker.names() if unit(name.split("@")[0]) in REDIS_WORKERS]


def _both_ready(worker: WorkerClient) -> None:
    wait_for(
        lambda: len(_redis_workers(worker)) == len(REDIS_WORKERS),
        READY_SECONDS,
        expected=f"{' and '.join(REDIS_WORKERS)} answer on Redis",
        observed=lambda: f"{', '.join(_redis_workers(worker)) or 'nobody'} answers",
        look=LOOK_BOTH,
    )


def _restarts(node: ObservedHost, before: dict[str, int]) -> dict[str, int]:
    return {"restarts": sum(node.main_pid(name) != pid for name, pid in before.items())}
