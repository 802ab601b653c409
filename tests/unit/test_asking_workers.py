"""How long a question to workers waits for answers."""

import pytest

from celerylab.verify import worker
from celerylab.verify.worker import OTHERS_SECONDS, OTHERS_TIMES, _until_quiet


@pytest.mark.parametrize(("first", "expected"), [(0.01, OTHERS_SECONDS), (2.0, 2.0 * OTHERS_TIMES)])
def test_other_workers_get_a_multiple_of_what_the_first_one_took(monkeypatch: pytest.MonkeyPatch, first: float, expected: float) -> None:
    now, waited = [100.0], []
    monkeypatch.setattr(worker, "monotonic", lambda: now[0])

    def drain_events(timeout: float) -> None:
        waited.append(timeout)
        now[0] += first

    drain = _until_quiet(drain_events)
    for _ in range(3):
        drain(timeout=1.5)
    assert waited == pytest.approx([1.5, expected, expected])
