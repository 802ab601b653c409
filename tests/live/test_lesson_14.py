"""Module 14 as it is taught."""

from pathlib import Path

from tests.live.lessons import lesson, output_of, summaries


def test_the_lesson_works_as_it_is_written(checkout: Path) -> None:
    module = checkout / "modules" / "14-canvas"
    assert summaries(output_of(module, lesson(module))) == [
        "2 PASS, 0 FAIL, 0 NOT_OBSERVED",  # after part 2, the two objectives it is about
        "2 PASS, 4 FAIL, 0 NOT_OBSERVED",  # where part 3 begins
    ]
