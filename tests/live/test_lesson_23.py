"""Module 23 as it is taught."""

from pathlib import Path

from tests.live.lessons import lesson, output_of, summaries


def test_the_lesson_works_as_it_is_written(checkout: Path) -> None:
    module = checkout / "modules" / "23-scaling-strategies"
    assert summaries(output_of(module, lesson(module))) == [
        "0 PASS, 1 FAIL, 0 NOT_OBSERVED",  # part 2, step 1, with nothing repaired yet
        "1 PASS, 0 FAIL, 0 NOT_OBSERVED",  # step 3
        "6 PASS, 0 FAIL, 0 NOT_OBSERVED",  # where the lesson ends
    ]
