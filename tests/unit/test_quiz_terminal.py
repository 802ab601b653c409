"""A quiz in a terminal: it asks, explains, and loses nothing."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from celerylab.course.quiz import Quiz, shuffled
from celerylab.course.quiz_terminal import SCHEMA, print_score, run_quiz
from celerylab.errors import InputError
from tests.unit.quiz_data import CHOICE, GAP, RIGHT, STATEMENT, changed, quiz

pytestmark = pytest.mark.unit


class Learner:
    """Answers prompts from what it knows; an exception among the answers is raised."""

    def __init__(self, quiz: Quiz, seed: int, answers: dict[str, Any], wrong_first: bool = False) -> None:
        self.lines: list[Any] = []
        for one in shuffled(quiz, seed):
            answer = answers.get(one.question.id)
            if isinstance(answer, BaseException):
                self.lines.append(answer)
            elif answer is None:
                self.lines += [""] * (len(one.question.pairs) if one.question.type == "matching" else 1)
            else:
                self.lines += (["?!"] if wrong_first and one.question.id != "word" else []) + self._typed(one, answer)
        self.prompts: list[str] = []

    @staticmethod
    def _typed(one: Any, answer: Any) -> list[str]:
        letter = {choice: chr(ord("a") + position) for position, choice in enumerate(one.choices)}
        if one.question.type == "matching":
            return [letter.get(answer.get(pair.left), "") for pair in one.question.pairs]
        if one.question.type == "multiple_choice":
            return [", ".join(letter[item] for item in answer) if one.question.multiple else letter[answer].upper()]
        if one.question.type == "true_false":
            said, why = (answer["answer"], answer["explanation"]) if isinstance(answer, dict) else (answer, "")
            return [str(said), why]
        return [answer]

    def ask(self, prompt: str) -> str:
        self.prompts.append(prompt)
        line = self.lines.pop(0) if self.lines else EOFError()
        if isinstance(line, BaseException):
            raise line
        return str(line)


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def leave_out(_: str) -> str:
    return ""


def shown(where: Console) -> str:
    assert isinstance(where.file, io.StringIO)
    return where.file.getvalue()


@pytest.mark.parametrize("wrong_first", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_a_whole_quiz_in_the_terminal_gives_the_same_answers_as_a_file(seed: int, wrong_first: bool) -> None:
    screen, learner = console(), Learner(quiz(), seed, RIGHT, wrong_first)
    progress = run_quiz(quiz(), learner.ask, screen, seed)
    assert not learner.lines
    assert progress["answers"].keys() == RIGHT.keys()
    assert quiz().score(progress["answers"]).points == 5
    assert "5 of 5 points, 100 %: passed" in shown(screen)
    assert ("type one letter from a to c" in shown(screen)) is wrong_first
    assert ("type true or false" in shown(screen)) is wrong_first


def test_progress_is_plain_data_that_says_whose_it_is() -> None:
    progress = run_quiz(quiz(), Learner(quiz(), 4, RIGHT).ask, console(), 4)
    assert json.loads(json.dumps(progress)) == progress
    assert (progress["schema"], progress["module"], progress["seed"]) == (SCHEMA, "02", 4)


def test_each_answer_is_explained_at_once() -> None:
    screen = console()
    answers = {"state": "retry", "service": ["user"], "alive": {"answer": True, "explanation": "I think so"}, "word": "active"}
    progress = run_quiz(quiz(), Learner(quiz(), 9, answers).ask, screen, 9)
    text = shown(screen)
    for line in (
        "not right",
        "partly right (50%)",
        "RETRY: nobody asked",
        "FAILURE: it raised",
        "active is a process",
        "those that run now",
    ):
        assert line in text
    assert progress["answers"]["alive"] == {"answer": True, "explanation": "I think so"}
    assert "0.5 of 5 points, 10 %: not passed yet" in text
    assert "without an answer: parts" in text


def test_brackets_in_a_question_are_shown_as_they_are() -> None:
    screen = console()
    run_quiz(quiz(changed(GAP, prompt="under [tasks] and [/b]")), leave_out, screen, 1)
    assert "under [tasks] and [/b]" in shown(screen)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), EOFError()])
def test_an_interruption_keeps_what_was_answered_and_the_quiz_goes_on_from_there(interruption: BaseException) -> None:
    order = [one.question.id for one in shuffled(quiz(), 2)]
    first = {key: RIGHT[key] for key in order[:2]}
    screen = console()
    progress = run_quiz(quiz(), Learner(quiz(), 2, {**first, order[2]: interruption}).ask, screen, 2)
    assert set(progress["answers"]) == set(first)
    assert "your 2 answers are kept" in shown(screen)
    stored = json.loads(json.dumps(progress))

    rest = Learner(quiz(), 2, {key: RIGHT[key] for key in order[2:]})
    rest.lines = rest.lines[len(order[:2]) :]  # the first two are not asked again, so nothing is typed for them
    finished = run_quiz(quiz(), rest.ask, console(), seed=999, progress=stored)
    assert finished["seed"] == 2, "the order of the first part is kept"
    assert not rest.lines
    assert quiz().score(finished["answers"]).points == 5
    assert stored == json.loads(json.dumps(progress)), "the caller's data is left alone"


def test_a_question_left_out_is_asked_again_the_next_time() -> None:
    progress = run_quiz(quiz(CHOICE, STATEMENT), leave_out, console(), 1)
    assert progress["answers"] == {}
    prompts: list[str] = []
    run_quiz(quiz(CHOICE, STATEMENT), lambda prompt: prompts.append(prompt) or "", console(), 1, progress)
    assert sorted(prompts) == ["letter: ", "true or false: "]


def test_progress_is_saved_after_each_answer() -> None:
    saved: list[int] = []
    run_quiz(quiz(), Learner(quiz(), 6, RIGHT).ask, console(), 6, save=lambda progress: saved.append(len(progress["answers"])))
    assert saved == [1, 2, 3, 4, 5]


def test_an_answer_that_no_longer_fits_its_question_is_asked_again() -> None:
    screen = console()
    progress = {"schema": SCHEMA, "module": "02", "seed": 1, "answers": {"state": "gone", "old": True, "alive": False}}
    resumed = run_quiz(quiz(CHOICE, STATEMENT), leave_out, screen, 1, progress)
    assert resumed["answers"] == {"alive": False}
    assert "question state has changed" in shown(screen)


@pytest.mark.parametrize("progress", [{"schema": "other", "module": "02"}, {"schema": SCHEMA, "module": "03"}])
def test_progress_of_another_quiz_is_refused(progress: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="not of the quiz of module 02"):
        run_quiz(quiz(), leave_out, console(), 1, {"seed": 1, "answers": {}, **progress})


def test_a_score_is_printed_with_what_is_missing() -> None:
    screen = console()
    score = quiz().score({"state": "failure"})
    print_score(score, screen)
    assert shown(screen).split("\n")[1:3] == ["1 of 5 points, 20 %: not passed yet", "without an answer: service, alive, word, parts"]
