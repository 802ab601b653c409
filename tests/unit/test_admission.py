"""What does not fit is refused with both numbers."""

from dataclasses import replace

import pytest

from celerylab.errors import AdmissionError
from celerylab.topology.admission import Machine, admit
from celerylab.topology.environment import Needs, Size

NEEDS = Needs(memory=400 * 2**20, disk=2**30)
ENOUGH = Machine(memory=2**30, disk=2**31, subnets=10, processors=2, whole_memory=2**31)


def test_what_fits_is_admitted() -> None:
    admit("module 02", NEEDS, 2, 1, ENOUGH)


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (replace(ENOUGH, memory=100 * 2**20), "400 MiB of memory, and 100 MiB are free"),
        (replace(ENOUGH, disk=2**20), "1 GiB of disk, and 1 MiB are free"),
        (replace(ENOUGH, subnets=1), "2 subnets, and 1 are free"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(machine: Machine, words: str) -> None:
    with pytest.raises(AdmissionError) as refusal:
        admit("module 02", NEEDS, 2, 1, machine)
    assert words in str(refusal.value)
    assert "Nothing was created" in str(refusal.value)


def test_more_hosts_than_the_kernel_lets_boot_are_refused_with_the_remedy() -> None:
    hosts = {f"worker-{number}": Size(cpus=1, memory=2**20) for number in range(4)}
    admit("module 16", NEEDS, 2, 0.5, replace(ENOUGH, hosts=2), hosts)  # two of the four are there
    with pytest.raises(AdmissionError, match=r"4 more hosts, and 3 more can boot .*`sudo sysctl fs.inotify.max_user_instances=1024`"):
        admit("module 16", NEEDS, 2, 1, replace(ENOUGH, hosts=3), hosts)


def test_a_stack_that_stands_already_needs_nothing_more() -> None:
    admit("module 02", NEEDS, 2, 0, replace(ENOUGH, memory=0, disk=0, subnets=0))


def test_an_engine_whose_disk_is_not_visible_is_not_refused_for_it() -> None:
    admit("module 02", NEEDS, 2, 1, replace(ENOUGH, disk=None))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (Size(cpus=4, memory=2**20), "4 processors for worker-1, and there are 2"),
        (Size(cpus=1, memory=2**32), "4 GiB of memory for worker-1, and there are 2 GiB"),
    ],
)
def test_limits_above_the_machine_are_refused_with_the_numbers(size: Size, words: str) -> None:
    with pytest.raises(AdmissionError) as refusal:
        admit("module 16", NEEDS, 2, 1, ENOUGH, {"worker-1": size})
    assert words in str(refusal.value)
