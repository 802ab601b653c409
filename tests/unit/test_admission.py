"""What does not fit is refused with both numbers."""

import pytest

from celerylab.errors import AdmissionError
from celerylab.topology.admission import Machine, admit
from celerylab.topology.environment import Needs

NEEDS = Needs(memory=400 * 2**20, disk=2**30)
ENOUGH = Machine(memory=2**30, disk=2**31, subnets=10)


def test_what_fits_is_admitted() -> None:
    admit("module 02", NEEDS, 2, 1, ENOUGH)


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (Machine(100 * 2**20, 2**31, 10), "400 MiB of memory, and 100 MiB are free"),
        (Machine(2**30, 2**20, 10), "1 GiB of disk, and 1 MiB are free"),
        (Machine(2**30, 2**31, 1), "2 subnets, and 1 are free"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(machine: Machine, words: str) -> None:
    with pytest.raises(AdmissionError) as refusal:
        admit("module 02", NEEDS, 2, 1, machine)
    assert words in str(refusal.value)
    assert "Nothing was created" in str(refusal.value)


def test_a_stack_that_stands_already_needs_nothing_more() -> None:
    admit("module 02", NEEDS, 2, 0, Machine(0, 0, 0))


def test_an_engine_whose_disk_is_not_visible_is_not_refused_for_it() -> None:
    admit("module 02", NEEDS, 2, 1, Machine(2**30, None, 10))
