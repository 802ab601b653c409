"""What the checks of module 07 share."""

import uuid

import pytest
from kombu import Queue

from celerylab.verify.hosts import ObservedHost
from celerylab.verify.http_stub import HttpStub
from celerylab.verify.rabbitmq import RabbitClient
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

QUEUE = "shop"  # where callers of the shop send to; its dead messages belong to shop.dead


@pytest.fixture
def node(hosts: dict[str, ObservedHost]) -> ObservedHost:
    """The host with the broker and the worker."""
    return hosts["node-1"]


@pytest.fixture(scope="session")
def shop(worker: WorkerClient) -> WorkerClient:
    """The client, sending to the shop's queue as it is: whoever owns the queue declares it, and of which type it is does not matter."""
    worker.app.conf.update(task_default_queue=QUEUE, task_queues=[Queue(QUEUE, no_declare=True)])
    return worker


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
