"""Leases that end, on a real stack and by a clock of the test's own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from celerylab.cli.reap import reap_now
from celerylab.providers.engine import left_behind
from tests.live.conftest import LiveStack

HOURS = 8  # the default lease


@pytest.fixture
def other(shared: LiveStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Instance of a stack that is another backend's from now on, as those of all other tests are."""
    instance = shared.instance
    monkeypatch.setenv("CELERYLAB_DATA", str(tmp_path))
    return instance


def test_a_lease_is_announced_then_ended_and_other_backends_are_left_alone(other: str, stack: LiveStack) -> None:
    stack.up()
    now = datetime.now(UTC)
    assert reap_now(now) == []
    (warning,) = reap_now(now + timedelta(hours=HOURS, minutes=-10))
    assert (warning["stack"], warning["done"]) == (stack.name, "warned of its end in 15 minutes, in 0 terminals")
    assert reap_now(now + timedelta(hours=HOURS, minutes=-9)) == []
    (would,) = reap_now(now + timedelta(hours=HOURS + 1), dry_run=True)
    assert would["done"] == "would be destroyed"
    assert left_behind(stack.instance)
    (ended,) = reap_now(now + timedelta(hours=HOURS + 1))
    assert ended["done"] == "destroyed; left behind: 0"
    assert left_behind(stack.instance) == []
    assert left_behind(other)
