"""Hints: the ladder a learner climbs, and the small language that picks a rung's wording."""

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from celerylab.course.hints import Comparison, ConditionError, NextHint, next_hint, parse_condition, rungs
from celerylab.errors import InputError

pytestmark = pytest.mark.unit


@dataclass(frozen=True)
class When:
    when: str
    text: str


LADDER = [
    "nudge",
    When("restarts > 0", "it restarts"),
    When("restarts == 0", "it waits"),
    "direction",
    When("user == 'root'", "not root"),
    "answer",
]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("restart_usec > 10000000", (Comparison("restart_usec", ">", 10000000),)),
        ("state=='SUCCESS'", (Comparison("state", "==", "SUCCESS"),)),
        ('state != "it\'s and so on"', (Comparison("state", "!=", "it's and so on"),)),
        ("same_pid == false and enabled != true", (Comparison("same_pid", "==", False), Comparison("enabled", "!=", True))),
        ("  ratio <= 1.5  and delay >= -2 ", (Comparison("ratio", "<=", 1.5), Comparison("delay", ">=", -2))),
        ("and_then == 1 and android < 2", (Comparison("and_then", "==", 1), Comparison("android", "<", 2))),
        ("worker.pool == 'prefork'", (Comparison("worker.pool", "==", "prefork"),)),
    ],
)
def test_a_condition_is_parsed_into_its_comparisons(source: str, expected: tuple[Comparison, ...]) -> None:
    condition = parse_condition(source)
    assert condition.comparisons == expected
    assert condition.source == source


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("", "expected the name of an observation at its end"),
        ("restarts", "expected one of == != < <= > >= at its end"),
        ("restarts = 3", "expected one of == != < <= > >= at `= 3`"),
        ("restarts => 3", "expected one of == != < <= > >= at `=> 3`"),
        ("restarts > ", "expected a number, a quoted text, true or false at its end"),
        ("state == SUCCESS", "expected a number, a quoted text, true or false at `SUCCESS`"),
        ("state == 'open", "expected a number, a quoted text, true or false at `'open`"),
        ("enabled == True", "expected a number, a quoted text, true or false at `True`"),
        ("enabled == truest", "expected a number, a quoted text, true or false at `truest`"),
        ("delay > 10s", "expected a number, a quoted text, true or false at `10s`"),
        ("delay > 1.2.3", "expected a number, a quoted text, true or false at `1.2.3`"),
        ("a == 1 or b == 2", "expected `and` or the end at `or b == 2`"),
        ("a == 1 b == 2", "expected `and` or the end at `b == 2`"),
        ("a == 1 and", "expected the name of an observation at its end"),
        ("3 > a", "expected the name of an observation at `3 > a`"),
        ("state < 'z'", "< compares numbers only, not 'z'"),
        ("enabled >= true", ">= compares numbers only, not true"),
        ("__import__('os') == 1", "expected one of == != < <= > >= at `('os') == 1`"),
    ],
)
def test_a_condition_that_cannot_be_understood_is_quoted(source: str, complaint: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse_condition(source)
    assert str(caught.value) == f"hint condition `{source}`: {complaint}"


@pytest.mark.parametrize(
    ("source", "evidence", "expected"),
    [
        ("n == 3", {"n": 3}, True),
        ("n == 3", {"n": 3.0}, True),
        ("n == 3", {"n": "3"}, False),
        ("n != 3", {"n": "3"}, True),
        ("n == 1", {"n": True}, False),
        ("n == true", {"n": 1}, False),
        ("n == true", {"n": True}, True),
        ("n != false", {"n": True}, True),
        ("n < 3", {"n": 3}, False),
        ("n <= 3", {"n": 3}, True),
        ("n > 3", {"n": 3.5}, True),
        ("n >= 3", {"n": 2}, False),
        ("n == 'a'", {"n": "a"}, True),
        ("n == 'a'", {"n": ["a"]}, False),
        ("n > 3", {}, False),
        ("n != 3", {}, False),
        ("n != 3", {"n": None}, False),
        ("n > 3 and m == 'a'", {"n": 4, "m": "a"}, True),
        ("n > 3 and m == 'a'", {"n": 4, "m": "b"}, False),
        ("n > 3 and m == 'a'", {"n": 4}, False),
    ],
)
def test_a_condition_holds_only_for_evidence_of_its_kind(source: str, evidence: dict[str, Any], expected: bool) -> None:
    assert parse_condition(source).holds(evidence) is expected


@pytest.mark.parametrize("value", ["2s", True, [3]])
def test_ordering_evidence_that_is_no_number_is_an_error_that_names_the_condition(value: Any) -> None:
    with pytest.raises(ConditionError) as caught:
        parse_condition("delay > 3").holds({"delay": value})
    assert str(caught.value) == f"hint condition `delay > 3`: delay is {value!r}, which > cannot compare"


def test_a_condition_error_is_reported_by_the_command_line_and_by_models() -> None:
    class WithCondition(BaseModel):
        when: str

        @field_validator("when")
        @classmethod
        def _parses(cls, when: str) -> str:
            parse_condition(when)
            return when

    assert issubclass(ConditionError, InputError)
    with pytest.raises(ValueError, match="expected one of"):
        WithCondition(when="restarts")


@pytest.mark.parametrize(
    ("evidence", "shown", "expected"),
    [
        ({}, 0, NextHint(1, 3, "nudge")),
        ({}, 1, NextHint(2, 3, "direction")),
        ({}, 2, NextHint(3, 3, "answer")),
        ({}, 3, None),
        ({"restarts": 2}, 0, NextHint(1, 3, "nudge")),
        ({"restarts": 2}, 1, NextHint(2, 3, "it restarts")),
        ({"restarts": 0}, 1, NextHint(2, 3, "it waits")),
        ({"restarts": -1}, 1, NextHint(2, 3, "direction")),
        ({"user": "root"}, 2, NextHint(3, 3, "not root")),
        ({"user": "root"}, 3, None),
        ({"user": "root"}, 99, None),
    ],
)
def test_evidence_words_a_rung_and_never_adds_or_skips_one(evidence: dict[str, Any], shown: int, expected: NextHint | None) -> None:
    assert next_hint(LADDER, evidence, shown) == expected


def test_conditional_hints_at_the_end_are_a_rung_only_when_one_holds() -> None:
    hints = ["nudge", "direction", When("restart_usec > 10000000", "too late")]
    assert next_hint(hints, {}, 2) is None
    assert next_hint(hints, {}, 1) == NextHint(2, 2, "direction")
    assert next_hint(hints, {"restart_usec": 60000000}, 2) == NextHint(3, 3, "too late")


def test_there_is_no_hint_where_there_are_none() -> None:
    assert next_hint([], {}, 0) is None


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be -1"):
        next_hint(LADDER, {}, -1)


def test_rungs_end_with_their_plain_hint() -> None:
    assert [len(rung) for rung in rungs(LADDER)] == [1, 3, 2]
    assert [len(rung) for rung in rungs([*LADDER, When("n == 1", "x"), When("n == 2", "y")])] == [1, 3, 2, 2]
