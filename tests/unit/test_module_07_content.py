"""Module 07's application as it is written: what the starter does wrong, the solution and its alternatives do not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from celerylab.course.quiz import load_quiz
from celerylab.course.walkthrough import Write, read_walkthrough
from celerylab.topology.lab import check_syntax, layers, overlay
from celerylab.topology.module import load_module
from celerylab.topology.variants import alternatives, load_mutants

pytestmark = pytest.mark.unit

MODULE = Path(__file__).resolve().parents[2] / "modules" / "07-error-handling"
REPAIRED = ["solution", *alternatives(MODULE)]
LABS = ["starter", *REPAIRED, *(one.lab for one in load_mutants(MODULE, load_module(MODULE)))]
HOST = {"LAB_BROKER_URL": "amqp://celery:pw@broker//", "LAB_RESULT_URL": "rpc://", "LAB_STUB_URL": "http://stub"}

# Runs in the lab's app/ as a worker would: a provider that always answers `status`, and what becomes of a charge without any broker.
LOOK = """
import io, json, sys, urllib.error, urllib.request
from shop import app
app.loader.import_default_modules()
calls = []
def answer(request, timeout):
    calls.append(timeout)
    if status == 200:
        return io.BytesIO(b'{"status": 200}')
    raise urllib.error.HTTPError(request.full_url, status, "", {}, None)
urllib.request.urlopen = answer
task, found = app.tasks["payments.charge"], {}
for status in (200, 400, 503):
    calls.clear()
    try:
        result = task.apply(("order-1", 700), retries=(task.max_retries or 0)) if status == 503 else task.apply(("order-1", 700))
        found[status] = [result.state, len(calls), str(result.result)]
    except RecursionError:
        found[status] = ["for ever", 0, ""]
names = [name for name in app.tasks if not name.startswith(("celery.", "celerylab_probe."))]
print(json.dumps({"names": names, "probe": "celerylab_probe.die" in app.tasks, "max_retries": task.max_retries, "runs": found,
                  "queue": app.conf.task_default_queue, "late": app.conf.task_acks_late}))
"""


def lab(name: str, folder: Path) -> Path:
    for layer in layers(MODULE, name)[1]:
        overlay(layer, folder)
    return folder


def look(folder: Path) -> dict[str, Any]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CELERY", "LAB_"))}
    command = [sys.executable, "-c", LOOK]
    result = subprocess.run(
        command, cwd=folder / "app", env={**clean, **HOST, "PYTHONPATH": "."}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("name", LABS)
def test_a_lab_parses_and_its_queues_keep_their_names(name: str, tmp_path: Path) -> None:
    check_syntax(lab(name, tmp_path))
    assert '"shop.dead"' in (tmp_path / "app/shop/replay.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REPAIRED)
def test_a_repaired_charge_fails_with_a_reason_and_has_a_limit(name: str, tmp_path: Path) -> None:
    found = look(lab(name, tmp_path))
    assert (found["names"], found["probe"], found["queue"], found["late"]) == (["payments.charge"], True, "shop", True)
    assert 2 <= found["max_retries"] <= 8
    assert found["runs"]["200"][:2] == ["SUCCESS", 1]
    for status, reason in (("400", "400"), ("503", "503")):
        state, calls, result = found["runs"][status]
        assert state in {"FAILURE", "REJECTED"}
        assert calls == 1
        assert "order-1" in result
        assert reason in result


def test_the_starter_never_ends_and_says_nothing(tmp_path: Path) -> None:
    found = look(lab("starter", tmp_path))
    assert found["max_retries"] is None
    assert found["runs"]["400"][0] != "FAILURE"


def test_there_are_two_controls() -> None:
    assert sum(one.is_control for one in load_mutants(MODULE, load_module(MODULE))) >= 2


def test_every_question_of_the_quiz_belongs_to_an_objective() -> None:
    objectives = {objective.id for objective in load_module(MODULE).objectives}
    assert {question.objective for question in load_quiz(MODULE / "quiz.yaml").questions} == objectives


def test_the_readme_writes_files_of_the_solution() -> None:
    written = {str(step.path): step.text for step in read_walkthrough(MODULE / "README.md") if isinstance(step, Write)}
    for path in ("app/shop/provider.py", "rabbitmq/definitions.json"):
        assert written[path] == (MODULE / "solution" / path).read_text(encoding="utf-8")
