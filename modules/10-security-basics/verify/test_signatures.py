"""10.3: who may give the worker a task."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from celery.states import SUCCESS

from celerylab.verify.access import Access, register_signer, unknown_signer
from celerylab.verify.expect import expect, wait_for
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

LOOK = "celerylab logs 10"
MARK = "celerylab_probe.mark"
DIGESTS = ("sha256", "sha384", "sha512")
DEFAULT_QUEUE = "celery"
ANSWER_SECONDS = 5


@pytest.fixture
def forger(stack: Stack, worker: WorkerClient) -> Iterator[WorkerClient]:
    """A client with the broker's password and without a signature."""
    client = WorkerClient(stack, replace(worker.access, signer=None))
    yield client
    client.close()


@objective("10.3")
def test_the_worker_accepts_signed_messages_alone(worker: WorkerClient) -> None:
    conf = wait_for(worker.conf, ANSWER_SECONDS, expected="a worker that answers", observed="no worker answered", look=LOOK, signed_ran=0)
    found = {(one["task_serializer"], tuple(one["accept_content"] or ()), one["security_digest"]) for one in conf.values()}
    expect(
        all(serializer == "auth" and content == ("auth",) and digest in DIGESTS for serializer, content, digest in found) and found,
        observed="; ".join(
            f"task_serializer {one}, accept_content {list(content)}, security_digest {digest}" for one, content, digest in found
        ),
        expected='task_serializer "auth", accept_content ["auth"], security_digest "sha256" or longer',
        look=LOOK,
    )


@objective("10.3")
def test_a_client_without_a_signature_gets_no_answer(worker: WorkerClient, forger: WorkerClient) -> None:
    signed = wait_for(
        worker.names, ANSWER_SECONDS, expected="a worker that answers", observed="no worker answered", look=LOOK, signed_ran=0
    )
    unsigned = forger.names()
    expect(
        signed and not unsigned,
        observed=f"{', '.join(unsigned)} answered a question that nobody had signed",
        expected="silence (a signed question was answered a moment ago)",
        look="celerylab shell 10 node-1 -- systemctl list-units 'celery@*'",
        unsigned_ran=len(unsigned),
    )


@objective("10.3")
def test_forged_tasks_never_run_and_signed_ones_do(
    worker: WorkerClient, forger: WorkerClient, full_access: Access, ledger: LedgerReader, folder: Path
) -> None:
    run = uuid.uuid4().hex
    _expect_runs(worker, ledger, f"10.3-before-{run}")
    queues = {DEFAULT_QUEUE, *(queue["name"] for found in worker.active_queues().values() for queue in found)}
    signed_ones = _forged_serializers(full_access, folder) if worker.access.signer is not None else {}
    for queue in queues:
        forger.send(MARK, f"10.3-unsigned-{run}", queue, queue=queue)
        for kind, serializer in signed_ones.items():
            worker.send(MARK, f"10.3-{kind}-{run}", queue, queue=queue, serializer=serializer)
    # Sent last, so that all of the others had their turn.
    _expect_runs(worker, ledger, f"10.3-after-{run}")
    _expect_runs(worker, ledger, f"10.3-later-{run}")
    ran = {entry["key"].split("-")[1] for entry in ledger.entries(kind="effect") if entry["key"].endswith(run)}
    expect(
        {"before", "after", "later"} <= ran and ran <= {"before", "after", "later"},
        observed=f"of the tasks {', '.join(sorted(ran))} had an effect",
        expected="the signed ones, and none that was unsigned, signed by somebody unknown, or signed with SHA-1",
        look=LOOK,
        unsigned_ran=len(ran - {"before", "after", "later"}),
    )


def _forged_serializers(access: Access, folder: Path) -> dict[str, str]:
    """Serializers whose signatures are worth nothing: of somebody unknown, and with a digest that is too weak. For workers that check signatures
    only: to any other such a message is poison, which ends it at each start (measured on Celery 5.7)."""
    assert access.signer is not None  # fetch_access always brings one
    register_signer("auth-unknown", unknown_signer(folder, access.signer.believed), decodes=False)
    register_signer("auth-weak", access.signer, digest="sha1", decodes=False)
    return {"unknown": "auth-unknown", "weak": "auth-weak"}


def _expect_runs(worker: WorkerClient, ledger: LedgerReader, key: str) -> None:
    result = worker.outcome(worker.send(MARK, key, "signed"), 10, LOOK)
    effects = wait_for(lambda: ledger.entries(key=key, kind="effect"), 5, expected="an effect of a task of ours", look=LOOK, signed_ran=0)
    expect(
        result.state == SUCCESS and len(effects) == 1,
        observed=f"a task of ours ended {result.state}, with {len(effects)} effects",
        expected="SUCCESS with one effect",
        look=LOOK,
        signed_ran=len(effects),
    )
