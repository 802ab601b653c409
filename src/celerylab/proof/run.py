"""Deploys the variants of a module, one fresh stack each, and judges what its suite says of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from celerylab.errors import CelerylabError, InterruptedRunError
from celerylab.proof.contract import Problem, Variant, problems
from celerylab.proof.record import ProvedRun, Seconds
from celerylab.throwaway import ThrowawayStack
from celerylab.topology.module import CourseModule
from celerylab.topology.source import read_yaml
from celerylab.verify.results import Results
from celerylab.verify.run import verify


@dataclass(frozen=True)
class Outcome:
    """What came of one variant: `problems` is empty where it gave what it must; `evidence` is the folder of its results, if it got so far."""

    variant: Variant
    run: ProvedRun
    problems: list[str]
    evidence: Path | None
    images: dict[str, str]


def placed(folder: Path, module: CourseModule, found: list[Problem], variant: Variant | None = None) -> list[str]:
    """Problems with the file and line that a person would open: the mutant's description, or the objective in module.yaml."""
    source = read_yaml(folder / "module.yaml")
    positions = {objective.id: index for index, objective in enumerate(module.objectives)}
    lines = []
    for problem in found:
        where = source.place(("objectives", positions[problem.objective], "id")) if problem.objective else source.place(())
        if variant is not None and variant.kind in ("mutant", "control"):
            where = read_yaml(folder / variant.lab / "mutant.yaml").place(("fails",))
        lines.append(f"{where}: {problem.objective} {problem.text}".replace(":  ", ": "))
    return lines


def prove_variant(
    folder: Path,
    module: CourseModule,
    variant: Variant,
    say: Callable[[str], None],
    cancelled: Callable[[], bool] = lambda: False,
    where: Mapping[str, str] | None = None,
) -> Outcome:
    """Brings `variant` up on a stack of its own, runs the suite, takes it down, and says what is wrong. Whatever happens, nothing stays.

    Once `cancelled` says yes, the suite undoes its fault and the stack goes. `where` are settings that say which cluster it is on.
    """
    throwaway = ThrowawayStack(folder, "prove")
    found: list[str] = []
    results: Results | None = None
    evidence: Path | None = None
    images: dict[str, str] = {}
    try:
        say(f"{variant.title}: up")
        under_test = throwaway.up({"lab": variant.lab, "owner": "prove", **(where or {}), **variant.settings})
        images = {host["group"]: host["image"] for host in under_test.hosts.values()} or under_test.images
        say(f"{variant.title}: verify")
        results, evidence = verify(under_test, [], lambda event: _tell(event, variant, say), cancelled)
    except InterruptedRunError:
        raise
    except CelerylabError as error:
        # Never a kill: a mutant that cannot be deployed proves nothing about the suite.
        found.append(f"the environment did not come up, or the suite could not run: {error}")
    finally:
        say(f"{variant.title}: down")
        rest = throwaway.down()
    if rest:
        found.append(f"left behind: {', '.join(rest)}")
    if results is not None:
        found += placed(folder, module, problems(variant, results, module), variant)
    seconds = {**throwaway.seconds, "verify": results.seconds if results else 0.0}
    run = ProvedRun(
        kind=variant.kind,
        lab=variant.lab,
        settings=dict(variant.settings),
        verdicts={objective.id: objective.verdict for objective in results.objectives} if results else {},
        seconds=Seconds(**{part: round(seconds.get(part, 0.0), 1) for part in ("up", "verify", "down")}),
    )
    return Outcome(variant, run, found, evidence, images)


def _tell(event: dict[str, object], variant: Variant, say: Callable[[str], None]) -> None:
    if event["event"] == "check":
        say(f"{variant.title}: {event['objective']} {event['verdict']}")
