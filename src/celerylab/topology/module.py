"""The model of `modules/NN-slug/module.yaml`, and how modules are found."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from celerylab.errors import InputError
from celerylab.topology.environment import Endpoint, Environment, Group, Name, Needs, Setting, load_environment
from celerylab.topology.environment import Path as LearningPath
from celerylab.topology.source import Model, load_model, suggestion

ObjectiveId = Annotated[str, Field(pattern=r"^\d\d\.\d+$")]


class ConditionalHint(Model):
    """A hint shown only when the evidence of the last verification satisfies `when`."""

    when: str
    text: str


class Objective(Model):
    """One thing the deployment must do. `look` is the first command to run when it fails; `files` (globs) are what of the lab decides it."""

    id: ObjectiveId
    statement: str
    level: Literal["core", "stretch"] = "core"
    weight: Annotated[int, Field(ge=0)]
    needs: list[ObjectiveId] = []
    applies_when: dict[str, list[Any]] = {}
    look: str
    files: list[str] = []
    hints: list[str | ConditionalHint]
    references: list[str] = []


class Artefact(Model):
    """Written work that a person marks against `rubric`."""

    file: str
    rubric: str
    marker: Literal["instructor", "peer"]
    weight: int = 0


class CourseModule(Model):
    """One of the 47 modules of the course. `groups`, `endpoints`, `secrets`, `settings` and `vars` add to those of the rung, or replace one of
    that name; `without` leaves groups of the rung out. On Kubernetes `chart` are values of the chart, over those of the rung.

    `draft` says what is still missing; a module without a proof is one, and every command that lists modules says so.
    """

    id: Annotated[str, Field(pattern=r"^\d\d$")]
    slug: str
    title: str
    draft: str = ""
    path: LearningPath
    minutes: int
    environment: str
    environment_reason: str = ""
    needs: Needs
    verify_budget_seconds: int
    longest_task_seconds: int
    settings: dict[str, Setting] = {}
    groups: dict[Name, Group] = {}
    without: list[Name] = []
    endpoints: dict[Name, Endpoint] = {}
    secrets: list[str] = []
    vars: dict[str, Any] = {}
    chart: dict[str, Any] = {}
    requires: list[str] = []
    objectives: Annotated[list[Objective], Field(min_length=1)]
    artefacts: list[Artefact] = []

    @model_validator(mode="after")
    def _objectives_agree(self) -> "CourseModule":
        ids = [objective.id for objective in self.objectives]
        for objective in self.objectives:
            if not objective.id.startswith(f"{self.id}."):
                raise ValueError(f"objective {objective.id} does not begin with {self.id}.")
            if ids.count(objective.id) > 1:
                raise ValueError(f"objective {objective.id} is written twice")
            for needed in objective.needs:
                if needed not in ids:
                    raise ValueError(f"objective {objective.id} needs {needed}, which is none of {', '.join(ids)}")
        _ordered(self.objectives)
        return self

    @property
    def run_order(self) -> list[Objective]:
        """The objectives, each after those that it needs, else as they are listed."""
        return _ordered(self.objectives)

    def objective(self, objective_id: str) -> Objective:
        """The objective called `objective_id`. Raises InputError naming those that exist."""
        for objective in self.objectives:
            if objective.id == objective_id:
                return objective
        raise InputError(f"module {self.id} has no objective {objective_id}; it has {', '.join(o.id for o in self.objectives)}")


def _ordered(objectives: list[Objective]) -> list[Objective]:
    ordered: list[Objective] = []
    waiting = list(objectives)
    while waiting:
        done = {objective.id for objective in ordered}
        ready = next((objective for objective in waiting if done.issuperset(objective.needs)), None)
        if ready is None:
            raise ValueError(f"objectives {', '.join(objective.id for objective in waiting)} need each other in a circle")
        ordered.append(ready)
        waiting.remove(ready)
    return ordered


def rung_of(root: Path, folder: Path) -> Environment:
    """The rung of the module in `folder`. Raises InputError with file and line, as `load_module` and `load_environment` do."""
    environment, _ = load_environment(root, load_module(folder).environment, f"{folder.name}/module.yaml")
    return environment


def check_applies(module: CourseModule, rung: Mapping[str, Setting]) -> None:
    """Raises InputError where an objective applies under a setting that neither the module nor its `rung` has."""
    known = {**rung, **module.settings}
    for objective in module.objectives:
        for setting in objective.applies_when:
            if setting not in known:
                raise InputError(
                    f"{module.id}-{module.slug}/module.yaml: objective {objective.id} applies when {setting} says so, "
                    f"which is no setting of the module or its rung{suggestion(setting, list(known))}"
                )


def module_folders(root: Path) -> dict[str, Path]:
    """Folder of every module under `root`, by its two-digit id."""
    return {folder.name[:2]: folder for folder in sorted((root / "modules").glob("[0-9][0-9]-*")) if (folder / "module.yaml").is_file()}


def module_folder(root: Path, wanted: str) -> Path:
    """Folder of the module `wanted` (`02`, `2`, or its folder's name). Raises InputError naming those that exist."""
    folders = module_folders(root)
    key = wanted.split("-")[0].zfill(2)
    if key not in folders or (not wanted.isdigit() and wanted != folders[key].name):
        names = [folder.name for folder in folders.values()]
        raise InputError(f"there is no module {wanted}{suggestion(wanted, names)}; `celerylab list` shows all")
    return folders[key]


def load_module(folder: Path) -> CourseModule:
    """module.yaml of `folder`. Raises InputError with file and line, also where id and slug disagree with the folder's name."""
    module = load_model(folder / "module.yaml", CourseModule)
    if folder.name != f"{module.id}-{module.slug}":
        raise InputError(f"{folder.name}/module.yaml: id and slug say {module.id}-{module.slug}, the folder says {folder.name}")
    return module
