"""04.2 and 04.6: what RabbitMQ keeps over a restart, and how long it trusts a consumer."""

import time
import uuid

from amqp import Message
from amqp.exceptions import PreconditionFailed
from kombu import Connection
from workers import LONGEST_SECONDS, RABBITMQ_WORKERS, READY_SECONDS, unit

from celerylab.verify.callers import Sent, published
from celerylab.verify.expect import NotObservedError, expect, wait_for
from celerylab.verify.faults import rabbitmq_setting, restart_unit, unit_stopped
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.plugin import objective
from celerylab.verify.rabbitmq import QueueState, RabbitClient
from celerylab.verify.worker import WorkerClient, broker_errors

PAIR = "rabbitmq_redis"
SETTINGS = f"settings.{PAIR}"
RABBITMQ_UNIT = "rabbitmq-server.service"
MESSAGES = 10
RESTART_SECONDS = 60
TICK_MILLISECONDS = 500
IMPATIENT_MILLISECONDS = 1000  # what the check's own consumer is granted, to see that RabbitMQ does look
LOOK_QUEUES = "celerylab shell 04 queue-1 -- rabbitmqctl list_queues name durable messages messages_persistent"
LOOK_WORKER = f"celerylab logs 04 -u {unit(PAIR)}"


@objective("04.2")
def test_messages_that_wait_outlive_a_restart(
    node: ObservedHost, queue_host: ObservedHost, rabbitmq_url: str, ledger: LedgerReader
) -> None:
    key = f"04.2-{uuid.uuid4().hex}"
    with unit_stopped(node, *RABBITMQ_WORKERS):
        queue = _published(node, "celerylab_probe.mark", [], LOOK_QUEUES).queue
        RabbitClient(rabbitmq_url).purge(queue)
        _published(node, "celerylab_probe.mark", [[f"{key}-{number}", number] for number in range(MESSAGES)], LOOK_QUEUES)
        before = _queue(rabbitmq_url, queue)
        expect(
            before.messages == MESSAGES,
            observed=f"{before.messages} of {MESSAGES} messages wait in {queue} although its worker is stopped",
            expected=f"all {MESSAGES} (else their survival would mean nothing)",
            look=LOOK_QUEUES,
        )
        _restart(queue_host, rabbitmq_url)
        after = _queue(rabbitmq_url, queue)
        facts = {"delivery_mode": before.delivery_mode, "durable": before.durable, "survived": after.messages}
        expect(
            after.messages == MESSAGES,
            observed=f"after the restart {after.messages} of {MESSAGES} messages are left in {queue} "
            f"(before it the queue was {'durable' if before.durable else 'not durable'}, messages had delivery mode {before.delivery_mode})",
            expected=f"all {MESSAGES}",
            look=LOOK_QUEUES,
            **facts,
        )
        expect(
            before.durable and before.delivery_mode == 2,
            observed=f"queue {queue} durable: {before.durable}; delivery mode of a message: {before.delivery_mode}",
            expected="a durable queue and delivery mode 2 (persistent)",
            look=LOOK_QUEUES,
            **facts,
        )
    keys = {f"{key}-{number}" for number in range(MESSAGES)}

    def run() -> set[str]:
        return keys & {entry["key"] for entry in ledger.entries(kind="effect")}

    wait_for(
        lambda: run() == keys,
        READY_SECONDS,
        expected=f"all {MESSAGES} tasks run once their worker is back",
        observed=lambda: f"{len(run())} of {MESSAGES} have run",
        look=LOOK_WORKER,
    )


