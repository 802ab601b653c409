"""How verdicts of checks become verdicts of objectives, and which objectives a run decides."""

from celerylab.topology.module import Objective
from celerylab.verify.results import Verdict
from celerylab.verify.stack import Stack


def worst(one: Verdict, other: Verdict) -> Verdict:
    """FAIL before NOT_OBSERVED before PASS: a failure that was seen stays one."""
    order = (Verdict.PASS, Verdict.NOT_OBSERVED, Verdict.FAIL)
    return max(one, other, key=order.index)


def with_needs(only: list[str], stack: Stack) -> list[str]:
    """The objectives `only` and, transitively, those they need."""
    wanted = set(only)
    for candidate in reversed(stack.module.run_order):
        if candidate.id in wanted:
            wanted |= set(candidate.needs)
    return [candidate.id for candidate in stack.module.objectives if candidate.id in wanted]


def applies(wanted: Objective, stack: Stack) -> bool:
    """Whether the stack's settings are among those the objective is for."""
    return all(stack.settings.get(name) in allowed for name, allowed in wanted.applies_when.items())
