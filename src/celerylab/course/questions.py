"""The four types of question: their models, and grading one answer. Pure.

Answers are plain data: an option's id (or a list of them), true or false, a text, or `{left: right}`.
"""

import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from celerylab.errors import InputError
from celerylab.topology.source import Model

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class Graded(Model):
    """What an answer is worth: `score` is 0 to 1, and `correct` means 1. `rationale` says why, one line for each point."""

    correct: bool
    score: float
    rationale: str
    answered: bool = True


class _Question(Model):
    id: Id
    objective: Annotated[str, Field(pattern=r"^\d\d\.\d+$")] | None = None
    prompt: Text

    @abstractmethod
    def judge(self, answer: Any) -> Graded:
        """`answer` (not None) graded. Raises InputError where it is no answer to such a question."""

    @abstractmethod
    def solution(self) -> str:
        """The right answer and why, for somebody who gave none."""

    def _refuse(self, answer: Any, wanted: str) -> InputError:
        return InputError(f"question {self.id}: {answer!r} is no answer to it; write {wanted}")


class Option(Model):
    """One thing to choose, and why it is right or wrong."""

    id: Id
    text: Text
    correct: bool = False
    rationale: Text


class MultipleChoice(_Question):
    """Exactly one option is right or, with `multiple`, one or more are; then right picks count for and wrong picks against."""

    type: Literal["multiple_choice"]
    multiple: bool = False
    options: Annotated[list[Option], Field(min_length=2)]

    @model_validator(mode="after")
    def _can_be_answered(self) -> "MultipleChoice":
        unique("option id", [option.id for option in self.options])
        unique("option", [option.text for option in self.options])
        right = sum(option.correct for option in self.options)
        if right == 0 or (right > 1 and not self.multiple):
            raise ValueError(f"{right} options are correct; mark one, or several with `multiple: true`")
        if right == len(self.options):
            raise ValueError("every option is correct; add one that is not")
        return self

    def judge(self, answer: Any) -> Graded:
        """`answer` is an option's id, with `multiple` a list of them."""
        known = [option.id for option in self.options]
        if self.multiple:
            if not isinstance(answer, list | tuple) or any(item not in known for item in answer):
                raise self._refuse(answer, f"a list of {', '.join(known)}")
            chosen = set(answer)
        elif isinstance(answer, str) and answer in known:
            chosen = {answer}
        else:
            raise self._refuse(answer, f"one of {', '.join(known)}")
        right = {option.id for option in self.options if option.correct}
        score = max(0, len(chosen & right) - len(chosen - right)) / len(right)
        shown = sorted((option for option in self.options if option.id in chosen | right), key=lambda option: option.id not in chosen)
        return _graded(score, [f"{option.text}: {option.rationale}" for option in shown])

    def solution(self) -> str:
        """Each right option and its rationale."""
        return "\n".join(f"{option.text}: {option.rationale}" for option in self.options if option.correct)


class TrueFalse(_Question):
    """A statement to judge. The learner may explain the judgement; the explanation is kept for the debrief, not graded."""

    type: Literal["true_false"]
    answer: bool
    rationale_true: Text
    rationale_false: Text

    def judge(self, answer: Any) -> Graded:
        """`answer` is a bool, or `{"answer": bool, "explanation": text}`."""
        said = answer.get("answer") if isinstance(answer, dict) and answer.keys() <= {"answer", "explanation"} else answer
        if not isinstance(said, bool):
            raise self._refuse(answer, "true or false")
        return _graded(float(said is self.answer), [self.rationale_true if said else self.rationale_false])

    def solution(self) -> str:
        """The right judgement and its rationale."""
        return f"{str(self.answer).lower()}: {self.rationale_true if self.answer else self.rationale_false}"


class Mistake(Model):
    """A wrong answer that people give, and why it is wrong."""

    answer: Text
    rationale: Text


