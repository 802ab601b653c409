"""Module 02 as it is taught: the solution passes, nothing of the starter does, with either broker."""

import shlex
from pathlib import Path

import pytest

from tests.live.conftest import LiveStack, run

OBJECTIVES = ["02.1", "02.2", "02.3", "02.4", "02.5"]


def test_the_demo_ends_with_its_verdict_and_receipt(root: Path) -> None:
    result = run(["celerylab", "demo", "02"], root)
    assert result.stdout.strip().splitlines()[-1] == "module 02: 5 PASS, 0 FAIL, 0 NOT_OBSERVED; left behind: 0"


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_nothing_of_the_starter_passes_and_repairing_it_in_place_passes_everything(stack: LiveStack, broker: str) -> None:
    stack.up("starter", broker=broker)
    verdicts = stack.verdicts()
    assert sorted(verdicts) == OBJECTIVES
    assert all(objective["verdict"] != "PASS" for objective in verdicts.values()), verdicts
    failed = [objective for objective in verdicts.values() if objective["verdict"] == "FAIL"]
    assert failed
    for objective in failed:
        assert objective["observed"], objective
        assert objective["expected"], objective
        assert objective["look"].startswith("celerylab "), objective
        run(shlex.split(objective["look"]), stack.folder)  # what it says to type works
    for objective in verdicts.values():
        if objective["verdict"] == "NOT_OBSERVED":
            assert objective["cause"].startswith("needs "), objective
    stack.up("solution")
    assert {key: objective["verdict"] for key, objective in stack.verdicts().items()} == dict.fromkeys(OBJECTIVES, "PASS")
