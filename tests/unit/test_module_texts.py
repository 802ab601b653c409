"""What every module's texts, hints, quiz, plan, written work and mutants must hold, whatever the module is about."""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from celerylab.cli.main import app
from celerylab.course.hints import parse_condition, rungs
from celerylab.course.questions import FillIn, Matching, MultipleChoice, Question, TrueFalse
from celerylab.course.quiz import grade, load_quiz
from celerylab.course.walkthrough import Run, read_walkthrough
from celerylab.topology.module import CourseModule, load_module
from celerylab.topology.variants import load_mutants

pytestmark = pytest.mark.unit

TEXTS = ["README.md", "instructor.md", "troubleshooting.md", "module.yaml", "quiz.yaml"]
FOLDERS = sorted((Path(__file__).resolve().parents[2] / "modules").glob("[0-9][0-9]-*"))
MINUTES = {  # of the parts of a session, as README.md and instructor.md both say
    "02": [15, 25, 20, 30, 15, 15],
    "04": [10, 20, 25, 20, 15],
    "07": [5, 25, 35, 30, 20, 5],
    "10": [20, 30, 25, 15],
    "14": [5, 30, 45, 35, 30, 20, 15],
    "15": [5, 25, 35, 30, 15, 10],
    "16": [5, 25, 35, 30, 20, 5],
    "23": [10, 40, 50, 40, 30, 10],
}
MOST_QUESTIONS = {"16": 17}  # of a quiz; 16 elsewhere
RECORDED_BY_HELPERS = {"04", "14", "15"}  # evidence of these is also a key of a map, or passed on by a file beside the checks

every_module = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@cache
def course_module(folder: Path) -> CourseModule:
    return load_module(folder)


@every_module
def test_commands_of_the_readme_parse(folder: Path) -> None:
    scripts = [step for step in read_walkthrough(folder / "README.md") if isinstance(step, Run)]
    assert scripts
    for step in scripts:
        checked = subprocess.run(["bash", "-n"], input=step.script, text=True, check=False, capture_output=True)
        assert checked.stderr == "", f"README.md:{step.line}"


@every_module
@pytest.mark.parametrize("name", TEXTS)
def test_texts_name_commands_that_exist_and_files_that_are_there(folder: Path, name: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^ *)celerylab (\w+)", text, re.MULTILINE))
    assert named <= typer.main.get_command(app).commands.keys()  # type: ignore[attr-defined]
    for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", text):
        assert (folder / link).is_file(), link
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_module
def test_objectives_add_up_and_each_has_hints_a_first_command_and_something_to_read(folder: Path) -> None:
    module = course_module(folder)
    assert [objective.id for objective in module.objectives] == [f"{module.id}.{n + 1}" for n in range(len(module.objectives))]
    assert sum(objective.weight for objective in module.objectives) == 100
    for objective in module.objectives:
        ladder = rungs(objective.hints)
        assert len(ladder) >= 3, objective.id
        assert all(isinstance(rung[-1], str) for rung in ladder), "every rung has words for a learner who has not verified yet"
        assert any(not isinstance(hint, str) for hint in objective.hints), objective.id
        assert objective.look.startswith("celerylab ")
        assert objective.references


@every_module
def test_hints_are_chosen_by_evidence_that_the_checks_record(folder: Path) -> None:
    module = course_module(folder)
    files, recorded = "test_*.py", "{}="
    if module.id in RECORDED_BY_HELPERS:
        files, recorded = "*.py", r'\b{0}=|"{0}":'
    checks = "".join(path.read_text(encoding="utf-8") for path in (folder / "verify").glob(files))
    conditions = [hint.when for objective in module.objectives for hint in objective.hints if not isinstance(hint, str)]
    for condition in conditions:
        for comparison in parse_condition(condition).comparisons:
            assert re.search(recorded.format(comparison.name), checks), f"no check records {comparison.name}, so `{condition}` never holds"


def answers(question: Question) -> list[Any]:
    """Answers that a learner may give: none, each choice, every wrong turn that the question knows."""
    if isinstance(question, MultipleChoice):
        return [None, *([option.id] if question.multiple else option.id for option in question.options)]
    if isinstance(question, TrueFalse):
        return [None, True, False]
    if isinstance(question, FillIn):
        return [None, *question.accept, *(mistake.answer for mistake in question.mistakes), "something else"]
    return [None, *({pair.left: right for pair in question.pairs} for right in question.rights())]


def right_answer(question: Question) -> Any:
    if isinstance(question, MultipleChoice):
        correct = [option.id for option in question.options if option.correct]
        return correct if question.multiple else correct[0]
    if isinstance(question, TrueFalse):
        return question.answer
    if isinstance(question, FillIn):
        return question.accept[0]
    assert isinstance(question, Matching)
    return {pair.left: pair.right for pair in question.pairs}


@every_module
def test_the_quiz_has_all_four_types_and_explains_every_answer(folder: Path) -> None:
    module, quiz = course_module(folder), load_quiz(folder / "quiz.yaml")
    assert quiz.module == module.id
    assert 12 <= len(quiz.questions) <= MOST_QUESTIONS.get(module.id, 16)
    assert {question.type for question in quiz.questions} == {"multiple_choice", "true_false", "fill_in", "matching"}
    assert {question.objective for question in quiz.questions if question.objective} == {objective.id for objective in module.objectives}
    for question in quiz.questions:
        assert all(len(grade(question, answer).rationale) > 30 for answer in answers(question)), question.id
        assert not isinstance(question, FillIn) or question.mistakes, question.id


@every_module
def test_the_right_answers_of_the_quiz_pass_and_one_option_for_all_does_not(folder: Path) -> None:
    quiz = load_quiz(folder / "quiz.yaml")
    assert quiz.score({question.id: right_answer(question) for question in quiz.questions}).percent == 100
    always_true = {question.id: True for question in quiz.questions if isinstance(question, TrueFalse)}
    assert not all(quiz.score(always_true).graded[question_id].correct for question_id in always_true)


@every_module
def test_written_work_has_a_form_and_a_rubric(folder: Path) -> None:
    instructor = (folder / "instructor.md").read_text(encoding="utf-8")
    for artefact in course_module(folder).artefacts:
        assert (folder / "starter" / artefact.file).is_file()
        assert f"### Rubric: {artefact.rubric}\n" in instructor


@every_module
def test_the_plan_of_the_session_adds_up(folder: Path) -> None:
    module = course_module(folder)
    parts = MINUTES[module.id]
    for name, column in (("README.md", 1), ("instructor.md", 2)):
        rows = [line.split("|") for line in (folder / name).read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
        minutes = [int(row[column]) for row in rows if len(row) > column and re.fullmatch(r"\s*\d+\s*", row[column])]
        assert minutes[: len(parts)] == parts, name
    assert sum(parts) == module.minutes


@every_module
def test_every_objective_has_mutants_and_there_is_a_control(folder: Path) -> None:
    module = course_module(folder)
    fails = [mutant.mutant.fails for mutant in load_mutants(folder, module)]
    assert [] in fails
    for objective in module.objectives:
        assert sum(objective.id in one for one in fails) >= (2 if objective.level == "core" else 1), objective.id
