"""Picks the next hint of an objective: one rung further down the ladder, worded for what the last verification saw.

A list of hints is a ladder from a nudge to nearly the answer. A plain text is a rung. Hints with a `when` are variants of the plain one
that follows them: the first whose condition holds replaces it. Conditional hints at the end make a last rung that is there only when
one of them holds. So a learner climbs the same rungs whatever the evidence, and no hint is given twice.

A condition is `name op literal`, joined with `and`: `same_pid == false and restart_usec > 10000000`. Operators are == != < <= > >=;
literals are numbers, quoted texts, `true` and `false`. It is parsed, never evaluated as code.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from celerylab.errors import InputError

Literal = str | int | float | bool


class ConditionError(InputError, ValueError):
    """A `when` cannot be understood, or compares things that have no order; also a ValueError, so that models report file and line."""


class ConditionalHint(Protocol):
    """What `next_hint` needs of a hint that is not a plain text."""

    @property
    def when(self) -> str:
        """The condition."""

    @property
    def text(self) -> str:
        """What the learner reads when it holds."""


@dataclass(frozen=True)
class NextHint:
    """The hint to show: rung `number` (from 1) of `total`."""

    number: int
    total: int
    text: str


@dataclass(frozen=True)
class Comparison:
    """`name op literal`."""

    name: str
    op: str
    literal: Literal


@dataclass(frozen=True)
class Condition:
    """A parsed `when`: all of `comparisons` must hold."""

    source: str
    comparisons: tuple[Comparison, ...]

    def holds(self, evidence: Mapping[str, Any]) -> bool:
        """Whether `evidence` satisfies it. What was not observed (absent or None) satisfies nothing.

        Raises ConditionError where < <= > >= meets evidence that is no number.
        """
        return all(self._compare(comparison, evidence.get(comparison.name)) for comparison in self.comparisons)

    def _compare(self, comparison: Comparison, value: Any) -> bool:
        if value is None:
            return False
        if comparison.op in {"==", "!="}:
            same = _kind(value) == _kind(comparison.literal) and value == comparison.literal
            return same is (comparison.op == "==")
        if _kind(value) != "number":
            raise ConditionError(f"hint condition `{self.source}`: {comparison.name} is {value!r}, which {comparison.op} cannot compare")
        return bool(_ORDER[comparison.op](value, comparison.literal))


_ORDER: dict[str, Callable[[Any, Any], Any]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_OPERATOR = re.compile(r"==|!=|<=|>=|<|>")
_LITERAL = re.compile(r"""(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<bool>true|false)\b""")
_AND = re.compile(r"and\b")


def parse_condition(source: str) -> Condition:
    """The condition written in `source`. Raises ConditionError that quotes it and says what should stand where."""
    comparisons = []
    rest = source.strip()
    while True:
        name, rest = _take(_NAME, rest, source, "the name of an observation")
        op, rest = _take(_OPERATOR, rest, source, "one of == != < <= > >=")
        literal, rest = _take(_LITERAL, rest, source, "a number, a quoted text, true or false")
        value = _literal(literal)
        if op[0] not in _ORDER or _kind(value) == "number":
            comparisons.append(Comparison(name[0], op[0], value))
        else:
            raise ConditionError(f"hint condition `{source}`: {op[0]} compares numbers only, not {literal[0]}")
        if not rest:
            return Condition(source, tuple(comparisons))
        _, rest = _take(_AND, rest, source, "`and` or the end")


def next_hint(hints: Sequence[str | ConditionalHint], evidence: Mapping[str, Any], shown: int) -> NextHint | None:
    """The hint after the first `shown` ones of an objective's `hints`; None when there is none left.

    `evidence` is what the last verification recorded for the objective: name -> number, text or bool; empty before the first one.
    Raises ConditionError for a `when` that cannot be understood.
    """
    if shown < 0:
        raise ValueError(f"shown counts hints, so it cannot be {shown}")
    texts = [text for rung in rungs(hints) if (text := _worded(rung, evidence)) is not None]
    return NextHint(shown + 1, len(texts), texts[shown]) if shown < len(texts) else None


def rungs(hints: Sequence[str | ConditionalHint]) -> list[list[str | ConditionalHint]]:
    """`hints` cut into rungs: each is a plain text after its conditional variants; the last may consist of conditional ones alone."""
    ladder: list[list[str | ConditionalHint]] = []
    open_rung = False
    for hint in hints:
        if not open_rung:
            ladder.append([])
        ladder[-1].append(hint)
        open_rung = not isinstance(hint, str)
    return ladder


def _worded(rung: Sequence[str | ConditionalHint], evidence: Mapping[str, Any]) -> str | None:
    for hint in rung:
        if isinstance(hint, str):
            return hint
        if parse_condition(hint.when).holds(evidence):
            return hint.text
    return None


def _take(pattern: re.Pattern[str], rest: str, source: str, wanted: str) -> tuple[re.Match[str], str]:
    match = pattern.match(rest)
    if match is None:
        where = f"at `{rest}`" if rest else "at its end"
        raise ConditionError(f"hint condition `{source}`: expected {wanted} {where}")
    return match, rest[match.end() :].lstrip()


def _literal(match: re.Match[str]) -> Literal:
    if match["number"] is not None:
        return float(match["number"]) if "." in match["number"] else int(match["number"])
    if match["bool"] is not None:
        return match["bool"] == "true"
    return match["single"] if match["single"] is not None else match["double"]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"
