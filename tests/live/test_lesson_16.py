"""Module 16 as it is taught."""

from pathlib import Path

from tests.live.lessons import lesson, output_of, summaries


def test_the_lesson_works_as_it_is_written(checkout: Path) -> None:
    module = checkout / "modules" / "16-worker-management"
    assert summaries(output_of(module, lesson(module))) == [
        "1 PASS, 0 FAIL, 0 NOT_OBSERVED",  # part 2, step 1
        "1 PASS, 0 FAIL, 0 NOT_OBSERVED",  # step 2, of which the objective that it needs is not counted
        "2 PASS, 4 FAIL, 0 NOT_OBSERVED",  # after step 5, with nothing written yet
        "6 PASS, 0 FAIL, 0 NOT_OBSERVED",  # where the lesson ends, scaled by a metric
    ]
