"""RabbitMQ's queues as a check sees them: over AMQP, through the broker's endpoint, with the worker's credentials. No plugin is needed."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import AMQPError, NotFound, PreconditionFailed
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from celerylab.verify.expect import BrokerUnreachableError
from celerylab.verify.worker import CONNECT_SECONDS


@dataclass(frozen=True)
class Message:
    """A message as it lies in a queue: its headers (`x-death` among them), properties and body."""

    headers: dict[str, Any]
    properties: dict[str, Any]
    body: bytes

    @property
    def task_id(self) -> str:
        """Id of the Celery task that it asks for; empty for a message that asks for none."""
        return str(self.headers.get("id") or "")

    @property
    def task(self) -> str:
        """Name of that task."""
        return str(self.headers.get("task") or "")

    @property
    def arguments(self) -> list[Any]:
        """Positional arguments of that task, of a JSON message."""
        return list(json.loads(self.body)[0])

    @property
    def deaths(self) -> list[dict[str, Any]]:
        """RabbitMQ's record of each queue it died in (`queue`, `reason`, `count`, …), the latest first; empty where it never died."""
        return list(self.headers.get("x-death") or [])


@dataclass(frozen=True)
class QueueState:
    """A queue of RabbitMQ: whether it outlives a restart, how many messages are ready, and the delivery mode of the first one (2 is persistent)."""

    durable: bool
    messages: int
    delivery_mode: int | None


class RabbitClient:
    """Looks into the queues of the RabbitMQ at `url`. Every method raises BrokerUnreachableError where it does not answer."""

    def __init__(self, url: str) -> None:
        self._url = url

    def depth(self, queue: str) -> int | None:
        """Messages that wait in `queue`, without those a consumer holds; None where there is no such queue."""
        with self._channel() as channel:
            try:
                return int(channel.queue_declare(queue, passive=True).message_count)
            except NotFound:
                return None

    def state(self, queue: str) -> QueueState | None:
        """What `queue` is like; None where there is none."""
        with self._channel() as channel:
            try:
                messages = int(channel.queue_declare(queue, passive=True).message_count)
            except NotFound:
                return None
            first = channel.basic_get(queue, no_ack=False)
            mode = first.properties.get("delivery_mode") if first is not None else None
        return QueueState(self._is_durable(queue), messages, mode)

    def messages(self, queue: str) -> list[Message]:
        """Every message that waits in `queue`; they stay there. Empty where there is no such queue.

        They are taken without acknowledgement and returned when the channel closes: in a quorum queue that counts as a delivery.
        """
        return self._take(queue, lambda _: False)

    def remove(self, queue: str, task_ids: Iterable[str]) -> list[Message]:
        """Takes the messages of these tasks out of `queue`; the others stay. Returns what it took."""
        unwanted = set(task_ids)
        return [message for message in self._take(queue, lambda message: message.task_id in unwanted) if message.task_id in unwanted]

    def purge(self, queue: str) -> int:
        """Empties `queue` of the messages that wait; how many there were. 0 where there is no such queue."""
        with self._channel() as channel:
            try:
                return int(channel.queue_purge(queue))
            except NotFound:
                return 0

    def _is_durable(self, queue: str) -> bool:
        """RabbitMQ compares durability first when a queue that exists is declared again, and names what differs."""
        with self._channel() as channel:
            try:
                channel.queue_declare(queue, durable=True, auto_delete=False)
            except PreconditionFailed as error:
                return "'durable'" not in str(error)
        return True

    def _take(self, queue: str, unwanted: Callable[[Message], bool]) -> list[Message]:
        found: list[Message] = []
        with self._channel() as channel:
            try:
                while (raw := channel.basic_get(queue, no_ack=False)) is not None:
                    body = raw.body if isinstance(raw.body, bytes) else str(raw.body).encode()
                    message = Message(dict(raw.headers or {}), dict(raw.properties), body)
                    found.append(message)
                    if unwanted(message):
                        channel.basic_ack(raw.delivery_tag)
            except NotFound:
                return []
        return found

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        try:
            with Connection(self._url, connect_timeout=CONNECT_SECONDS) as connection:  # type: ignore[no-untyped-call]
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_SECONDS)
                yield connection.channel()
        except (OperationalError, AMQPError, ConnectionError, TimeoutError) as error:
            raise BrokerUnreachableError(f"the broker does not answer: {error}") from None
