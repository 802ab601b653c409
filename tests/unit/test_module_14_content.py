"""Module 14's workflows as they are written, run without a broker: values, and what fails; and the texts hold together."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from celerylab.course.hints import parse_condition, rungs
from celerylab.course.quiz import load_quiz
from celerylab.course.walkthrough import Run, Write, read_walkthrough
from celerylab.topology.lab import check_syntax, layers, overlay
from celerylab.topology.module import load_module
from celerylab.topology.variants import alternatives, load_mutants

pytestmark = pytest.mark.unit

MODULE = Path(__file__).resolve().parents[2] / "modules" / "14-canvas"
MUTANTS = load_mutants(MODULE, load_module(MODULE))
REPAIRED = ["solution", *alternatives(MODULE), *(one.lab for one in MUTANTS if one.is_control)]
LABS = ["starter", *REPAIRED, *(one.lab for one in MUTANTS if not one.is_control)]
HOST = {"LAB_BROKER_URL": "memory://", "LAB_RESULT_URL": "cache+memory://", "LAB_STUB_URL": "http://stub"}

# Runs in the lab's app/: every task at once, in this process; the branch `down` answers 503, `unknown` 404, and calls of the office are kept.
LOOK = """
import io, json, urllib.error, urllib.request
from celery.exceptions import CeleryError
from shop import app, branches, workflows
app.loader.import_default_modules()
calls = []
def answer(request, timeout):
    name = request.full_url.rpartition("/")[2]
    if status := {"down": 503, "unknown": 404}.get(name):
        raise urllib.error.HTTPError(request.full_url, status, "", {}, None)
    calls.append(name)
    return io.BytesIO(b'{"status": 200}')
urllib.request.urlopen = answer
app.conf.task_always_eager = True
found = {"names": sorted(name for name in app.tasks if not name.startswith(("celery.", "celerylab_probe."))),
         "probe": "celerylab_probe.echo" in app.tasks, "late": app.conf.task_acks_late,
         "visibility": app.conf.broker_transport_options.get("visibility_timeout"), "timeout": branches.TIMEOUT_SECONDS,
         "expires": app.conf.result_expires and float(app.conf.result_expires)}
found["figures"] = workflows.figures("berlin").get()
found["collect"] = workflows.collect(["berlin", "lyon"]).get()
found["report"] = workflows.report("monday", ["berlin", "down", "lyon", "unknown"]).get(propagate=False)
found["close"] = workflows.close("monday", ["berlin", "lyon"]).get()
found["calls"] = [name for name in calls if "-" in name]
print(json.dumps(found, default=repr))
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
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", LABS)
def test_a_lab_parses_and_has_the_four_workflows(name: str, tmp_path: Path) -> None:
    check_syntax(lab(name, tmp_path))
    text = (tmp_path / "app/shop/workflows.py").read_text(encoding="utf-8")
    assert re.findall(r"^def (\w+)\((.*)\):", text, re.MULTILINE) == [
        ("figures", "name"),
        ("collect", "names"),
        ("report", "day, names"),
        ("close", "day, names"),
    ]


@pytest.mark.parametrize("name", REPAIRED)
def test_repaired_workflows_give_rows_in_order_and_keep_errors(name: str, tmp_path: Path) -> None:
    found = look(lab(name, tmp_path))
    assert found["probe"]
    assert [row["branch"] for row in found["collect"]] == ["berlin", "lyon"]
    assert found["figures"] == found["collect"][0]
    cents = sum(row["cents"] for row in found["collect"])
    report = found["report"]
    assert report["rows"] == found["collect"]
    assert report["cents"] == cents
    assert [error["branch"] for error in report["errors"]] == ["down", "unknown"]
    assert all(status in error["error"] for status, error in zip(("503", "404"), report["errors"], strict=True))
    assert found["close"] == {"day": "monday", "branches": 2, "cents": cents}
    assert found["calls"] == ["report-monday", "books-monday"]


