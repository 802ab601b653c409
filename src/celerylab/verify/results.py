"""The words of a verification and the model of `results.json`; its JSON schema is published as docs/schemas/results.json."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from celerylab.topology.source import Model


class Verdict(StrEnum):
    """What a run says of an objective. NOT_OBSERVED never scores and asks for a rerun."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    NOT_OBSERVED = "NOT_OBSERVED"


class ObjectiveResult(Model):
    """One objective's verdict. FAIL has `observed`, `expected` and `look`; NOT_OBSERVED has `cause`."""

    id: str
    verdict: Verdict
    weight: int
    level: Literal["core", "stretch"]
    seconds: float
    statement: str
    observed: str = ""
    expected: str = ""
    look: str = ""
    cause: str = ""
    evidence: dict[str, Any] = {}
    checks: list[str] = []


class Fingerprint(Model):
    """What the verdicts were found with and on."""

    suite: str
    suite_published: bool
    lab: str
    images: dict[str, str]
    celery: str
    celerylab: str


class Results(Model):
    """One run of a module's suite."""

    schema_: Literal["celerylab/results/1"] = Field("celerylab/results/1", alias="schema")
    run: str
    module: str
    stack: str
    owner: str
    lab: str
    settings: dict[str, str | int]
    started: datetime
    seconds: float
    complete: bool
    objectives: list[ObjectiveResult]
    fingerprint: Fingerprint

    def count(self, verdict: Verdict) -> int:
        """How many objectives have `verdict`."""
        return sum(objective.verdict is verdict for objective in self.objectives)

    @property
    def passed(self) -> bool:
        """Whether every applicable objective was observed and holds."""
        return self.complete and all(objective.verdict is Verdict.PASS for objective in self.objectives)

    @property
    def summary(self) -> str:
        """`module 02: 5 PASS, 0 FAIL, 0 NOT_OBSERVED`."""
        return f"module {self.module}: " + ", ".join(f"{self.count(verdict)} {verdict}" for verdict in Verdict)
