"""How many task processes a host should have. Only decides: what is seen comes from scaler.py, which also does what is decided."""

import math

LEAST, MOST = 2, 8  # processes of one host
TARGET_USE = 0.6  # by the signal "metric": which share of the processes should be busy
COOLDOWN_SECONDS = 8  # so long fewer processes must be enough before any is given up


def needed_by_queue(seen):
    """How many processes the waiting messages ask of this host. Yours to write: now it asks for what there is."""
    return seen.processes


def needed_by_metric(seen, use):
    """How many processes would bring `use`, the share that is busy, to TARGET_USE. Without data, what there is: no data is not a quiet night."""
    return seen.processes if use is None else math.ceil(seen.processes * use / TARGET_USE)


def decide(processes, needed, quiet_seconds):
    """How many processes there should be, when there are `processes` and `needed` would do, which has been fewer for `quiet_seconds`.

    Yours to write: now everything stays as it is.
    """
    return processes