@pytest.mark.parametrize("name", REPAIRED)
def test_the_times_of_a_repaired_lab_are_in_order(name: str, tmp_path: Path) -> None:
    found = look(lab(name, tmp_path))
    assert found["late"]
    assert found["timeout"] < found["visibility"] < found["expires"]


def test_mutants_and_alternatives_overlay_what_differs_and_nothing_else() -> None:
    for variant in [*alternatives(MODULE), *(one.lab for one in MUTANTS)]:
        for path in (MODULE / variant).rglob("*.py"):
            relative = path.relative_to(MODULE / variant)
            below = MODULE / "solution" / relative if (MODULE / "solution" / relative).is_file() else MODULE / "starter" / relative
            assert below.is_file(), path
            assert path.read_text(encoding="utf-8") != below.read_text(encoding="utf-8"), path


def test_every_objective_has_mutants_and_there_are_controls() -> None:
    module = load_module(MODULE)
    for objective in module.objectives:
        assert sum(objective.id in one.mutant.fails for one in MUTANTS) >= 2, objective.id
    assert sum(one.is_control for one in MUTANTS) >= 2


def test_objectives_add_up_and_each_has_hints_a_command_and_something_to_read() -> None:
    module = load_module(MODULE)
    assert [objective.id for objective in module.objectives] == [f"14.{number}" for number in range(1, 7)]
    assert sum(objective.weight for objective in module.objectives) == 100
    for objective in module.objectives:
        ladder = rungs(objective.hints)
        assert len(ladder) >= 3
        assert all(isinstance(rung[-1], str) for rung in ladder), "every rung has words for a learner who has not verified yet"
        assert objective.look.startswith("celerylab ")
        assert objective.references


def test_hints_are_chosen_by_evidence_that_the_checks_record() -> None:
    checks = "".join(path.read_text(encoding="utf-8") for path in (MODULE / "verify").glob("*.py"))
    for objective in load_module(MODULE).objectives:
        conditions = [hint.when for hint in objective.hints if not isinstance(hint, str)]
        assert conditions
        for condition in conditions:
            for comparison in parse_condition(condition).comparisons:
                recorded = re.search(rf'\b{comparison.name}=|"{comparison.name}":', checks)
                assert recorded, f"no check records {comparison.name}, so `{condition}` never holds"


def test_the_quiz_covers_every_objective_with_all_four_types() -> None:
    quiz = load_quiz(MODULE / "quiz.yaml")
    assert {question.type for question in quiz.questions} == {"multiple_choice", "true_false", "fill_in", "matching"}
    assert {question.objective for question in quiz.questions if question.objective} == {
        objective.id for objective in load_module(MODULE).objectives
    }


def test_written_work_has_a_form_and_a_rubric() -> None:
    instructor = (MODULE / "instructor.md").read_text(encoding="utf-8")
    for artefact in load_module(MODULE).artefacts:
        assert (MODULE / "starter" / artefact.file).is_file()
        assert f"### Rubric: {artefact.rubric}\n" in instructor


def test_the_plan_of_the_session_adds_up() -> None:
    for name, column in (("README.md", 1), ("instructor.md", 2)):
        rows = [line.split("|") for line in (MODULE / name).read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
        minutes = [int(row[column]) for row in rows if len(row) > column and re.fullmatch(r"\s*\d+\s*", row[column])][:7]
        assert minutes == [5, 30, 45, 35, 30, 20, 15], name
        assert sum(minutes) == load_module(MODULE).minutes


def test_commands_of_the_readme_parse_and_it_writes_files_that_the_starter_has() -> None:
    written = set()
    for step in read_walkthrough(MODULE / "README.md"):
        if isinstance(step, Run):
            assert subprocess.run(["bash", "-n"], input=step.script, text=True, check=False, capture_output=True).stderr == ""
        elif isinstance(step, Write):
            written.add(str(step.path))
            assert (MODULE / "starter" / step.path).is_file(), step.path
    assert written == {"app/celeryconfig.py", "app/shop/reports.py", "app/shop/tasks.py", "app/shop/workflows.py"}
