"""The variants of a module that its proof deploys: mutants, controls and alternative solutions, each an overlay on the solution."""

from dataclasses import dataclass
from pathlib import Path

from celerylab.errors import InputError
from celerylab.topology.lab import ALTERNATIVES, MUTANTS, Overlay
from celerylab.topology.module import CourseModule, ObjectiveId
from celerylab.topology.source import read_yaml, validate


class Mutant(Overlay):
    """The model of `mutants/<name>/mutant.yaml`. Every other file of the folder overlays the solution by its path.

    `fails` are the objectives that become FAIL; what needs them becomes NOT_OBSERVED, everything else stays PASS. With no `fails` it is a
    control: a change that must not matter.
    """

    fails: list[ObjectiveId]
    why: str


@dataclass(frozen=True)
class NamedMutant:
    """A mutant and the lab that deploys it, such as `mutants/slow-restart`."""

    lab: str
    mutant: Mutant

    @property
    def is_control(self) -> bool:
        """Whether nothing may fail."""
        return not self.mutant.fails


def load_mutants(folder: Path, module: CourseModule) -> list[NamedMutant]:
    """The mutants of the module in `folder`, controls included, by name. Raises InputError where one names an objective that does not exist."""
    found = []
    for path in sorted((folder / MUTANTS).glob("*/")):
        file = path / "mutant.yaml"
        if not file.is_file():
            raise InputError(
                f"{path.relative_to(folder.parent)}: a mutant needs a mutant.yaml that says which objectives it fails, and why"
            )
        source = read_yaml(file)
        mutant = validate(source, Mutant)
        known = [objective.id for objective in module.objectives]
        for index, objective_id in enumerate(mutant.fails):
            if objective_id not in known:
                raise source.error(("fails", index), f"module {module.id} has no objective {objective_id}; it has {', '.join(known)}")
        found.append(NamedMutant(f"{MUTANTS}/{path.name}", mutant))
    return found


def alternatives(folder: Path) -> list[str]:
    """Labs of the alternative solutions, such as `alternatives/dead-letter-first`."""
    return [f"{ALTERNATIVES}/{path.name}" for path in sorted((folder / ALTERNATIVES).glob("*/"))]
