"""How many task processes a host should have. Only decides: what is seen comes from scaler.py, which also does what is decided."""

import math

LEAST, MOST = 2, 8  # processes of one host
TARGET_USE = 0.6  # by the signal "metric": which share of the processes should be busy
COOLDOWN_SECONDS = 8  # so long fewer processes must be enough before any is given up


def needed_by_queue(seen):
    """How many processes the waiting messages ask of this host: one for each task, and the other hosts take their share."""
    return seen.busy + math.ceil(seen.waiting / seen.workers)


def needed_by_metric(seen, use):
    """How many processes would bring `use`, the share that is busy, to TARGET_USE. Without data, what there is: no data is not a quiet night."""
    return seen.processes if use is None else math.ceil(seen.processes * use / TARGET_USE)


def decide(processes, needed, quiet_seconds):
    """How many processes there should be, when there are `processes` and `needed` would do, which has been fewer for `quiet_seconds`.

    Up at once: messages are waiting. Down late: a pause between two bursts is no reason to give processes up.
    """
    needed = max(LEAST, min(MOST, needed))
    if needed >= processes or quiet_seconds >= COOLDOWN_SECONDS:
        return needed
    return processes