class FillIn(_Question):
    """A gap to fill: one of `accept`, or a text that `pattern` matches whole. Space around an answer never matters."""

    type: Literal["fill_in"]
    accept: list[Text] = []
    pattern: str | None = None
    ignore_case: bool = False
    rationale: Text
    mistakes: list[Mistake] = []

    @model_validator(mode="after")
    def _can_be_answered(self) -> "FillIn":
        if not self.accept:
            raise ValueError("write what to `accept`; a `pattern` may widen it")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"pattern is no regular expression: {error}") from None
        for mistake in self.mistakes:
            if self._accepts(mistake.answer):
                raise ValueError(f"{mistake.answer} is a mistake and accepted as well")
        return self

    def judge(self, answer: Any) -> Graded:
        """`answer` is a text."""
        if not isinstance(answer, str):
            raise self._refuse(answer, "a text")
        if self._accepts(answer):
            return _graded(1, [self.rationale])
        known = [mistake.rationale for mistake in self.mistakes if self._plain(mistake.answer) == self._plain(answer)]
        return _graded(0, [*known, self.solution()])

    def solution(self) -> str:
        """The first accepted answer and the rationale."""
        return f"{self.accept[0]}: {self.rationale}"

    def _accepts(self, answer: str) -> bool:
        flags = re.IGNORECASE if self.ignore_case else re.NOFLAG
        matched = self.pattern is not None and re.fullmatch(self.pattern, answer.strip(), flags) is not None
        return matched or self._plain(answer) in map(self._plain, self.accept)

    def _plain(self, answer: str) -> str:
        plain = " ".join(answer.split())
        return plain.casefold() if self.ignore_case else plain


class Pair(Model):
    """Two things that belong together, and why."""

    left: Text
    right: Text
    rationale: Text


class Distractor(Model):
    """A right-hand side that belongs to nothing, and why."""

    right: Text
    rationale: Text


class Matching(_Question):
    """Each left-hand side belongs to one right-hand side; every pair found counts."""

    type: Literal["matching"]
    pairs: Annotated[list[Pair], Field(min_length=2)]
    distractors: list[Distractor] = []

    @model_validator(mode="after")
    def _can_be_answered(self) -> "Matching":
        unique("left side", [pair.left for pair in self.pairs])
        unique("right side", self.rights())
        return self

    def rights(self) -> list[str]:
        """All right-hand sides, those that belong to nothing included."""
        return [pair.right for pair in self.pairs] + [distractor.right for distractor in self.distractors]

    def judge(self, answer: Any) -> Graded:
        """`answer` is `{left: right}`; a left side that is not there counts as wrong."""
        lefts = [pair.left for pair in self.pairs]
        if not isinstance(answer, dict) or not answer.keys() <= set(lefts) or any(right not in self.rights() for right in answer.values()):
            raise self._refuse(answer, f"a right side for each of {', '.join(lefts)}")
        lines = [f"{pair.left} -> {pair.right}: {pair.rationale}" for pair in self.pairs]
        lines += [f"{side.right}: {side.rationale}" for side in self.distractors if side.right in answer.values()]
        return _graded(sum(answer.get(pair.left) == pair.right for pair in self.pairs) / len(self.pairs), lines)

    def solution(self) -> str:
        """Every pair and its rationale."""
        return self.judge({}).rationale


Question = MultipleChoice | TrueFalse | FillIn | Matching


def grade(question: Question, answer: Any) -> Graded:
    """`answer` to `question`; None is no answer, which is wrong. Raises InputError where it does not fit the question."""
    if answer is None:
        return Graded(correct=False, score=0, rationale=question.solution(), answered=False)
    return question.judge(answer)


def _graded(score: float, lines: Sequence[str]) -> Graded:
    return Graded(correct=score == 1, score=score, rationale="\n".join(lines))


def unique(what: str, values: Sequence[str]) -> None:
    """Raises ValueError, for a validator, where one of `values` is there twice."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{what} {value!r} is written twice")
