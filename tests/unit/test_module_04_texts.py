"""What module 04 says agrees with what it does: lesson, plan, hints, quiz and written work."""

import re
from pathlib import Path
from typing import Any

import pytest

from celerylab.course.hints import parse_condition, rungs
from celerylab.course.questions import FillIn, Matching, MultipleChoice, TrueFalse, grade
from celerylab.course.quiz import load_quiz
from celerylab.course.walkthrough import Run, Write, read_walkthrough
from celerylab.topology.module import load_module

pytestmark = pytest.mark.unit

MODULE = Path(__file__).resolve().parents[2] / "modules" / "04-brokers-and-backends"
OBJECTIVES = [f"04.{number}" for number in range(1, 7)]


def test_the_lesson_writes_files_that_the_lab_has() -> None:
    written = [step.path for step in read_walkthrough(MODULE / "README.md") if isinstance(step, Write)]
    assert written
    for path in written:
        assert (MODULE / "starter" / path).is_file(), path


def test_the_lesson_verifies_and_cleans_up() -> None:
    script = "".join(step.script for step in read_walkthrough(MODULE / "README.md") if isinstance(step, Run))
    for command in (
        "celerylab start 04",
        "celerylab images bake 04",
        "pulumi up --yes",
        "celerylab verify 04",
        "celerylab quiz 04",
        "pulumi destroy",
    ):
        assert command in script


def test_objectives_add_up_and_each_has_hints_a_command_and_something_to_read() -> None:
    module = load_module(MODULE)
    assert [objective.id for objective in module.objectives] == OBJECTIVES
    assert sum(objective.weight for objective in module.objectives) == 100
    for objective in module.objectives:
        ladder = rungs(objective.hints)
        assert len(ladder) == 3
        assert all(isinstance(rung[-1], str) for rung in ladder)
        assert any(not isinstance(hint, str) for hint in objective.hints), objective.id
        assert objective.look.startswith("celerylab ")
        assert objective.references


def test_hints_are_chosen_by_evidence_that_the_checks_record() -> None:
    checks = "".join(path.read_text(encoding="utf-8") for path in (MODULE / "verify").glob("test_*.py"))
    for objective in load_module(MODULE).objectives:
        for hint in objective.hints:
            for comparison in parse_condition(hint.when).comparisons if not isinstance(hint, str) else ():
                assert re.search(rf'\b{comparison.name}=|"{comparison.name}":', checks), f"no check records {comparison.name}"


def test_the_quiz_has_all_four_types_and_explains_every_answer() -> None:
    quiz = load_quiz(MODULE / "quiz.yaml")
    assert quiz.module == "04"
    assert len(quiz.questions) >= 12
    assert {question.type for question in quiz.questions} == {"multiple_choice", "true_false", "fill_in", "matching"}
    assert {question.objective for question in quiz.questions if question.objective} == set(OBJECTIVES)
    right: dict[str, Any] = {}
    for question in quiz.questions:
        answers: list[Any] = [None]
        if isinstance(question, MultipleChoice):
            answers += [[option.id] if question.multiple else option.id for option in question.options]
            correct = [option.id for option in question.options if option.correct]
            right[question.id] = correct if question.multiple else correct[0]
        elif isinstance(question, TrueFalse):
            answers += [True, False]
            right[question.id] = question.answer
        elif isinstance(question, FillIn):
            answers += [*question.accept, *(mistake.answer for mistake in question.mistakes), "something else"]
            right[question.id] = question.accept[0]
            assert question.mistakes
        elif isinstance(question, Matching):
            answers += [{pair.left: right for pair in question.pairs} for right in question.rights()]
            right[question.id] = {pair.left: pair.right for pair in question.pairs}
        assert all(len(grade(question, answer).rationale) > 30 for answer in answers), question.id
    assert quiz.score(right).percent == 100


def test_written_work_has_a_form_and_a_rubric() -> None:
    instructor = (MODULE / "instructor.md").read_text(encoding="utf-8")
    for artefact in load_module(MODULE).artefacts:
        assert (MODULE / "starter" / artefact.file).is_file()
        assert f"### Rubric: {artefact.rubric}\n" in instructor


def test_the_plan_of_the_session_adds_up() -> None:
    for name, column in (("README.md", 1), ("instructor.md", 2)):
        rows = [line.split("|") for line in (MODULE / name).read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
        minutes = [int(row[column]) for row in rows if len(row) > column and re.fullmatch(r"\s*\d+\s*", row[column])][:5]
        assert minutes == [10, 20, 25, 20, 15], name
        assert sum(minutes) == load_module(MODULE).minutes
