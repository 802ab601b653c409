"""What each variant of a module must give. Nothing here deploys anything: verdicts come in, problems come out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from celerylab.topology.module import CourseModule, Objective
from celerylab.topology.settings import every_choice
from celerylab.topology.variants import alternatives, load_mutants
from celerylab.verify.results import ObjectiveResult, Results, Verdict

Kind = Literal["starter", "solution", "alternative", "mutant", "control"]
MUTANTS_PER_CORE_OBJECTIVE = 2


@dataclass(frozen=True)
class Variant:
    """One deployment of a proof: the `lab` to deploy, the settings it is deployed with, and the objectives a mutant must `fail`."""

    kind: Kind
    lab: str
    settings: Mapping[str, str | int] = field(default_factory=dict)
    fails: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """How a person names it: `solution (broker=rabbitmq)`."""
        chosen = ", ".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{self.lab} ({chosen})" if chosen else self.lab


def variants(folder: Path, module: CourseModule) -> list[Variant]:
    """All that a proof deploys: starter, solution and alternatives under every choice of the settings, mutants and controls under the defaults."""
    found: list[Variant] = []
    for choice in every_choice(module):
        found += [Variant("starter", "starter", choice), Variant("solution", "solution", choice)]
        found += [Variant("alternative", lab, choice) for lab in alternatives(folder)]
    for named in load_mutants(folder, module):
        found.append(Variant("control" if named.is_control else "mutant", named.lab, {}, tuple(named.mutant.fails)))
    return found


class Problem(NamedTuple):
    """What keeps a variant from proving what it should; `objective` is the one it is about, empty where it is about the whole run."""

    objective: str
    text: str


def coverage_problems(module: CourseModule, mutants: Iterable[Variant]) -> list[Problem]:
    """Objectives that too few mutants fail: at least one each, and two for a core one."""
    killed = [objective_id for mutant in mutants for objective_id in mutant.fails]
    problems = []
    for objective in module.objectives:
        wanted = MUTANTS_PER_CORE_OBJECTIVE if objective.level == "core" else 1
        if killed.count(objective.id) < wanted:
            problems.append(Problem(objective.id, f"is in `fails:` of {killed.count(objective.id)} mutants; write at least {wanted}"))
    return problems


def problems(variant: Variant, results: Results, module: CourseModule) -> list[Problem]:
    """What is wrong with the verdicts of a variant; empty where it proves what it should."""
    found: list[Problem] = []
    if not results.complete:
        found.append(Problem("", "the run did not decide every applicable objective"))
    if not results.fingerprint.suite_published:
        found.append(Problem("", "verify/ is not the published suite: run scripts/generate"))
    by_id = {objective.id: objective for objective in results.objectives}
    trouble = [
        Problem(objective.id, f"is NOT_OBSERVED: {objective.cause}")
        for objective in results.objectives
        if objective.verdict is Verdict.NOT_OBSERVED and not objective.cause.startswith("needs ")
    ]
    found += trouble
    if variant.kind == "starter":
        return found + _starter_problems(by_id)
    expected = _expected(variant, module, set(by_id))
    for objective_id, verdict in expected.items():
        result = by_id[objective_id]
        if result.verdict is not verdict and objective_id not in {problem.objective for problem in trouble}:
            found.append(Problem(objective_id, f"is {result.verdict}, not {verdict}{_said(result)}"))
    for objective_id in variant.fails:
        if objective_id not in by_id:
            found.append(Problem(objective_id, "does not apply under the default settings, so no mutant can fail it"))
    return found


def _starter_problems(by_id: Mapping[str, ObjectiveResult]) -> list[Problem]:
    found = [Problem(key, "is PASS on the untouched starter") for key, result in by_id.items() if result.verdict is Verdict.PASS]
    if not any(result.verdict is Verdict.FAIL for result in by_id.values()):
        found.append(Problem("", "no objective is FAIL on the untouched starter"))
    return found


def _expected(variant: Variant, module: CourseModule, applicable: set[str]) -> dict[str, Verdict]:
    expected: dict[str, Verdict] = {}
    for objective in module.run_order:
        if objective.id in applicable:
            expected[objective.id] = _expected_of(objective, variant, expected)
    return expected


def _expected_of(objective: Objective, variant: Variant, before: Mapping[str, Verdict]) -> Verdict:
    if any(before.get(needed, Verdict.PASS) is not Verdict.PASS for needed in objective.needs):
        return Verdict.NOT_OBSERVED
    return Verdict.FAIL if objective.id in variant.fails else Verdict.PASS


def _said(result: ObjectiveResult) -> str:
    said = result.observed or result.cause
    return f": {said}" if said else ""
