"""Module 10 as it is written: starter and solution differ where the lesson says, and texts, hints, quiz and plan hold together."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from celerylab.cli.main import app
from celerylab.course.hints import parse_condition, rungs
from celerylab.course.questions import FillIn, Matching, MultipleChoice, TrueFalse
from celerylab.course.quiz import grade, load_quiz
from celerylab.course.walkthrough import Run, read_walkthrough
from celerylab.topology.lab import check_syntax, layers, overlay
from celerylab.topology.module import load_module
from celerylab.topology.plan import make_plan
from celerylab.topology.variants import alternatives, load_mutants

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "modules" / "10-security-basics"
TEXTS = ["README.md", "instructor.md", "troubleshooting.md", "module.yaml", "quiz.yaml"]
OBJECTIVES = [f"10.{number}" for number in range(1, 6)]
HOST = {"LAB_BROKER_PASSWORD": "pw", "LAB_PAYMENT_TOKEN": "token"}
CARD = "4929123456781234"
RUN_TASK = """
import json, logging, os, sys
logging.basicConfig(stream=sys.stdout, level=logging.INFO)
sys.path.insert(0, os.getcwd())
import celery
celery.Celery.setup_security = lambda self: print("setup_security")
from shop import app
import shop.tasks
print(json.dumps([app.conf.broker_url, app.conf.result_backend, app.conf.accept_content, bool(app.conf.broker_use_ssl)]))
for card in json.loads(sys.argv[1]):
    result = app.tasks["payments.charge"].apply(["7", 1250, card])
    print(result.state, result.result, result.traceback)
