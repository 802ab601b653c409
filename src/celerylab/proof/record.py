"""`proof.json`: what was proved, against which files, engine and images. Committed like a lock file."""

import hashlib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from celerylab import __version__
from celerylab.digest import digest_file, digest_json, digest_tree
from celerylab.errors import InputError
from celerylab.proof.contract import Kind
from celerylab.topology.lab import IGNORED
from celerylab.topology.module import CourseModule
from celerylab.topology.source import Model
from celerylab.verify.results import Verdict

PROOF = "proof.json"
# Rooms whose state a proof notes beside its own module's. A change there is shown; only the module's own makes a proof stale.
ROOMS = ("environments", "roles", "stacks", "src")
_TEXTS = {".md"}
_NOT_PROVED = {"quiz.yaml", PROOF}


class Seconds(Model):
    """What one run cost: bringing the environment up, the suite, and taking it down with its receipt."""

    up: float
    verify: float
    down: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.up + self.verify + self.down


class ProvedRun(Model):
    """One variant that gave what it must."""

    kind: Kind
    lab: str
    settings: dict[str, str | int]
    verdicts: dict[str, Verdict]
    seconds: Seconds


class Proof(Model):
    """The model of `modules/NN-slug/proof.json`."""

    schema_: Literal["celerylab/proof/1"] = Field("celerylab/proof/1", alias="schema")
    module: str
    proved: datetime
    hashes: dict[str, str]
    images: dict[str, str]
    engine: str
    celery: str
    celerylab: str
    runs: list[ProvedRun]

    @property
    def summary(self) -> str:
        """`module 07: starter 0/5 pass, solution 5/5 pass, mutants 9/9 killed, controls 1/1 clean, left behind: 0`."""
        starters, solutions = self._of("starter"), self._of("solution", "alternative")
        mutants, controls = self._of("mutant"), self._of("control")
        return (
            f"module {self.module}: starter {_passes(starters)} pass, solution {_passes(solutions)} pass, "
            f"mutants {len(mutants)}/{len(mutants)} killed, controls {len(controls)}/{len(controls)} clean, left behind: 0"
        )

    def _of(self, *kinds: Kind) -> list[ProvedRun]:
        return [run for run in self.runs if run.kind in kinds]


def make_proof(root: Path, folder: Path, module: CourseModule, runs: list[ProvedRun], images: dict[str, str], engine: str) -> Proof:
    """The record of `runs`, all of which gave what they must."""
    return Proof(
        schema="celerylab/proof/1",
        module=module.id,
        proved=datetime.now(UTC).replace(microsecond=0),
        hashes=hashes(root, folder),
        images=images,
        engine=engine,
        celery=version("celery"),
        celerylab=__version__,
        runs=runs,
    )


def hashes(root: Path, folder: Path) -> dict[str, str]:
    """Hash of the module's folder under `module`, and of each room it stands on."""
    rooms = {room: digest_tree(root / room, ignore=IGNORED) for room in ROOMS if (root / room).is_dir()}
    return {"module": module_hash(folder), **rooms}


def module_hash(folder: Path) -> str:
    """Hash of what a verdict of the module can depend on: not its texts, quiz and draft line, the learner's lab/, files of stacks and the proof."""
    names = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in _TEXTS and path.name not in _NOT_PROVED and _counts(path.relative_to(folder))
    ]
    return digest_json([[path.relative_to(folder).as_posix(), _digest(path)] for path in names])


def load_proof(folder: Path) -> Proof | None:
    """The module's recorded proof, or None. Raises InputError where the file is not one."""
    path = folder / PROOF
    if not path.is_file():
        return None
    try:
        return Proof.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise InputError(f"{path}: {error.errors()[0]['msg']}; `celerylab prove {folder.name[:2]}` writes it anew") from None


def staleness(folder: Path) -> str | None:
    """Why the module must be proved again, in one line; None while its proof holds."""
    proof = load_proof(folder)
    if proof is None:
        return f"{folder.name} was never proved"
    if proof.hashes.get("module") != module_hash(folder):
        return f"{folder.name} changed since it was proved on {proof.proved:%Y-%m-%d}"
    return None


def changed_rooms(root: Path, folder: Path) -> list[str]:
    """Rooms outside the module that changed since it was proved."""
    proof = load_proof(folder)
    now = hashes(root, folder)
    return [room for room in ROOMS if proof is not None and proof.hashes.get(room) != now.get(room)]


def _digest(path: Path) -> str:
    """The file's; of a module.yaml whether it is a draft or not, because the line goes when the proof is there."""
    if path.name != "module.yaml":
        return digest_file(path)
    lines = path.read_bytes().splitlines(keepends=True)
    return hashlib.sha256(b"".join(line for line in lines if not line.startswith(b"draft:"))).hexdigest()


def _counts(relative: Path) -> bool:
    stack_file = relative.parent == Path() and relative.name.startswith("Pulumi.") and relative.name != "Pulumi.yaml"
    return relative.parts[0] != "lab" and not stack_file and IGNORED.isdisjoint(relative.parts)


def _passes(runs: list[ProvedRun]) -> str:
    """Of one run, as `5/5`; of several, all their objectives together would tell less, so the worst of them."""
    counted = [(sum(verdict is Verdict.PASS for verdict in run.verdicts.values()), len(run.verdicts)) for run in runs]
    passed, total = min(counted, key=lambda pair: pair[0] - pair[1], default=(0, 0))
    return f"{passed}/{total}"
