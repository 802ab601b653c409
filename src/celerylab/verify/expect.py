"""What a check says: `expect` an observed value, `wait_for` it, `poll` for it, or admit that it could not be observed."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class NotAsExpectedError(AssertionError):
    """An observed value is not as required: the objective FAILs."""

    def __init__(self, observed: str, expected: str, look: str, evidence: dict[str, Any]) -> None:
        super().__init__(f"observed: {observed}; expected: {expected}")
        self.observed, self.expected, self.look, self.evidence = observed, expected, look, evidence


class NotObservedError(Exception):
    """The harness could not see what it wanted to see: the objective is NOT_OBSERVED, never a grade."""


class BrokerUnreachableError(Exception):
    """The broker does not answer, or refuses its worker's credentials: an observation of the deployment, not trouble of the harness."""


def expect(holds: object, *, observed: object, expected: str, look: str = "", **evidence: Any) -> None:
    """Records that `holds` must be true of what was `observed`. Both texts are in the learner's words.

    `look` is the command that shows it; `evidence` goes to results.json and decides which hint fits.
    """
    if not holds:
        raise NotAsExpectedError(str(observed), expected, look, evidence)


def poll(look_now: Callable[[], T | None], seconds: float, every: float = 0.2) -> T | None:
    """What `look_now` returns once that is something true, or what it returned last when `seconds` are over.

    For checks that go on and say more of what came of it; `wait_for` fails. A broker that does not answer yet is waited for like anything else.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = look_now()
        except BrokerUnreachableError:
            found = None
        if found or time.monotonic() >= deadline:
            return found
        time.sleep(every)


def wait_for(
    look_now: Callable[[], T | None],
    seconds: float,
    *,
    expected: str,
    observed: Callable[[], object] | str = "nothing",
    look: str = "",
    every: float = 0.2,
    **evidence: Any,
) -> T:
    """Polls `look_now` until it returns something true, and returns that.

    Fails like `expect` when `seconds` have passed; `observed` then says what was there instead. Whether the control channel still works is asked
    by the plugin, which turns the failure into NOT_OBSERVED where it does not.
    """
    unreachable = ""

    def look_and_note() -> T | None:
        nonlocal unreachable
        unreachable = ""
        try:
            return look_now()
        except BrokerUnreachableError as error:
            unreachable = f"; {error}"
            raise

    found = poll(look_and_note, seconds, every)
    if found:
        return found
    seen = observed() if callable(observed) else observed
    raise NotAsExpectedError(f"{seen} within {seconds:g} s{unreachable}", expected, look, evidence)


def lasting(seconds: float, why: str) -> None:
    """Lets a fault last `seconds`; `why`, for whoever reads the check, says what needs that long. Never for waiting until something holds."""
    if not why:
        raise ValueError("say what needs that long")
    time.sleep(seconds)
