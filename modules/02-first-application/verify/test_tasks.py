"""02.2 and 02.5: what the worker knows, and what becomes of a task that raises."""

import uuid

from celery.states import FAILURE, SUCCESS

from celerylab.verify.expect import expect, wait_for
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.plugin import objective
from celerylab.verify.worker import WorkerClient

CONTRACT = {"receipts.send", "bills.split", "reports.summarise"}  # names that callers of the shop already use
LOOK = "celerylab shell 02 -- journalctl -u celery@default -n 40"


@objective("02.2")
def test_project_tasks_are_registered_under_stable_names(worker: WorkerClient) -> None:
    registered = _registered(worker)
    project = {name for name in registered if not name.startswith(("celery.", "celerylab_probe."))}
    nameless = sorted(name for name in project if name.startswith("__main__"))
    expect(
        len(project) >= 3 and not nameless and project >= CONTRACT,
        observed=f"the worker has registered {', '.join(sorted(project)) or 'no task of the project'}",
        expected=f"at least three, under explicit names: {', '.join(sorted(CONTRACT))}, and none under __main__",
        look=LOOK,
        project_tasks=len(project),
        nameless=len(nameless),
    )


@objective("02.2")
def test_echo_travels_there_and_back(worker: WorkerClient) -> None:
    registered = _registered(worker)
    expect(
        "celerylab_probe.echo" in registered,
        observed=f"the worker has no probe tasks, only {', '.join(sorted(registered)) or 'none at all'}",
        expected="`celerylab_probe.tasks` among the application's include",
        look=LOOK,
    )
    token = uuid.uuid4().hex
    result = worker.outcome(worker.send("celerylab_probe.echo", token), 10, LOOK)
    expect(
        result.state == SUCCESS and result.result == token,
        observed=f"echo of {token} ended {result.state} with {result.result!r}",
        expected="SUCCESS with the same text",
        look=LOOK,
        echo_state=result.state,
    )


@objective("02.5")
def test_a_task_that_raises_is_a_failure_with_its_traceback(worker: WorkerClient) -> None:
    result = worker.outcome(worker.send("bills.split", 1000, 0), 10, LOOK)
    expect(
        result.state == FAILURE,
        observed=f"bills.split(1000, 0) ended {result.state} with {result.result!r}",
        expected="FAILURE: a bill cannot be shared among nobody, and whoever asked must learn of it",
        look=LOOK,
        state=result.state,
    )
    expect(
        "Traceback" in str(result.traceback or ""),
        observed=f"the stored traceback is {result.traceback!r}",
        expected="the traceback of the exception, beside the result",
        look=LOOK,
    )


@objective("02.5")
def test_the_next_task_still_succeeds(worker: WorkerClient, ledger: LedgerReader) -> None:
    worker.outcome(worker.send("bills.split", 1000, 0), 10, LOOK)
    result = worker.outcome(worker.send("bills.split", 1001, 4), 10, LOOK)
    shares = [result.result] * 4 if isinstance(result.result, int) else result.result
    expect(
        result.state == SUCCESS and isinstance(shares, list) and sum(shares) == 1001,
        observed=f"after a failed bill, bills.split(1001, 4) ended {result.state} with {result.result!r}",
        expected="SUCCESS with four shares that add up to 1001 cents",
        look=LOOK,
    )
    key = f"02.5-{uuid.uuid4().hex}"
    worker.outcome(worker.send("celerylab_probe.mark", key, "after a failure"), 10, LOOK)
    effects = wait_for(
        lambda: ledger.entries(key=key, kind="effect"),
        5,
        expected="exactly one effect of the task that came after the failure",
        look=LOOK,
    )
    expect(len(effects) == 1, observed=f"{len(effects)} effects", expected="exactly one effect of the task that came after", look=LOOK)


def _registered(worker: WorkerClient) -> set[str]:
    answers = wait_for(
        worker.registered,
        15,
        expected="a worker that answers `celery inspect registered`",
        observed="no worker answered",
        look="celerylab logs 02",
        answering_workers=0,
    )
    return {name for tasks in answers.values() for name in tasks}
