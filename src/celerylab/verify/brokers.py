"""Brokers as they see themselves: lengths, durability and memory, asked with the worker's credentials and never as an administrator."""

import json
import uuid
from dataclasses import dataclass
from typing import Any, cast

from amqp.exceptions import NotFound, PreconditionFailed
from celery import Celery
from kombu.connection import Connection
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from celerylab.verify.worker import CONNECT_SECONDS, broker_errors

DATABASES = 16  # Redis' own number of them


@dataclass(frozen=True)
class QueueState:
    """A queue of RabbitMQ: whether it outlives a restart, how many messages are ready, and the delivery mode of the first one (2 is persistent)."""

    durable: bool
    messages: int
    delivery_mode: int | None


def rabbitmq_queue(url: str, name: str) -> QueueState | None:
    """The state of queue `name`; None where there is none. Raises BrokerUnreachableError."""
    with broker_errors(), _connected(url) as connection:
        channel = connection.channel()
        try:
            messages = channel.queue_declare(name, passive=True).message_count
        except NotFound:
            return None
        first = channel.basic_get(name, no_ack=False)
        if first is not None:
            channel.basic_reject(first.delivery_tag, requeue=True)
        return QueueState(_is_durable(connection, name), messages, first.properties.get("delivery_mode") if first is not None else None)


def rabbitmq_purge(url: str, name: str) -> None:
    """Empties queue `name`, where there is one. Raises BrokerUnreachableError."""
    with broker_errors(), _connected(url) as connection:
        try:
            connection.channel().queue_purge(name)
        except NotFound:
            return


def _connected(url: str) -> Any:  # kombu has types for some of its calls only
    return Connection(url, connect_timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]


def _is_durable(connection: Any, name: str) -> bool:
    """RabbitMQ compares durability first when a queue that exists is declared again, and names what differs."""
    try:
        connection.channel().queue_declare(name, durable=True, auto_delete=False)
    except PreconditionFailed as error:
        return "'durable'" not in str(error)
    return True


def redis_client(url: str, database: int | None = None) -> "Redis":
    """A client for `url` that gives up soon, of another `database` where given."""
    options: dict[str, Any] = {} if database is None else {"db": database}
    address = url if database is None else url.rsplit("/", 1)[0]
    return Redis.from_url(
        address,
        socket_timeout=CONNECT_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        **options,
    )


def redis_info(url: str) -> dict[str, Any]:
    """What Redis says of itself with INFO. Raises BrokerUnreachableError."""
    with broker_errors(), redis_client(url) as client:
        return cast(dict[str, Any], client.info())


def redis_length(url: str, queue: str) -> int:
    """How many messages wait in `queue`. Raises BrokerUnreachableError."""
    with broker_errors(), redis_client(url) as client:
        return cast(int, client.llen(queue))


def redis_holds(url: str, key: str) -> bool:
    """Whether any database of this Redis has `key`. Raises BrokerUnreachableError."""
    for database in range(DATABASES):
        with broker_errors(), redis_client(url, database) as client:
            if client.exists(key):
                return True
    return False


def abandon_message(url: str, queue: str, task: str, arguments: list[Any]) -> None:
    """Leaves in Redis what a worker leaves that took a message from `queue` and died long ago, without acknowledging it.

    The message is among kombu's unacknowledged ones with a time before every visibility timeout: a worker that looks for such messages gives
    it back to the queue. A lock that a search held while a fault stopped Redis, and that would keep all others out for five minutes, is taken
    away: the fault is the check's, so its traces are. Raises BrokerUnreachableError.
    """
    aside = f"observer-{uuid.uuid4().hex}"
    with broker_errors(), redis_client(url) as client:
        with Celery("celerylab-observer", broker=url, set_as_current=False) as app:
            app.send_task(task, args=arguments, queue=aside)
        message = json.loads(cast(str, client.lpop(aside)))
        tag = message["properties"]["delivery_tag"]
        with client.pipeline() as pipe:
            pipe.zadd("unacked_index", {tag: 1}).hset("unacked", tag, json.dumps([message, "", queue]))
            pipe.delete(f"_kombu.binding.{aside}", "unacked_mutex").execute()
