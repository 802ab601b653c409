"""Module 04 as it is taught."""

from pathlib import Path

from tests.live.lessons import lesson, output_of, summaries


def test_the_lesson_works_as_it_is_written(checkout: Path) -> None:
    module = checkout / "modules" / "04-brokers-and-backends"
    assert summaries(output_of(module, lesson(module))) == ["0 PASS, 6 FAIL, 0 NOT_OBSERVED"]
