"""Module 02's texts: the README can be followed, and hints, quiz, plan and written work hold together."""

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
from celerylab.topology.module import load_module

pytestmark = pytest.mark.unit

MODULE = Path(__file__).resolve().parents[2] / "modules" / "02-first-application"
TEXTS = ["README.md", "instructor.md", "troubleshooting.md", "module.yaml", "quiz.yaml"]


def walkthrough() -> list[Run | Write]:
    return read_walkthrough(MODULE / "README.md")


@pytest.mark.parametrize("step", [step for step in walkthrough() if isinstance(step, Run)], ids=lambda step: f"line-{step.line}")
def test_commands_of_the_readme_parse(step: Run) -> None:
    assert subprocess.run(["bash", "-n"], input=step.script, text=True, check=False, capture_output=True).stderr == ""
    first_words = {line.split("$(")[-1].split()[0] for line in re.sub(r"\\\n", " ", step.script).splitlines() if line.strip()}
    assert first_words <= {"source", "cd", "cp", "echo", "sleep", "until", "celerylab", "pulumi", "on_node", "on_node()", "}"}


def test_the_readme_begins_and_ends_as_plain_pulumi_does() -> None:
    scripts = "".join(step.script for step in walkthrough() if isinstance(step, Run) and step.tested)
    order = ["source ./activate", "cd modules/02-first-application", "celerylab start 02", "pulumi stack init me", "pulumi up --yes"]
    order += ["celerylab verify 02", "pulumi destroy --yes", "celerylab down 02"]
    positions = [scripts.index(command) for command in order]
    assert positions == sorted(positions)


def test_few_blocks_of_the_readme_are_for_people_only() -> None:
    assert [step.script.split()[:2] for step in walkthrough() if isinstance(step, Run) and not step.tested] == [
        ["failed=$(on_node", "celery"],
        ["celerylab", "quiz"],
    ]


def test_verify_is_the_only_command_that_may_fail() -> None:
    failing = [step for step in walkthrough() if isinstance(step, Run) and step.exit_status]
    assert len(failing) == 2
    assert {step.script.splitlines()[-1] for step in failing} == {"celerylab verify 02"}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_name_commands_that_exist_and_files_that_are_there(name: str) -> None:
    text = (MODULE / name).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^ *)celerylab (\w+)", text, re.MULTILINE))
    assert named <= typer.main.get_command(app).commands.keys()  # type: ignore[attr-defined]
    for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", text):
        assert (MODULE / link).is_file(), link
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in {
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        }


# module.yaml, quiz and written work.


def test_objectives_are_the_five_of_the_curriculum_and_weigh_the_same() -> None:
    module = load_module(MODULE)
    assert module.minutes == 120
    assert {objective.id: (objective.level, objective.weight) for objective in module.objectives} == {
        f"02.{number}": ("core", 20) for number in range(1, 6)
    }
    assert {objective.id: objective.needs for objective in module.objectives} == {
        f"02.{number}": [] if number == 2 else ["02.2"] for number in range(1, 6)
    }


@pytest.mark.parametrize("number", range(1, 6))
def test_each_objective_has_three_hints_a_first_command_and_something_to_read(number: int) -> None:
    objective = load_module(MODULE).objective(f"02.{number}")
    ladder = rungs(objective.hints)
    assert len(ladder) == 3
    assert all(isinstance(rung[-1], str) for rung in ladder), "every rung has words for a learner who has not verified yet"
    assert objective.look.startswith("celerylab ")
    assert objective.references


def test_hints_are_chosen_by_evidence_that_the_checks_record() -> None:
    checks = "".join(path.read_text(encoding="utf-8") for path in (MODULE / "verify").glob("test_*.py"))
    conditions = [hint.when for objective in load_module(MODULE).objectives for hint in objective.hints if not isinstance(hint, str)]
    assert len(conditions) >= 5
    for condition in conditions:
        for comparison in parse_condition(condition).comparisons:
            assert f"{comparison.name}=" in checks, f"no check records {comparison.name}, so `{condition}` never holds"


def test_the_quiz_has_all_four_types_and_explains_every_answer() -> None:
    quiz = load_quiz(MODULE / "quiz.yaml")
    assert quiz.module == "02"
    assert len(quiz.questions) >= 12
    assert {question.type for question in quiz.questions} == {"multiple_choice", "true_false", "fill_in", "matching"}
    objectives = {objective.id for objective in load_module(MODULE).objectives}
    assert {question.objective for question in quiz.questions if question.objective} == objectives
    for question in quiz.questions:
        answers: list[Any] = [None]
        if isinstance(question, MultipleChoice):
            answers += [[option.id] if question.multiple else option.id for option in question.options]
        elif isinstance(question, TrueFalse):
            answers += [True, False]
        elif isinstance(question, FillIn):
            answers += [*question.accept, *(mistake.answer for mistake in question.mistakes), "something else"]
            assert question.mistakes
        elif isinstance(question, Matching):
            answers += [{pair.left: right for pair in question.pairs} for right in question.rights()]
        rationales = [grade(question, answer).rationale for answer in answers]
        assert all(len(rationale) > 30 for rationale in rationales), question.id


def test_the_right_answers_of_the_quiz_pass_and_one_option_for_all_does_not() -> None:
    quiz = load_quiz(MODULE / "quiz.yaml")
    right: dict[str, Any] = {}
    for question in quiz.questions:
        if isinstance(question, MultipleChoice):
            correct = [option.id for option in question.options if option.correct]
            right[question.id] = correct if question.multiple else correct[0]
        elif isinstance(question, TrueFalse):
            right[question.id] = question.answer
        elif isinstance(question, FillIn):
            right[question.id] = question.accept[0]
        else:
            right[question.id] = {pair.left: pair.right for pair in question.pairs}
    assert quiz.score(right).percent == 100
    always_true = {question.id: True for question in quiz.questions if isinstance(question, TrueFalse)}
    assert not all(quiz.score(always_true).graded[question_id].correct for question_id in always_true)


def test_written_work_has_a_form_and_a_rubric() -> None:
    artefacts = load_module(MODULE).artefacts
    assert {artefact.file: artefact.marker for artefact in artefacts} == {
        "answers/code-review.md": "peer",
        "answers/exit-ticket.md": "instructor",
    }
    instructor = (MODULE / "instructor.md").read_text(encoding="utf-8")
    for artefact in artefacts:
        assert (MODULE / "starter" / artefact.file).is_file()
        assert f"### Rubric: {artefact.rubric}\n" in instructor


def test_the_plan_of_the_session_adds_up() -> None:
    for name, column in (("README.md", 1), ("instructor.md", 2)):
        rows = [line.split("|") for line in (MODULE / name).read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
        minutes = [int(row[column]) for row in rows if len(row) > column and re.fullmatch(r"\s*\d+\s*", row[column])][:6]
        assert minutes == [15, 25, 20, 30, 15, 15], name
        assert sum(minutes) == load_module(MODULE).minutes
