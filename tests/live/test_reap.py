"""Leases that end, on a real stack and by a clock of the test's own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from celerylab.cli.reap import reap_now
from celerylab.providers.engine import left_behind
from tests.live.conftest import LiveStack

HOURS = 8  # the default lease


@pytest.fixture
def own_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stacks of other tests are another backend's."""
    monkeypatch.setenv("CELERYLAB_DATA", str(tmp_path))


def test_a_lease_is_announced_then_ended_and_other_backends_are_left_alone(shared: LiveStack, own_backend: None, stack: LiveStack) -> None:
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
    assert left_behind(shared.instance)
