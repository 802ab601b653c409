"""Quizzes: what a quiz.yaml may say, what an answer is worth, and an order that only a seed decides."""

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from celerylab.course.quiz import grade, load_quiz, shuffled
from celerylab.errors import InputError
from tests.unit.quiz_data import CHOICE, GAP, PAIRS, QUIZ, RIGHT, SEVERAL, STATEMENT, changed, quiz, without

pytestmark = pytest.mark.unit

# What may be written.


def test_a_good_quiz_is_loaded_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "quiz.yaml"
    path.write_text(yaml.safe_dump(QUIZ, sort_keys=False), encoding="utf-8")
    loaded = load_quiz(path)
    assert loaded == quiz()
    assert loaded.pass_percent == 80
    assert [question.type for question in loaded.questions] == ["multiple_choice", "multiple_choice", "true_false", "fill_in", "matching"]


@pytest.mark.parametrize(
    ("question", "complaint"),
    [
        (without(CHOICE, "options", 1, "correct"), "0 options are correct"),
        (
            changed(CHOICE, options=[{**option, "correct": option["id"] != "retry"} for option in CHOICE["options"]]),
            "2 options are correct",
        ),
        (changed(SEVERAL, options=[{**option, "correct": True} for option in SEVERAL["options"]]), "every option is correct"),
        (changed(CHOICE, options=CHOICE["options"][1:2]), "at least 2 items"),
        (changed(CHOICE, options=[CHOICE["options"][0], *CHOICE["options"]]), "option id 'success' is written twice"),
        (changed(CHOICE, options=[{**CHOICE["options"][0], "id": "other"}, *CHOICE["options"]]), "option 'SUCCESS' is written twice"),
        (without(CHOICE, "options", 0, "rationale"), "rationale: is missing"),
        (changed(CHOICE, options=[{**option, "rationale": " "} for option in CHOICE["options"]]), "at least 1 character"),
        (changed(CHOICE, id="Two Words"), "should match pattern"),
        (changed(CHOICE, objective="2.5"), "should match pattern"),
        (changed(CHOICE, hint="x"), "unknown key"),
        (without(STATEMENT, "rationale_false"), "rationale_false: is missing"),
        (changed(GAP, accept=[]), "write what to `accept`"),
        (changed(GAP, pattern="("), "pattern is no regular expression"),
        (changed(GAP, mistakes=[{"answer": " registered  tasks", "rationale": "x"}]), "a mistake and accepted as well"),
        (changed(GAP, mistakes=[{"answer": "reg1", "rationale": "x"}]), "a mistake and accepted as well"),
        (changed(PAIRS, pairs=PAIRS["pairs"][:1]), "at least 2 items"),
        (changed(PAIRS, pairs=[{**PAIRS["pairs"][0], "right": "other"}, *PAIRS["pairs"]]), "left side 'broker' is written twice"),
        (changed(PAIRS, pairs=[{**PAIRS["pairs"][0], "left": "other"}, *PAIRS["pairs"]]), "right side 'keeps messages' is written twice"),
        (changed(PAIRS, distractors=[{"right": "sends", "rationale": "x"}]), "right side 'sends' is written twice"),
        (changed(CHOICE, type="essay"), "essay"),
    ],
)
def test_a_question_that_cannot_be_answered_or_explained_is_refused(tmp_path: Path, question: dict[str, Any], complaint: str) -> None:
    path = tmp_path / "quiz.yaml"
    path.write_text(yaml.safe_dump({**QUIZ, "questions": [STATEMENT | {"id": "first"}, question]}, sort_keys=False), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_quiz(path)
    line = int(str(caught.value).split("quiz.yaml:")[1].split(":")[0])
    assert complaint in str(caught.value)
    assert line > 3, "the complaint points at the second question"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"questions": [CHOICE, changed(STATEMENT, id="state")]}, "question id 'state' is written twice"),
        ({"questions": []}, "at least 1 item"),
        ({"pass_percent": 101}, "less than or equal to 100"),
        ({"module": "2"}, "should match pattern"),
    ],
)
def test_a_quiz_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    path = tmp_path / "quiz.yaml"
    path.write_text(yaml.safe_dump({**QUIZ, **changes}), encoding="utf-8")
    with pytest.raises(InputError, match=complaint):
        load_quiz(path)


# What an answer is worth.


