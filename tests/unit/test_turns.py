"""Which lessons run today, and that none is forgotten."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import turns
from tests.turns import LESSONS_A_DAY, lessons, next_turn, skip_lessons_of_other_days

TODAY = date(2026, 11, 29)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 47])
def test_every_lesson_has_its_turn_and_no_day_has_too_many(count: int) -> None:
    every = [Path(f"test_lesson_{number:02}.py") for number in range(count)]
    days = (count + 1) // LESSONS_A_DAY
    for start in (TODAY, TODAY + timedelta(days=1)):
        found = [next_turn(lesson, every, start) for lesson in every]
        assert set(found) == {start + timedelta(days=later) for later in range(days)}
        assert max(map(found.count, found)) <= LESSONS_A_DAY


def test_the_day_that_is_named_is_its_turn() -> None:
    every = lessons()
    for lesson in every:
        day = next_turn(lesson, every, TODAY)
        assert next_turn(lesson, every, day) == day


def reasons(monkeypatch: pytest.MonkeyPatch, *arguments: str, everything: str = "0") -> dict[str, str]:
    """Why tests are skipped, by their file, where pytest is given `arguments`."""
    monkeypatch.setenv("CELERYLAB_TEST_ALL", everything)
    found: dict[str, str] = {}

    def item(path: Path) -> Any:
        return SimpleNamespace(path=path, add_marker=lambda marker: found.update({path.name: marker.kwargs["reason"]}))

    paths = [*lessons(), turns.ROOT / "tests" / "live" / "test_drift.py"]
    config: Any = SimpleNamespace(args=list(arguments), option=SimpleNamespace(keyword="", markexpr="", maxfail=0))
    skip_lessons_of_other_days(config, [item(path) for path in paths])
    return found


def test_lessons_of_other_days_are_skipped_and_say_when_they_are_next(monkeypatch: pytest.MonkeyPatch) -> None:
    found = reasons(monkeypatch, str(turns.ROOT / "tests" / "live"))
    every, today = lessons(), datetime.now(UTC).date()
    assert set(found) == {lesson.name for lesson in every if next_turn(lesson, every, today) != today}
    for name, reason in found.items():
        assert f"next on {next_turn(turns.ROOT / 'tests' / 'live' / name, every, today)}" in reason
        assert "CELERYLAB_TEST_ALL=1" in reason


def test_a_lesson_that_is_asked_for_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reasons(monkeypatch, *map(str, lessons())) == {}
    assert reasons(monkeypatch, str(turns.ROOT / "tests" / "live"), everything="1") == {}
