"""Fixtures of module 16."""

from collections.abc import Iterator

import pytest
from fleet import Batch, Fleet

from celerylab.verify.expect import expect, poll
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

LEAST_HOSTS = 3
IDLE_SECONDS = 40


@pytest.fixture(scope="session")
def fleet(stack: Stack, hosts: dict[str, ObservedHost], worker: WorkerClient) -> Fleet:
    """The worker hosts, of which the module needs at least three."""
    found = Fleet(stack, hosts, worker)
    expect(
        len(found.hosts) >= LEAST_HOSTS,
        observed=f"this stack has {len(found.hosts)} worker hosts",
        expected=f"at least {LEAST_HOSTS}: `pulumi config set celerylab:workers 3`",
        look="celerylab status 16",
    )
    return found


@pytest.fixture
def idle_after(fleet: Fleet) -> Iterator[None]:
    """What a check that failed has left of its tasks is not to disturb the next one."""
    yield
    poll(fleet.idle, IDLE_SECONDS)


@pytest.fixture
def batch(idle_after: None, worker: WorkerClient, ledger: LedgerReader) -> Batch:
    """An empty batch of tasks."""
    return Batch(worker, ledger)