"""


def lab(wanted: str, folder: Path) -> Path:
    """The lab `wanted`, laid over what it stands on."""
    for layer in layers(MODULE, wanted)[1]:
        overlay(layer, folder)
    return folder


def said(folder: Path, broker: str = "redis", cards: tuple[str, ...] = ()) -> str:
    """What a process with the host's environment prints when it imports the application and charges `cards`."""
    command = [sys.executable, "-c", RUN_TASK, json.dumps(cards)]
    environment = {**os.environ, **HOST, "LAB_BROKER": broker}
    result = subprocess.run(command, cwd=folder / "app", env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


@pytest.mark.parametrize(
    ("broker", "scheme", "plain"), [("redis", "rediss://celery:pw@", "redis://node"), ("rabbitmq", "amqps://celery:pw@", "amqp://")]
)
def test_the_starter_trusts_everybody_and_the_solution_does_not(tmp_path: Path, broker: str, scheme: str, plain: str) -> None:
    (tmp_path / "starter").mkdir()
    (tmp_path / "solution").mkdir()
    starter, solution = said(lab("starter", tmp_path / "starter"), broker), said(lab("solution", tmp_path / "solution"), broker)
    assert plain in starter
    assert '["json"], false' in starter
    assert scheme in solution
    assert '["auth"], true' in solution
    assert "setup_security" in solution
    assert "setup_security" not in starter


def test_a_payment_of_the_starter_leaks_and_one_of_the_solution_does_not(tmp_path: Path) -> None:
    (tmp_path / "starter").mkdir()
    (tmp_path / "solution").mkdir()
    cards = (CARD, f"{CARD}x")
    leaking = said(lab("starter", tmp_path / "starter"), cards=cards)
    assert CARD in leaking
    assert "token" in leaking
    clean = said(lab("solution", tmp_path / "solution"), cards=cards)
    assert "SUCCESS {'order_id': '7', 'cents': 1250, 'card': '**** 1234', 'status': 'charged'}" in clean
    assert "FAILURE" in clean
    assert CARD not in clean
    assert "token " not in clean


@pytest.mark.parametrize(
    "wanted", ["starter", "solution", *alternatives(MODULE), *(mutant.lab for mutant in load_mutants(MODULE, load_module(MODULE)))]
)
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_every_variant_parses_and_plans(tmp_path: Path, wanted: str, broker: str) -> None:
    check_syntax(lab(wanted, tmp_path))
    plan = make_plan(ROOT, "10", {"lab": wanted, "broker": broker})
    assert [host.name for host in plan.hosts] == ["node-1", "stranger-1", "ally-1"]
    assert "NET_ADMIN" in plan.hosts[0].capabilities
    assert "NET_ADMIN" not in plan.hosts[1].capabilities
    assert plan.endpoint_port("broker-tls") == {"redis": 6380, "rabbitmq": 5671}[broker]


def test_every_core_objective_has_two_mutants_and_there_is_a_control() -> None:
    fails = [mutant.mutant.fails for mutant in load_mutants(MODULE, load_module(MODULE))]
    assert [] in fails
    assert {objective: sum(objective in one for one in fails) >= 2 for objective in OBJECTIVES} == dict.fromkeys(OBJECTIVES, True)


@pytest.mark.parametrize(
    "step", [step for step in read_walkthrough(MODULE / "README.md") if isinstance(step, Run)], ids=lambda step: f"line-{step.line}"
)
def test_commands_of_the_readme_parse(step: Run) -> None:
    assert subprocess.run(["bash", "-n"], input=step.script, text=True, check=False, capture_output=True).stderr == ""


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


def test_objectives_are_the_five_of_the_curriculum() -> None:
    module = load_module(MODULE)
    assert module.minutes == 90
    assert [objective.id for objective in module.objectives] == OBJECTIVES
    assert sum(objective.weight for objective in module.objectives) == 100
    assert all(objective.level == "core" for objective in module.objectives)


@pytest.mark.parametrize("objective_id", OBJECTIVES)
def test_each_objective_has_hints_a_first_command_and_something_to_read(objective_id: str) -> None:
    objective = load_module(MODULE).objective(objective_id)
    ladder = rungs(objective.hints)
    assert len(ladder) >= 3
    assert all(isinstance(rung[-1], str) for rung in ladder), "every rung has words for a learner who has not verified yet"
    assert any(not isinstance(hint, str) for hint in objective.hints)
    assert objective.look.startswith("celerylab ")
    assert objective.references


def test_hints_are_chosen_by_evidence_that_the_checks_record() -> None:
    checks = "".join(path.read_text(encoding="utf-8") for path in (MODULE / "verify").glob("test_*.py"))
    for objective in load_module(MODULE).objectives:
        for hint in objective.hints:
            for comparison in parse_condition(hint.when).comparisons if not isinstance(hint, str) else ():
                assert f"{comparison.name}=" in checks, f"no check records {comparison.name}, so `{hint}` never shows"


def test_the_quiz_has_all_four_types_and_explains_every_answer() -> None:
    quiz = load_quiz(MODULE / "quiz.yaml")
    assert 12 <= len(quiz.questions) <= 16
    assert {question.type for question in quiz.questions} == {"multiple_choice", "true_false", "fill_in", "matching"}
    assert {question.objective for question in quiz.questions if question.objective} == set(OBJECTIVES)
    for question in quiz.questions:
        answers: list[Any] = [None]
        if isinstance(question, MultipleChoice):
            answers += [[option.id] if question.multiple else option.id for option in question.options]
        elif isinstance(question, TrueFalse):
            answers += [True, False]
        elif isinstance(question, FillIn):
            answers += [*question.accept, *(mistake.answer for mistake in question.mistakes), "something else"]
        elif isinstance(question, Matching):
            answers += [{pair.left: right for pair in question.pairs} for right in question.rights()]
        assert all(len(grade(question, answer).rationale) > 30 for answer in answers), question.id


def test_written_work_has_a_form_and_a_rubric() -> None:
    instructor = (MODULE / "instructor.md").read_text(encoding="utf-8")
    for artefact in load_module(MODULE).artefacts:
        assert (MODULE / "starter" / artefact.file).is_file()
        assert f"### Rubric: {artefact.rubric}\n" in instructor


def test_the_plan_of_the_session_adds_up() -> None:
    for name, column in (("README.md", 1), ("instructor.md", 2)):
        rows = [line.split("|") for line in (MODULE / name).read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
        minutes = [int(row[column]) for row in rows if len(row) > column and re.fullmatch(r"\s*\d+\s*", row[column])][:4]
        assert minutes == [20, 30, 25, 15], name
        assert sum(minutes) == load_module(MODULE).minutes
