"""Module 15 as it is taught."""

from pathlib import Path

from tests.live.lessons import lesson, output_of, summaries


def test_the_lesson_works_as_it_is_written(checkout: Path) -> None:
    module = checkout / "modules" / "15-periodic-tasks"
    assert summaries(output_of(module, lesson(module))) == [
        "3 PASS, 0 FAIL, 0 NOT_OBSERVED",  # after part 1: two beats that share a schedule
        "0 PASS, 3 FAIL, 0 NOT_OBSERVED",  # in part 2, before the repair
        "7 PASS, 0 FAIL, 0 NOT_OBSERVED",  # after part 3
    ]
