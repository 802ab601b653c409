"""What the checks of module 07 share."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery.result import AsyncResult
from kombu import Queue

from celerylab.verify.expect import wait_for
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.http_stub import HttpStub
from celerylab.verify.rabbitmq import RabbitClient
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

QUEUE = "shop"  # where callers of the shop send to; its dead messages belong to shop.dead
DECLARED_SECONDS = 30  # a worker is ready in a few seconds; a busy machine gets more


@pytest.fixture
def node(hosts: dict[str, ObservedHost]) -> ObservedHost:
    """The host with the broker and the worker."""
    return hosts["node-1"]


class Shop(WorkerClient):
    """A client of the shop. It sends to the shop's queue as it is: whoever owns the queue declares it, and its type does not matter."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.app.conf.update(task_default_queue=QUEUE, task_queues=[Queue(QUEUE, no_declare=True)])
        self._rabbit = RabbitClient(stack.broker_url())
        self._declared = False

    def send(self, task: str, *args: Any, **options: Any) -> AsyncResult:
        """Publishes, once the queue is there: RabbitMQ drops a message for a queue that is not."""
        if not self._declared:
            self._declared = wait_for(
                lambda: self._rabbit.depth(QUEUE) is not None,
                DECLARED_SECONDS,
                expected=f"a queue {QUEUE}, declared by the worker when it starts",
                observed=f"there is no queue {QUEUE}",
                look="celerylab logs 07 -n 60",
            )
        return super().send(task, *args, **options)


@pytest.fixture(scope="session")
def shop(stack: Stack) -> Iterator[Shop]:
    """The client that sends the shop's tasks."""
    client = Shop(stack)
    yield client
    client.close()


@pytest.fixture(scope="session")
def stub(stack: Stack) -> HttpStub:
    """The payment provider."""
    return HttpStub(stack)


@pytest.fixture(scope="session")
def rabbit(stack: Stack) -> RabbitClient:
    """The broker's queues."""
    return RabbitClient(stack.broker_url())


@pytest.fixture
def run(request: pytest.FixtureRequest) -> str:
    """A prefix for keys that no other check and no other run has."""
    return f"{request.node.name.removeprefix('test_')[:12]}-{uuid.uuid4().hex[:8]}-"
