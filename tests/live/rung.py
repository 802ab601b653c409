"""What tests of the multi-worker rung share: a module on it, load, and what must be true of every task that was sent."""

import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from celerylab.verify.expect import BrokerUnreachableError
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

TASK_SECONDS = 2


def module_on_the_rung(checkout: Path) -> Path:
    """Makes module 99 of a checkout, which is module 02's application on this rung; its folder."""
    source, folder = checkout / "modules" / "02-first-application", checkout / "modules" / "99-rung"
    shutil.copytree(source, folder)
    module = yaml.safe_load((source / "module.yaml").read_text(encoding="utf-8"))
    objective = {**module["objectives"][0], "id": "99.1", "needs": []}
    module |= {"id": "99", "slug": "rung", "environment": "multi-worker", "objectives": [objective], "artefacts": []}
    module["secrets"] = ["next_password"]
    module["vars"] = {"celery_worker_instances": {"default": {"extra_args": ["-E"]}}}  # events, which the exporter counts
    module["needs"] = {"memory": "1536MiB", "disk": "3GiB"}
    (folder / "module.yaml").write_text(yaml.safe_dump(module), encoding="utf-8")
    program = (source / "Pulumi.yaml").read_text(encoding="utf-8").replace("single-node", "multi-worker")
    (folder / "Pulumi.yaml").write_text(program.replace("celerylab-02", "celerylab-99").replace('"02"', '"99"'), encoding="utf-8")
    return folder


@contextmanager
def load(worker: WorkerClient) -> Iterator[list[tuple[str, Any]]]:
    """Sends a short task four times a second, for as long as the block takes; each as its key and its result. None may be refused."""
    sent: list[tuple[str, Any]] = []
    refused: list[str] = []
    ended = threading.Event()

    def feed() -> None:
        while not ended.wait(0.25):
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
