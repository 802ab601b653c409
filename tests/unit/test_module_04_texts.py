"""Module 04's lesson: it writes files of the lab, verifies and cleans up; its objectives."""

from pathlib import Path

import pytest

from celerylab.course.hints import rungs
from celerylab.course.walkthrough import Run, Write, read_walkthrough
from celerylab.topology.module import load_module

pytestmark = pytest.mark.unit

MODULE = Path(__file__).resolve().parents[2] / "modules" / "04-brokers-and-backends"
OBJECTIVES = [f"04.{number}" for number in range(1, 7)]


def test_the_lesson_writes_files_that_the_lab_has() -> None:
    written = [step.path for step in read_walkthrough(MODULE / "README.md") if isinstance(step, Write)]
    assert written
    for path in written:
        assert (MODULE / "starter" / path).is_file(), path


def test_the_lesson_verifies_and_cleans_up() -> None:
    script = "".join(step.script for step in read_walkthrough(MODULE / "README.md") if isinstance(step, Run))
    for command in (
        "celerylab start 04",
        "celerylab images bake 04",
        "pulumi up --yes",
        "celerylab verify 04",
        "celerylab quiz 04",
        "pulumi destroy",
    ):
        assert command in script


def test_there_are_six_objectives_and_each_has_three_hints() -> None:
    module = load_module(MODULE)
    assert [objective.id for objective in module.objectives] == OBJECTIVES
    assert all(len(rungs(objective.hints)) == 3 for objective in module.objectives)
