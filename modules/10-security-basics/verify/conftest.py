"""What the checks of module 10 share: a client that speaks as the worker does, whatever that is."""

import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from celerylab.verify.access import PLAIN, Access, fetch_access
from celerylab.verify.expect import BrokerUnreachableError
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

ANSWER_SECONDS = 20
TLS_SECONDS = 3


@pytest.fixture(scope="session")
def node(hosts: dict[str, ObservedHost]) -> ObservedHost:
    """The host of the module: broker, results and worker."""
    return hosts["node-1"]


@pytest.fixture(scope="session")
def full_access(node: ObservedHost, tmp_path_factory: pytest.TempPathFactory) -> Access:
    """TLS with the stack's authority, and the observer's signature: what a worker that is as it should be wants."""
    return fetch_access(node, tmp_path_factory.mktemp("access"))


@pytest.fixture(scope="session")
def worker(stack: Stack, full_access: Access) -> Iterator[WorkerClient]:
    """A client outside the hosts that speaks to the worker in the first of four ways that it answers, the safest first."""
    client = _answered(stack, full_access) or _connected(stack, full_access)
    yield client
    client.close()


def _answered(stack: Stack, full: Access) -> WorkerClient | None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        for access in (full, replace(full, signer=None), replace(full, authority=None), PLAIN):
            client = WorkerClient(stack, access)
            try:
                if client.names():
                    return client
            except BrokerUnreachableError:
                pass  # another way, or a worker that is still starting
            client.close()
    return None


def _connected(stack: Stack, full: Access) -> WorkerClient:
    """A client for a stack whose worker is silent: over TLS where the broker speaks it."""
    address, port = stack.endpoint("broker-tls").split(":")
    context = ssl.create_default_context(cafile=full.authority)
    try:
        with socket.create_connection((address, int(port)), TLS_SECONDS) as plain, context.wrap_socket(plain, server_hostname=address):
            return WorkerClient(stack, full)
    except OSError:
        return WorkerClient(stack, PLAIN)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private folder of this run."""
    return tmp_path_factory.mktemp("run")
