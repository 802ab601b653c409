"""Quizzes: the model of `quiz.yaml`, scoring, and an order that only a seed decides. Pure: no input and no output.

Answers are plain data, `{question id: answer}`; celerylab.course.questions says what an answer is for each type of question.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from celerylab.course.questions import Graded, Matching, MultipleChoice, Question, Text, grade, unique
from celerylab.errors import InputError
from celerylab.topology.source import Model, load_model, suggestion

__all__ = ["Graded", "Presented", "Question", "Quiz", "QuizScore", "grade", "load_quiz", "shuffled"]


class QuizScore(Model):
    """A graded quiz: `points` of `total`, one for each question."""

    graded: dict[str, Graded]
    points: float
    total: int
    percent: float
    passed: bool
    unanswered: list[str]


class Quiz(Model):
    """A module's `quiz.yaml`. It is passed with `pass_percent` of the points."""

    module: Annotated[str, Field(pattern=r"^\d\d$")]
    title: Text
    pass_percent: Annotated[int, Field(ge=1, le=100)] = 80
    questions: Annotated[list[Annotated[Question, Field(discriminator="type")]], Field(min_length=1)]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "Quiz":
        unique("question id", [question.id for question in self.questions])
        return self

    def question(self, question_id: str) -> Question:
        """The question called `question_id`. Raises InputError where there is none."""
        for question in self.questions:
            if question.id == question_id:
                return question
        near = suggestion(question_id, [question.id for question in self.questions])
        raise InputError(f"the quiz of module {self.module} has no question {question_id}{near}")

    def score(self, answers: Mapping[str, Any]) -> QuizScore:
        """`answers`, `{question id: answer}`, graded; a question without one, or with None, counts as wrong.

        Raises InputError for a question that is not there and for an answer that does not fit its question.
        """
        for question_id in answers:
            self.question(question_id)
        graded = {question.id: grade(question, answers.get(question.id)) for question in self.questions}
        points = round(sum(one.score for one in graded.values()), 9)
        percent = 100 * points / len(graded)
        return QuizScore(
            graded=graded,
            points=points,
            total=len(graded),
            percent=round(percent, 1),
            passed=percent >= self.pass_percent,
            unanswered=[question_id for question_id, one in graded.items() if not one.answered],
        )


@dataclass(frozen=True)
class Presented:
    """A question as one learner sees it: `choices` are option ids, or right-hand sides, in shuffled order."""

    question: Question
    choices: tuple[str, ...]


def load_quiz(path: Path) -> Quiz:
    """The quiz in the file `path`. Raises InputError with file and line for the first thing wrong in it."""
    return load_model(path, Quiz)


def shuffled(quiz: Quiz, seed: int) -> list[Presented]:
    """Questions and choices in an order that `seed` decides; a question's choices do not depend on the other questions."""
    order = list(quiz.questions)
    _random(seed, quiz.module).shuffle(order)
    presented = []
    for question in order:
        choices: list[str] = []
        if isinstance(question, MultipleChoice):
            choices = [option.id for option in question.options]
        elif isinstance(question, Matching):
            choices = question.rights()
        _random(seed, question.id).shuffle(choices)
        presented.append(Presented(question, tuple(choices)))
    return presented


def _random(seed: int, purpose: str) -> random.Random:
    return random.Random(f"{seed}/{purpose}")  # noqa: S311 (an order of questions, no secret)
