"""What tests of the multi-worker rung share: a module on it, load, and what must be true of every task that was sent."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celerylab.verify.expect import BrokerUnreachableError
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

TASK_SECONDS, EVERY_SECONDS = 1.5, 0.5  # three at a time, and two workers have four processes: no queue grows


@contextmanager
def load(worker: WorkerClient) -> Iterator[list[tuple[str, Any]]]:
    """Sends a short task twice a second, for as long as the block takes; each as its key and its result. None may be refused."""
    sent: list[tuple[str, Any]] = []
    refused: list[str] = []
    ended = threading.Event()

    def feed() -> None:
        while not ended.wait(EVERY_SECONDS):
            key = uuid.uuid4().hex
            try:
                sent.append((key, worker.send("celerylab_probe.sleep", TASK_SECONDS, key)))
            except BrokerUnreachableError as error:
                refused.append(str(error))

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield sent
    finally:
        ended.set()
        feeder.join()
    assert refused == []


def all_ended_once(stack: Stack, worker: WorkerClient, sent: list[tuple[str, Any]]) -> None:
    """Each task that was sent has succeeded, and has ended once."""
    assert sent
    ledger = LedgerReader(stack)
    for key, result in sent:
        assert worker.outcome(result, 60).state == "SUCCESS"
        assert len(ledger.entries(key, "end")) == 1


def renewed(stack: Stack) -> WorkerClient:
    """A client with the next user's password."""
    login = f"redis://next:{stack.secrets['next_password']}@"
    return WorkerClient(stack, broker_url=f"{login}{stack.endpoint('broker')}/0", result_url=f"{login}{stack.endpoint('results')}/1")
