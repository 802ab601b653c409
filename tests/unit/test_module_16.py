"""Module 16 as it is written: the scaler's decisions, the settings of every variant, and texts, hints, quiz and plan that hold together."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from celerylab.cli.main import app
from celerylab.course.hints import parse_condition, rungs
from celerylab.course.quiz import load_quiz
from celerylab.course.walkthrough import Run, Write, read_walkthrough
from celerylab.topology.lab import check_syntax, layers, overlay
from celerylab.topology.module import load_module
from celerylab.topology.plan import make_plan
from celerylab.topology.variants import alternatives, load_mutants

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "modules" / "16-worker-management"
COURSE_MODULE = load_module(MODULE)
MUTANTS = load_mutants(MODULE, COURSE_MODULE)
GOOD = ["solution", *alternatives(MODULE), *(mutant.lab for mutant in MUTANTS if mutant.is_control)]
LABS = ["starter", "solution", *alternatives(MODULE), *(mutant.lab for mutant in MUTANTS)]
OBJECTIVES = [f"16.{number}" for number in range(1, 7)]
TEXTS = ["README.md", "instructor.md", "troubleshooting.md", "module.yaml", "quiz.yaml"]
SETTINGS = """
import json, sys
from shop import app
app.loader.import_default_modules()
names = "task_acks_late worker_prefetch_multiplier broker_transport_options worker_max_tasks_per_child"
print(json.dumps({**{name: app.conf[name] for name in names.split()}, "tasks": sorted(app.tasks)}))
"""


def lab(wanted: str, folder: Path) -> Path:
    for layer in layers(MODULE, wanted)[1]:
        overlay(layer, folder)
    return folder


def settings(folder: Path, broker: str) -> dict[str, Any]:
    """What a worker with the lab's application has in force."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CELERY", "LAB_"))}
    host = {"LAB_BROKER": broker, "LAB_BROKER_URL": f"{broker}://broker-1".replace("rabbitmq", "amqp"), "LAB_RESULT_URL": "redis://data-1"}
    command = [sys.executable, "-c", SETTINGS]
    result = subprocess.run(
        command, cwd=folder / "app", env={**clean, **host, "PYTHONPATH": "."}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def scaling(tmp_path: Path) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(lab("solution", tmp_path) / "app/shop/scaling.py")))


@pytest.mark.parametrize(
    ("processes", "busy", "messages", "workers", "needed"),
    [(2, 0, 0, 3, 0), (2, 2, 60, 3, 22), (2, 1, 1, 3, 2), (8, 8, 0, 3, 8), (2, 2, 4, 1, 6)],
)
def test_each_waiting_message_asks_for_a_process_of_some_host(
    scaling: SimpleNamespace, processes: int, busy: int, messages: int, workers: int, needed: int
) -> None:
    seen = SimpleNamespace(processes=processes, busy=busy, waiting=messages, workers=workers)
    assert scaling.needed_by_queue(seen) == needed


@pytest.mark.parametrize(("use", "needed"), [(None, 4), (0.0, 0), (0.6, 4), (1.0, 7)])
def test_a_measured_use_is_brought_to_its_target_and_no_data_changes_nothing(
    scaling: SimpleNamespace, use: float | None, needed: int
) -> None:
    assert scaling.needed_by_metric(SimpleNamespace(processes=4), use) == needed


@pytest.mark.parametrize(
    ("processes", "needed", "quiet", "wanted"),
    [(2, 5, 0, 5), (2, 50, 0, 8), (8, 3, 7, 8), (8, 3, 8, 3), (8, 0, 60, 2), (4, 4, 60, 4), (1, 0, 0, 2)],
)
def test_processes_come_at_once_and_go_late_between_two_bounds(
    scaling: SimpleNamespace, processes: int, needed: int, quiet: float, wanted: int
) -> None:
    assert scaling.decide(processes, needed, quiet) == wanted


def test_the_starters_scaler_changes_nothing(tmp_path: Path) -> None:
    scaling = SimpleNamespace(**runpy.run_path(str(lab("starter", tmp_path) / "app/shop/scaling.py")))
    seen = SimpleNamespace(processes=2, busy=2, waiting=90, workers=3)
    assert scaling.decide(2, scaling.needed_by_queue(seen), 0) == 2
    assert scaling.decide(8, 2, 60) == 8


@pytest.mark.parametrize("wanted", LABS)
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_every_variant_parses_and_plans(tmp_path: Path, wanted: str, broker: str) -> None:
    check_syntax(lab(wanted, tmp_path))
    plan = make_plan(ROOT, "16", {"lab": wanted, "broker": broker})
    assert sorted(host.name for host in plan.hosts) == ["broker-1", "data-1", "monitor-1", "worker-1", "worker-2", "worker-3"]
    if broker == "redis":  # the other one differs in no file of the lab
        assert {"thumbnails.make", "celerylab_probe.sleep"} <= set(settings(tmp_path, broker)["tasks"])


