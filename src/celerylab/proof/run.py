"""Deploys the variants of a module, one fresh stack each, and judges what its suite says of them."""

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from celerylab.errors import CelerylabError, InterruptedRunError
from celerylab.proof.contract import Variant, problems
from celerylab.proof.record import ProvedRun, Seconds
from celerylab.providers.engine import left_behind, remove_instance
from celerylab.pulumi_stack import PulumiStack
from celerylab.topology.module import CourseModule
from celerylab.verify.results import Results
from celerylab.verify.run import verify
from celerylab.verify.stack import Stack


@dataclass(frozen=True)
class Outcome:
    """What came of one variant: `problems` is empty where it gave what it must; `evidence` is the folder of its results, if it got so far."""

    variant: Variant
    run: ProvedRun
    problems: list[str]
    evidence: Path | None
    images: dict[str, str]


def prove_variant(folder: Path, module: CourseModule, variant: Variant, say: Callable[[str], None]) -> Outcome:
    """Brings `variant` up on a stack of its own, runs the suite, takes it down, and says what is wrong. Whatever happens, nothing stays."""
    target = PulumiStack(folder, f"prove-{uuid.uuid4().hex[:6]}")
    marks = [time.monotonic()]
    found: list[str] = []
    results: Results | None = None
    evidence: Path | None = None
    images: dict[str, str] = {}
    try:
        say(f"{variant.title}: up")
        under_test = _up(target, variant)
        images = {host["group"]: host["image"] for host in under_test.hosts.values()}
        marks.append(time.monotonic())
        say(f"{variant.title}: verify")
        results, evidence = verify(under_test, [], lambda event: _tell(event, variant, say))
    except InterruptedRunError:
        raise
    except CelerylabError as error:
        # Never a kill: a mutant that cannot be deployed proves nothing about the suite.
        found.append(f"the environment did not come up, or the suite could not run: {error}")
    finally:
        marks += [time.monotonic()] * (3 - len(marks))
        say(f"{variant.title}: down")
        rest = _down(target)
        marks.append(time.monotonic())
    if rest:
        found.append(f"left behind: {', '.join(rest)}")
    if results is not None:
        found += problems(variant, results, module)
    up, verifying, down = (round(later - earlier, 1) for earlier, later in pairwise(marks))
    run = ProvedRun(
        kind=variant.kind,
        lab=variant.lab,
        settings=dict(variant.settings),
        verdicts={objective.id: objective.verdict for objective in results.objectives} if results else {},
        seconds=Seconds(up=up, verify=verifying, down=down),
    )
    return Outcome(variant, run, found, evidence, images)


def _up(target: PulumiStack, variant: Variant) -> Stack:
    target.ensure()
    target.configure({"lab": variant.lab, "owner": "prove", **{key: str(value) for key, value in variant.settings.items()}})
    target.run("up", "--yes", "--skip-preview", quiet=True)
    return Stack(target.name, target.outputs())


def _down(target: PulumiStack) -> list[str]:
    """Takes the stack down, by label where Pulumi cannot; returns what Docker still has of it after Pulumi's own receipt."""
    try:
        if target.exists():
            target.run("destroy", "--yes", "--skip-preview", quiet=True)
        rest = left_behind(target.instance.id)
    except CelerylabError as error:
        rest = left_behind(target.instance.id) or [re.sub(r"\s+", " ", str(error))]
    remove_instance(target.instance.id)
    if target.exists():
        target.run("stack", "rm", "--yes", "--force", quiet=True)
    return rest


def _tell(event: dict[str, object], variant: Variant, say: Callable[[str], None]) -> None:
    if event["event"] == "check":
        say(f"{variant.title}: {event['objective']} {event['verdict']}")
