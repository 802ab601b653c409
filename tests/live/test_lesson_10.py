"""Module 10 as it is taught, on a starter that trusts everybody."""

from pathlib import Path

from tests.live.lessons import lesson, output_of, summaries


def test_the_lesson_works_as_it_is_written(checkout: Path) -> None:
    module = checkout / "modules" / "10-security-basics"
    output = output_of(module, lesson(module))
    assert summaries(output) == [
        "0 PASS, 5 FAIL, 0 NOT_OBSERVED",
        "3 PASS, 0 FAIL, 0 NOT_OBSERVED",  # after part 2, the three objectives it is about
        "5 PASS, 0 FAIL, 0 NOT_OBSERVED",
    ]
    assert "+PONG" in output, "the stranger is let in by the starter"
