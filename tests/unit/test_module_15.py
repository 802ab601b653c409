"""Module 15 as it is written: every variant plans, and texts, hints, quiz and plan hold together."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from celerylab.cli.main import app
from celerylab.course.hints import parse_condition, rungs
from celerylab.course.questions import FillIn, Matching, MultipleChoice, TrueFalse
from celerylab.course.quiz import grade, load_quiz
from celerylab.course.walkthrough import Run, Write, read_walkthrough
from celerylab.topology.lab import check_syntax, layers, overlay
from celerylab.topology.module import load_module
from celerylab.topology.plan import make_plan
from celerylab.topology.variants import alternatives, load_mutants

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "modules" / "15-periodic-tasks"
TEXTS = ["README.md", "instructor.md", "troubleshooting.md", "module.yaml", "quiz.yaml"]
OBJECTIVES = [f"15.{number}" for number in range(1, 8)]


@pytest.mark.parametrize(
    "wanted", ["starter", "solution", *alternatives(MODULE), *(mutant.lab for mutant in load_mutants(MODULE, load_module(MODULE)))]
)
def test_every_variant_parses_and_plans(tmp_path: Path, wanted: str) -> None:
    for layer in layers(MODULE, wanted)[1]:
        overlay(layer, tmp_path)
    check_syntax(tmp_path)
    plan = make_plan(ROOT, "15", {"lab": wanted})
    assert [host.name for host in plan.hosts] == ["broker-1", "data-1", "beat-1", "beat-2", "api-1", "worker-1", "worker-2"]
    told = {host.group for host in plan.hosts for role in host.roles if "api_token" in role.secrets}
    assert told == {"api"}, "the token of the API is for its host alone"


def test_every_core_objective_has_two_mutants_and_there_is_a_control() -> None:
    fails = [mutant.mutant.fails for mutant in load_mutants(MODULE, load_module(MODULE))]
    assert [] in fails
    counted = {objective: sum(objective in one for one in fails) for objective in OBJECTIVES}
    assert counted.pop("15.7") >= 1
    assert all(count >= 2 for count in counted.values()), counted


def test_the_lesson_writes_files_that_the_lab_has() -> None:
    written = [step.path for step in read_walkthrough(MODULE / "README.md") if isinstance(step, Write)]
    assert written
    assert all((MODULE / "starter" / path).is_file() for path in written)


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


def test_objectives_are_those_of_the_curriculum() -> None:
    module = load_module(MODULE)
    assert module.minutes == 120
    assert [objective.id for objective in module.objectives] == OBJECTIVES
    assert sum(objective.weight for objective in module.objectives) == 100
    assert [objective.id for objective in module.objectives if objective.level == "stretch"] == ["15.7"]


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
    checks = "".join(path.read_text(encoding="utf-8") for path in (MODULE / "verify").glob("*.py"))
    for objective in load_module(MODULE).objectives:
        for hint in objective.hints:
            for comparison in parse_condition(hint.when).comparisons if not isinstance(hint, str) else ():
                assert re.search(rf'\b{comparison.name}=|"{comparison.name}":', checks), (
                    f"no check records {comparison.name}, so `{hint}` never shows"
                )


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
        minutes = [int(row[column]) for row in rows if len(row) > column and re.fullmatch(r"\s*\d+\s*", row[column])][:6]
        assert minutes == [5, 25, 35, 30, 15, 10], name
        assert sum(minutes) == load_module(MODULE).minutes