@pytest.mark.parametrize(
    ("question", "answer", "score", "rationale"),
    [
        (CHOICE, "failure", 1, "FAILURE: it raised"),
        (CHOICE, "retry", 0, "RETRY: nobody asked\nFAILURE: it raised"),
        (SEVERAL, ["user", "restart"], 1, "a user: least privilege\na restart: processes die"),
        (SEVERAL, ["user"], 0.5, "a user: least privilege\na restart: processes die"),
        (SEVERAL, ["restart", "root"], 0, "a restart: processes die\nroot: all rights\na user: least privilege"),
        (SEVERAL, ["user", "restart", "root"], 0.5, "a user: least privilege\na restart: processes die\nroot: all rights"),
        (
            SEVERAL,
            ["root", "password"],
            0,
            "root: all rights\nthe password: ps shows it\na user: least privilege\na restart: processes die",
        ),
        (SEVERAL, ["user", "restart", "root", "password"], 0, None),
        (SEVERAL, ["user", "user"], 0.5, None),
        (SEVERAL, [], 0, None),
        (STATEMENT, False, 1, "ask the worker"),
        (STATEMENT, True, 0, "active is a process"),
        (STATEMENT, {"answer": False, "explanation": "seen it"}, 1, "ask the worker"),
        (STATEMENT, {"answer": True}, 0, "active is a process"),
        (GAP, "registered tasks", 1, "asks the process"),
        (GAP, "  registered   tasks ", 1, "asks the process"),
        (GAP, " regs7 ", 1, "asks the process"),
        (GAP, "regs7x", 0, "registered tasks: asks the process"),
        (GAP, "Registered tasks", 0, "registered tasks: asks the process"),
        (changed(GAP, ignore_case=True), "Registered TASKS", 1, "asks the process"),
        (changed(GAP, ignore_case=True), "REG7", 1, "asks the process"),
        (GAP, "active", 0, "those that run now\nregistered tasks: asks the process"),
        (PAIRS, RIGHT["parts"], 1, "broker -> keeps messages: until taken\nworker -> runs tasks: by name\nclient -> sends: and goes on"),
        (PAIRS, {"broker": "keeps messages", "worker": "sends", "client": "runs tasks"}, 1 / 3, None),
        (PAIRS, {"broker": "keeps messages"}, 1 / 3, None),
        (PAIRS, {}, 0, None),
        (
            PAIRS,
            RIGHT["parts"] | {"client": "sleeps"},
            2 / 3,
            "broker -> keeps messages: until taken\nworker -> runs tasks: by name\nclient -> sends: and goes on\nsleeps: nobody does",
        ),
    ],
)
def test_an_answer_is_worth_what_is_right_in_it(question: dict[str, Any], answer: Any, score: float, rationale: str | None) -> None:
    graded = grade(quiz(question).questions[0], answer)
    assert graded.score == pytest.approx(score)
    assert graded.correct is (score == 1)
    assert graded.answered
    if rationale is not None:
        assert graded.rationale == rationale


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (CHOICE, "other"),
        (CHOICE, ["failure"]),
        (CHOICE, 1),
        (SEVERAL, "user"),
        (SEVERAL, ["user", "other"]),
        (SEVERAL, [["user"]]),
        (STATEMENT, "true"),
        (STATEMENT, 1),
        (STATEMENT, {"answer": "no"}),
        (STATEMENT, {"answer": True, "mark": 1}),
        (GAP, 3),
        (PAIRS, "broker"),
        (PAIRS, {"cook": "sends"}),
        (PAIRS, {"broker": "cooks"}),
        (PAIRS, {"broker": ["sends"]}),
    ],
)
def test_an_answer_of_another_kind_is_refused_by_name(question: dict[str, Any], answer: Any) -> None:
    with pytest.raises(InputError, match=f"question {question['id']}: .* is no answer to it; write "):
        grade(quiz(question).questions[0], answer)


@pytest.mark.parametrize("question", QUIZ["questions"])
def test_no_answer_is_wrong_and_explained(question: dict[str, Any]) -> None:
    asked = quiz(question).questions[0]
    graded = grade(asked, None)
    assert (graded.correct, graded.score, graded.answered) == (False, 0, False)
    assert graded.rationale == asked.solution() != ""


def test_a_quiz_with_every_answer_right_is_passed() -> None:
    score = quiz().score(RIGHT)
    assert (score.points, score.total, score.percent, score.passed, score.unanswered) == (5, 5, 100, True, [])
    assert list(score.graded) == ["state", "service", "alive", "word", "parts"]


def test_unanswered_questions_count_as_wrong() -> None:
    score = quiz().score({"state": "failure", "parts": {"broker": "keeps messages"}, "alive": None})
    assert score.points == pytest.approx(4 / 3)
    assert score.percent == 26.7
    assert score.unanswered == ["service", "alive", "word"]
    assert not score.passed


@pytest.mark.parametrize(("pass_percent", "passed"), [(80, True), (81, False)])
def test_a_quiz_is_passed_at_its_own_bar(pass_percent: int, passed: bool) -> None:
    assert quiz(pass_percent=pass_percent).score(RIGHT | {"alive": True}).passed is passed


def test_thirds_of_a_point_do_not_cost_a_pass() -> None:
    parts = [changed(PAIRS, id=f"parts-{number}") for number in range(3)]
    answers = {question["id"]: {"broker": "keeps messages", "worker": "runs tasks"} for question in parts}
    assert quiz(*parts, pass_percent=66).score(answers).points == 2
    assert quiz(*parts, CHOICE, CHOICE | {"id": "s2"}, pass_percent=80).score({**answers, "state": "failure", "s2": "failure"}).passed


def test_an_answer_to_a_question_that_is_not_there_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"no question stat \(did you mean state\?\)"):
        quiz().score({"stat": "failure"})


# Order.


def test_the_seed_alone_decides_the_order() -> None:
    random.seed(1)
    first = shuffled(quiz(), 7)
    random.seed(2)
    assert shuffled(quiz(), 7) == first
    assert {tuple(one.question.id for one in shuffled(quiz(), seed)) for seed in range(20)} != {tuple(one.question.id for one in first)}


def test_shuffling_keeps_every_question_and_every_choice() -> None:
    presented = {one.question.id: sorted(one.choices) for one in shuffled(quiz(), 3)}
    assert presented == {
        "state": ["failure", "retry", "success"],
        "service": ["password", "restart", "root", "user"],
        "alive": [],
        "word": [],
        "parts": ["keeps messages", "runs tasks", "sends", "sleeps"],
    }


def test_choices_of_a_question_stay_when_another_question_is_added() -> None:
    alone = {one.question.id: one.choices for one in shuffled(quiz(CHOICE, PAIRS), 5)}
    together = {one.question.id: one.choices for one in shuffled(quiz(), 5)}
    assert alone["state"] == together["state"]
    assert alone["parts"] == together["parts"]


def test_choices_are_not_always_in_the_order_of_the_file() -> None:
    orders = {next(one.choices for one in shuffled(quiz(), seed) if one.question.id == "state") for seed in range(20)}
    assert len(orders) > 1
