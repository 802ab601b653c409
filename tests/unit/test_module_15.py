"""Module 15 as it is written: every variant plans, and the lesson writes files of the lab."""

from pathlib import Path

import pytest

from celerylab.course.walkthrough import Write, read_walkthrough
from celerylab.topology.lab import check_syntax, layers, overlay
from celerylab.topology.module import load_module
from celerylab.topology.plan import make_plan
from celerylab.topology.variants import alternatives, load_mutants

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "modules" / "15-periodic-tasks"
OBJECTIVES = [f"15.{number}" for number in range(1, 8)]


@pytest.mark.parametrize(
    "wanted", ["starter", "solution", *alternatives(MODULE), *(mutant.lab for mutant in load_mutants(MODULE, load_module(MODULE)))]
)
def test_every_variant_parses_and_plans(tmp_path: Path, wanted: str) -> None:
    for layer in layers(MODULE, wanted)[1]:
        overlay(layer, tmp_path)
    check_syntax(tmp_path)
    plan = make_plan(ROOT, "15", {"lab": wanted})
    assert [host.name for host in plan.hosts] == ["broker-1", "data-1", "beat-1", "beat-2", "api-1", "worker-1", "worker-2"]
    told = {host.group for host in plan.hosts for role in host.roles if "api_token" in role.secrets}
    assert told == {"api"}, "the token of the API is for its host alone"


def test_the_lesson_writes_files_that_the_lab_has() -> None:
    written = [step.path for step in read_walkthrough(MODULE / "README.md") if isinstance(step, Write)]
    assert written
    assert all((MODULE / "starter" / path).is_file() for path in written)


def test_objectives_are_those_of_the_curriculum() -> None:
    module = load_module(MODULE)
    assert module.minutes == 120
    assert [objective.id for objective in module.objectives] == OBJECTIVES
    assert sum(objective.weight for objective in module.objectives) == 100
    assert [objective.id for objective in module.objectives if objective.level == "stretch"] == ["15.7"]