@pytest.mark.parametrize("wanted", GOOD)
def test_what_is_right_keeps_the_order_of_times(tmp_path: Path, wanted: str) -> None:
    found = settings(lab(wanted, tmp_path), "redis")
    assert found["task_acks_late"] is True
    assert found["worker_prefetch_multiplier"] == 1
    options = found["broker_transport_options"]
    assert COURSE_MODULE.longest_task_seconds < options["visibility_timeout"] <= 45
    assert options["unacked_restore_interval"] * options["unacked_restore_throttle"] <= 5
    assert found["worker_max_tasks_per_child"] <= 50
    assert not settings(tmp_path, "rabbitmq")["broker_transport_options"]


def test_the_starter_has_the_defaults(tmp_path: Path) -> None:
    found = settings(lab("starter", tmp_path), "redis")
    assert (found["task_acks_late"], found["broker_transport_options"], found["worker_max_tasks_per_child"]) == (False, {}, None)


def test_every_core_objective_has_two_mutants_and_there_is_a_control() -> None:
    fails = [mutant.mutant.fails for mutant in MUTANTS]
    assert [] in fails
    assert {objective: sum(objective in one for one in fails) >= 2 for objective in OBJECTIVES} == dict.fromkeys(OBJECTIVES, True)


def test_objectives_add_up_and_each_has_hints_a_command_and_something_to_read() -> None:
    assert [objective.id for objective in COURSE_MODULE.objectives] == OBJECTIVES
    assert sum(objective.weight for objective in COURSE_MODULE.objectives) == 100
    for objective in COURSE_MODULE.objectives:
        ladder = rungs(objective.hints)
        assert len(ladder) >= 3
        assert all(isinstance(rung[-1], str) for rung in ladder), "every rung has words for a learner who has not verified yet"
        assert any(not isinstance(hint, str) for hint in objective.hints)
        assert objective.look.startswith("celerylab ")
        assert objective.references


def test_hints_are_chosen_by_evidence_that_the_checks_record() -> None:
    checks = "".join(path.read_text(encoding="utf-8") for path in (MODULE / "verify").glob("test_*.py"))
    for objective in COURSE_MODULE.objectives:
        for hint in objective.hints:
            for comparison in parse_condition(hint.when).comparisons if not isinstance(hint, str) else ():
                assert f"{comparison.name}=" in checks, f"no check records {comparison.name}, so `{hint}` never shows"


def test_the_quiz_covers_every_objective_with_all_four_types() -> None:
    quiz = load_quiz(MODULE / "quiz.yaml")
    assert {question.type for question in quiz.questions} == {"multiple_choice", "true_false", "fill_in", "matching"}
    assert {question.objective for question in quiz.questions if question.objective} == set(OBJECTIVES)


def test_written_work_has_a_form_and_a_rubric() -> None:
    instructor = (MODULE / "instructor.md").read_text(encoding="utf-8")
    for artefact in COURSE_MODULE.artefacts:
        assert (MODULE / "starter" / artefact.file).is_file()
        assert f"### Rubric: {artefact.rubric}\n" in instructor


def test_the_plan_of_the_session_adds_up() -> None:
    for name, column in (("README.md", 1), ("instructor.md", 2)):
        rows = [line.split("|") for line in (MODULE / name).read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
        minutes = [int(row[column]) for row in rows if len(row) > column and re.fullmatch(r"\s*\d+\s*", row[column])][:6]
        assert minutes == [5, 25, 35, 30, 20, 5], name
        assert sum(minutes) == COURSE_MODULE.minutes


def test_commands_of_the_readme_parse_and_its_files_are_those_of_the_solutions() -> None:
    written: dict[str, list[str]] = {}
    for step in read_walkthrough(MODULE / "README.md"):
        if isinstance(step, Run):
            assert subprocess.run(["bash", "-n"], input=step.script, text=True, check=False, capture_output=True).stderr == ""
        elif isinstance(step, Write):
            written.setdefault(str(step.path), []).append(step.text)
    solution, metric = MODULE / "solution", MODULE / "alternatives" / "metric-driven"
    scaler = "systemd/celery@scaler.service.d/scaler.conf"
    assert written["vars.yaml"][-1] == (solution / "vars.yaml").read_text(encoding="utf-8")
    assert written["prometheus/prometheus.yml"] == [(solution / "prometheus/prometheus.yml").read_text(encoding="utf-8")]
    assert written[scaler] == [(folder / scaler).read_text(encoding="utf-8") for folder in (solution, metric)]


@pytest.mark.parametrize("name", TEXTS)
def test_texts_name_commands_that_exist_and_files_that_are_there(name: str) -> None:
    text = (MODULE / name).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^ *)celerylab (\w+)", text, re.MULTILINE))
    assert named <= typer.main.get_command(app).commands.keys()  # type: ignore[attr-defined]
    for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", text):
        assert (MODULE / link).is_file(), link
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
