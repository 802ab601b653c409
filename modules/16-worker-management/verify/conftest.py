"""Fixtures of module 16."""

import pytest
from fleet import Batch, Fleet

from celerylab.verify.expect import expect
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

LEAST_HOSTS = 3


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
def batch(worker: WorkerClient, ledger: LedgerReader) -> Batch:
    """An empty batch of tasks."""
    return Batch(worker, ledger)
