"""What the checks of module 14 share."""

import uuid

import pytest
from workflows import Office

from celerylab.verify.hosts import ObservedHost
from celerylab.verify.http_stub import HttpStub
from celerylab.verify.stack import Stack


@pytest.fixture
def office(hosts: dict[str, ObservedHost]) -> Office:
    """Whoever starts the workflows: a program of the application, on the first worker host."""
    return Office(hosts["worker-1"])


@pytest.fixture(scope="session")
def stub(stack: Stack) -> HttpStub:
    """The branches and the head office."""
    return HttpStub(stack)


@pytest.fixture
def run(request: pytest.FixtureRequest) -> str:
    """A day, and the beginning of names of branches, that no other check and no other run has."""
    return f"{request.node.name.removeprefix('test_')[:10]}-{uuid.uuid4().hex[:8]}"
