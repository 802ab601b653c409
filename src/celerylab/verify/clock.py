"""Did time pass for the suite as it passed for us? Every `within 10 s` depends on it, so a run whose clock stood still decides nothing."""

import time
from typing import Any

TOLERANCE_SECONDS = 2.0


def clock_now() -> dict[str, float]:
    """`monotonic` seconds, and how long the machine has been `asleep` since it booted (0 where the system does not tell)."""
    monotonic = time.monotonic()
    boot = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else monotonic
    return {"monotonic": monotonic, "asleep": boot - monotonic}


def clock_problem(events: list[dict[str, Any]]) -> str | None:
    """What is wrong with the clock of a run, in one line; None where it agrees with ours.

    `events` of the suite have its `clock`, and under `heard` ours at the moment they arrived.
    """
    timed = [event for event in events if "clock" in event and "heard" in event]
    if len(timed) < 2:
        return None
    first, last = timed[0], timed[-1]
    theirs = last["clock"]["monotonic"] - first["clock"]["monotonic"]
    ours = last["heard"]["monotonic"] - first["heard"]["monotonic"]
    if abs(theirs - ours) > TOLERANCE_SECONDS:
        return f"the clock of the run did not keep time: {theirs:.1f} s passed there, {ours:.1f} s here; verify again"
    slept = last["heard"]["asleep"] - first["heard"]["asleep"]
    if slept > TOLERANCE_SECONDS:
        return f"the machine slept for {slept:.0f} s during the run; verify again"
    return None
