"""Leases that end, by a clock of the test's own."""

import os
import pty
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from celerylab import terminals
from celerylab.pulumi_stack import PulumiStack
from celerylab.reaper import Lease, Warned, due

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def warned(tmp_path: Path) -> Warned:
    return Warned(tmp_path / "warned.json")


@pytest.fixture
def lease(module_02: Path, monkeypatch: pytest.MonkeyPatch) -> Lease:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///nowhere")
    return Lease(PulumiStack(module_02, "me"), NOON)


def at(minutes: float) -> datetime:
    """So many minutes before the lease ends."""
    return NOON - timedelta(minutes=minutes)


def test_one_warning_at_15_one_at_5_then_the_end(lease: Lease, warned: Warned) -> None:
    seen = []
    for minutes in (60, 16, 15, 14, 10, 6, 5, 4, 1, 0):
        for action in due([lease], at(minutes), warned):
            seen.append((minutes, action.minutes))
            warned.add(action)
    assert seen == [(15, 15), (5, 5), (0, None)]


def test_who_looks_late_gives_the_later_warning_alone(lease: Lease, warned: Warned) -> None:
    (action,) = due([lease], at(3), warned)
    assert action.minutes == 5
    warned.add(action)
    assert due([lease], at(2), warned) == []


def test_a_stack_that_could_not_be_destroyed_is_tried_again(lease: Lease, warned: Warned) -> None:
    for _ in range(2):
        (action,) = due([lease], at(-10), warned)
        assert action.minutes is None
        warned.add(action)


def test_warnings_are_remembered_and_a_longer_lease_is_another(lease: Lease, warned: Warned, tmp_path: Path) -> None:
    warned.add(due([lease], at(15), warned)[0])
    again = Warned(tmp_path / "warned.json")
    assert due([lease], at(14), again) == []
    longer = Lease(lease.stack, NOON + timedelta(hours=1))
    again.keep([longer])
    assert [action.minutes for action in due([longer], at(-50), again)] == [15]
    assert [action.minutes for action in due([lease], at(14), again)] == [15], "kept what no stack has any more"


def test_a_line_reaches_a_terminal_and_what_is_no_terminal_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERYLAB_DATA", str(tmp_path))
    controller, terminal = pty.openpty()
    notes = tmp_path / "terminals"
    notes.mkdir()
    (notes / "mine").write_text(os.ttyname(terminal))
    (notes / "gone").write_text("/dev/pts/no-such-terminal")
    (notes / "file").write_text(str(tmp_path / "warned.json"))
    (tmp_path / "warned.json").write_text("{}")
    assert terminals.write_to_terminals("it ends soon") == 1
    assert b"it ends soon" in os.read(controller, 200)
    assert [note.name for note in notes.iterdir()] == ["mine"]
    assert (tmp_path / "warned.json").read_text() == "{}"
