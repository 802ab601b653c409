"""What the checks of module 04 share: its hosts and its brokers."""

from collections.abc import Iterator

import pytest

from celerylab.verify.hosts import ObservedHost
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient


@pytest.fixture
def node(hosts: dict[str, ObservedHost]) -> ObservedHost:
    """The workers' host, which also has the Redis that is a broker."""
    return hosts["node-1"]


@pytest.fixture
def queue_host(hosts: dict[str, ObservedHost]) -> ObservedHost:
    """RabbitMQ's host."""
    return hosts["queue-1"]


@pytest.fixture(scope="session")
def rabbitmq_url(stack: Stack) -> str:
    """RabbitMQ, through the gateway."""
    return stack.service_url("rabbitmq", "rabbitmq")


@pytest.fixture(scope="session")
def results_url(stack: Stack) -> str:
    """The Redis on store-1, through the gateway."""
    return stack.service_url("redis", "results")


@pytest.fixture(scope="session")
def rabbitmq_workers(stack: Stack, rabbitmq_url: str) -> Iterator[WorkerClient]:
    """A client that asks the workers on RabbitMQ; the fixture `worker` asks those on Redis."""
    client = WorkerClient(stack, broker_url=rabbitmq_url, result_url="rpc://")
    yield client
    client.close()
