"""Module 02 as it is taught."""

from pathlib import Path

from celerylab.course.walkthrough import Run
from tests.live.lessons import lesson, output_of, summaries


def test_the_lesson_works_as_it_is_written(checkout: Path) -> None:
    module = checkout / "modules" / "02-first-application"
    steps = lesson(module)
    second_part = next(index for index, step in enumerate(steps) if isinstance(step, Run) and "cp starter/systemd" in step.script)
    # In between, what the lesson leaves to part 2: with the broker set up properly, the learner's own application passes everything.
    own = Run(0, "rm -r lab/redis lab/rabbitmq && pulumi up --yes && celerylab verify 02 && cp -r starter/redis starter/rabbitmq lab/\n")
    assert summaries(output_of(module, [*steps[:second_part], own, *steps[second_part:]])) == [
        "4 PASS, 1 FAIL, 0 NOT_OBSERVED",  # the bistro, on the broker that the colleague set up
        "5 PASS, 0 FAIL, 0 NOT_OBSERVED",  # the bistro, on a broker that is closed
        "0 PASS, 1 FAIL, 4 NOT_OBSERVED",  # the colleague's shop
    ]