@objective("04.6")
def test_a_task_may_take_as_long_as_the_longest(
    node: ObservedHost, queue_host: ObservedHost, rabbitmq_url: str, rabbitmq_workers: WorkerClient, ledger: LedgerReader
) -> None:
    _ready(rabbitmq_workers)
    key = f"04.6-{uuid.uuid4().hex}"
    with rabbitmq_setting(queue_host, "channel_tick_interval", TICK_MILLISECONDS):
        with rabbitmq_setting(queue_host, "consumer_timeout", IMPATIENT_MILLISECONDS):
            _see_a_consumer_closed(rabbitmq_url)
        before = node.main_pid(unit(PAIR))
        restart_unit(node, unit(PAIR))  # its new channel is one that RabbitMQ looks at every moment
        wait_for(
            lambda: node.main_pid(unit(PAIR)) not in (0, before), READY_SECONDS, expected="a worker that is started again", look=LOOK_WORKER
        )
        _ready(rabbitmq_workers)
        _published(node, "celerylab_probe.sleep", [[LONGEST_SECONDS, key]], LOOK_WORKER)

        def starts() -> int:
            return len(ledger.entries(key, "start"))

        wait_for(
            lambda: starts() > 1 or ledger.entries(key, "end"),
            READY_SECONDS + LONGEST_SECONDS,
            expected=f"the end of a task of {LONGEST_SECONDS} s",
            observed=lambda: f"it was started {starts()} times and did not end",
            look=LOOK_WORKER,
            starts=starts(),
        )
        # The next task shows that the worker went on; whatever was given away again has started by then.
        following = f"{key}-next"
        _published(node, "celerylab_probe.mark", [[following, 1]], LOOK_WORKER)
        wait_for(
            lambda: ledger.entries(following, "effect"),
            READY_SECONDS + LONGEST_SECONDS,
            expected="the task after it",
            observed=lambda: f"it has not run; the long task was started {starts()} times",
            look=LOOK_WORKER,
            starts=starts(),
        )
        expect(
            starts() == 1,
            observed=f"a task of {LONGEST_SECONDS} s was started {starts()} times: RabbitMQ took its message away while it ran",
            expected="one start, and its end",
            look=LOOK_WORKER,
            starts=starts(),
        )


def _see_a_consumer_closed(url: str) -> None:
    """Positive control: RabbitMQ really looks, and closes the channel of a consumer that keeps a message too long."""
    with broker_errors(), Connection(url, connect_timeout=5) as connection:
        channel = connection.channel()
        name = channel.queue_declare("", exclusive=True).queue
        channel.basic_publish(Message("keep me"), exchange="", routing_key=name)
        channel.basic_consume(name, callback=lambda _: None, consumer_tag="impatient")
        deadline = time.monotonic() + READY_SECONDS
        try:
            while time.monotonic() < deadline:
                try:
                    connection.drain_events(timeout=1)
                except TimeoutError:
                    continue
        except PreconditionFailed:
            return
    raise NotObservedError(f"RabbitMQ did not close a consumer that kept a message for longer than {IMPATIENT_MILLISECONDS} ms")


def _published(node: ObservedHost, task: str, calls: list[list[object]], look: str) -> Sent:
    return published(node, SETTINGS, task, calls, look)


def _queue(url: str, name: str) -> QueueState:
    return RabbitClient(url).state(name) or QueueState(durable=False, messages=0, delivery_mode=None)


def _restart(host: ObservedHost, url: str) -> None:
    before = host.main_pid(RABBITMQ_UNIT)
    restart_unit(host, RABBITMQ_UNIT)
    look = f"celerylab logs 04 queue-1 -u {RABBITMQ_UNIT}"
    wait_for(lambda: host.main_pid(RABBITMQ_UNIT) not in (0, before), RESTART_SECONDS, expected="a new process of RabbitMQ", look=look)
    wait_for(
        lambda: host.unit(RABBITMQ_UNIT, "ActiveState")["ActiveState"] == "active",
        RESTART_SECONDS,
        expected="RabbitMQ is up again",
        look=look,
    )
    wait_for(
        lambda: RabbitClient(url).state("no-such-queue") is None, RESTART_SECONDS, expected="RabbitMQ lets clients in again", look=look
    )


def _ready(workers: WorkerClient) -> None:
    wait_for(
        lambda: any(name.startswith(f"{PAIR}@") for name in workers.names()),
        READY_SECONDS,
        expected=f"worker {PAIR} answers on RabbitMQ",
        observed=lambda: f"{', '.join(workers.names()) or 'nobody'} answers",
        look=LOOK_WORKER,
    )
