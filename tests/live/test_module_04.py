"""Module 04 as it is taught: nothing of the starter passes, repairing it in place passes everything."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from celerylab.providers.engine import left_behind
from tests.live.conftest import LiveStack, run

OBJECTIVES = [f"04.{number}" for number in range(1, 7)]


@pytest.fixture
def stack(root: Path) -> Iterator[LiveStack]:
    """A stack of this test alone."""
    run(["celerylab", "images", "bake", "04"], root)
    live = LiveStack(root / "modules" / "04-brokers-and-backends", module="04")
    yield live
    live.remove()
    assert left_behind(live.instance) == []


def test_nothing_of_the_starter_passes_and_repairing_it_in_place_passes_everything(stack: LiveStack) -> None:
    stack.up("starter")
    verdicts = stack.verdicts()
    assert sorted(verdicts) == OBJECTIVES
    for objective in verdicts.values():
        assert objective["verdict"] == "FAIL", objective
        assert objective["observed"], objective
        assert objective["look"].startswith("celerylab "), objective
    stack.up("solution")
    assert {key: objective["verdict"] for key, objective in stack.verdicts().items()} == dict.fromkeys(OBJECTIVES, "PASS")
