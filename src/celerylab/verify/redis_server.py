"""Redis as it sees itself: lengths, keys and memory, asked with the worker's credentials and never as an administrator."""

import json
import uuid
from typing import Any, cast

from celery import Celery
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from celerylab.verify.worker import CONNECT_SECONDS, broker_errors

DATABASES = 16  # Redis' own number of them


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
