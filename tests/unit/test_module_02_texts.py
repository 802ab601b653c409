"""Module 02's texts: the README is plain Pulumi, and may be followed by hand; what every module holds is in test_module_texts.py."""

import re
from pathlib import Path

import pytest

from celerylab.course.hints import rungs
from celerylab.course.walkthrough import Run, Write, read_walkthrough
from celerylab.topology.module import load_module

pytestmark = pytest.mark.unit

MODULE = Path(__file__).resolve().parents[2] / "modules" / "02-first-application"


def walkthrough() -> list[Run | Write]:
    return read_walkthrough(MODULE / "README.md")


def test_commands_of_the_readme_are_few_and_known() -> None:
    for step in walkthrough():
        if isinstance(step, Run):
            lines = re.sub(r"\\\n", " ", step.script).splitlines()
            first_words = {line.split("$(")[-1].split()[0] for line in lines if line.strip()}
            assert first_words <= {"source", "cd", "cp", "echo", "sleep", "until", "celerylab", "pulumi", "on_node", "on_node()", "}"}


def test_the_readme_begins_and_ends_as_plain_pulumi_does() -> None:
    scripts = "".join(step.script for step in walkthrough() if isinstance(step, Run) and step.tested)
    order = ["source ./activate", "cd modules/02-first-application", "celerylab start 02", "pulumi stack init me", "pulumi up --yes"]
    order += ["celerylab verify 02", "pulumi destroy --yes", "celerylab down 02"]
    positions = [scripts.index(command) for command in order]
    assert positions == sorted(positions)


def test_few_blocks_of_the_readme_are_for_people_only() -> None:
    assert [step.script.split()[:2] for step in walkthrough() if isinstance(step, Run) and not step.tested] == [
        ["failed=$(on_node", "celery"],
        ["celerylab", "quiz"],
    ]


def test_verify_is_the_only_command_that_may_fail() -> None:
    failing = [step for step in walkthrough() if isinstance(step, Run) and step.exit_status]
    assert len(failing) == 2
    assert {step.script.splitlines()[-1] for step in failing} == {"celerylab verify 02"}


# module.yaml, quiz and written work.


def test_objectives_are_the_five_of_the_curriculum_and_weigh_the_same() -> None:
    module = load_module(MODULE)
    assert module.minutes == 120
    assert {objective.id: (objective.level, objective.weight) for objective in module.objectives} == {
        f"02.{number}": ("core", 20) for number in range(1, 6)
    }
    assert {objective.id: objective.needs for objective in module.objectives} == {
        f"02.{number}": [] if number == 2 else ["02.2"] for number in range(1, 6)
    }


def test_each_objective_has_three_hints_and_some_are_chosen_by_evidence() -> None:
    objectives = load_module(MODULE).objectives
    assert all(len(rungs(objective.hints)) == 3 for objective in objectives)
    assert sum(not isinstance(hint, str) for objective in objectives for hint in objective.hints) >= 5


def test_one_piece_of_written_work_is_read_by_a_peer() -> None:
    assert {artefact.file: artefact.marker for artefact in load_module(MODULE).artefacts} == {
        "answers/code-review.md": "peer",
        "answers/exit-ticket.md": "instructor",
    }
