"""Lessons take turns: some run for 20 minutes, and all of them together for longer than CI has, which is 90.

Only where whole folders of tests are run; CELERYLAB_TEST_ALL=1 runs all lessons.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.unchanged import ROOT, runs_everything, whole_folders

LESSONS_A_DAY = 2


def skip_lessons_of_other_days(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Skips the lessons whose turn is not today; the reason says when it is."""
    if runs_everything() or not whole_folders(config):
        return
    every, today = lessons(), datetime.now(UTC).date()
    for item in items:
        if item.path in every and (day := next_turn(item.path, every, today)) != today:
            reason = f"lessons take turns, {LESSONS_A_DAY} a day: this one is next on {day:%Y-%m-%d}; CELERYLAB_TEST_ALL=1 runs all"
            item.add_marker(pytest.mark.skip(reason=reason))


def lessons() -> list[Path]:
    """The test files of all lessons."""
    return sorted((ROOT / "tests" / "live").glob("test_lesson_*.py"))


def next_turn(lesson: Path, every: Sequence[Path], today: date) -> date:
    """The first day from `today` on that is the turn of `lesson`, one of `every`."""
    days = -(-len(every) // LESSONS_A_DAY)  # until all have had their turn
    own_day = every.index(lesson) // LESSONS_A_DAY
    return today + timedelta(days=(own_day - today.toordinal()) % days)
