"""Fixtures of module 23."""

import pytest
from burst import Burst
from pool import Batch, Pool

from celerylab.verify.cluster import ClusterView
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient


@pytest.fixture(scope="session")
def pool(cluster: ClusterView, stack: Stack, worker: WorkerClient) -> Pool:
    """The workers of the stack."""
    return Pool(cluster, stack, worker)


@pytest.fixture(scope="session")
def burst(pool: Pool, worker: WorkerClient, ledger: LedgerReader) -> Burst:
    """The burst that several checks look at; the first one that asks for its record lets it happen."""
    return Burst(pool, Batch(worker, ledger))


@pytest.fixture
def batch(worker: WorkerClient, ledger: LedgerReader) -> Batch:
    """An empty batch of tasks."""
    return Batch(worker, ledger)
