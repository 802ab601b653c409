"""Commands of the course: list, show, start, reset, hint, quiz."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from celerylab.cli.arguments import Json, Module, StackName, folder_of, stack_of
from celerylab.cli.console import out, print_json
from celerylab.course.hints import next_hint
from celerylab.course.progress import Progress
from celerylab.course.workspace import reset_lab, start_lab
from celerylab.errors import InputError
from celerylab.paths import project_root
from celerylab.topology.environment import Setting, load_environment
from celerylab.topology.module import CourseModule, load_module, module_folders
from celerylab.topology.units import format_bytes
from celerylab.verify.run import latest_results


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("list")(list_modules)
    app.command()(show)
    app.command()(start)
    app.command()(reset)
    app.command()(hint)


def list_modules(json_: Json = False) -> None:
    """Lists the modules of the course that are here."""
    modules = [load_module(folder) for folder in module_folders(project_root()).values()]
    if json_:
        print_json([_summary(module) for module in modules])
        return
    table = Table("module", "title", "path", "minutes", "environment", box=None)
    for module in modules:
        title = f"{module.title} (draft: {module.draft})" if module.draft else module.title
        table.add_row(module.id, escape(title), module.path, str(module.minutes), module.environment)
    out.print(table)


def show(module: Module, json_: Json = False) -> None:
    """Shows a module: what it needs, what can be set, and its objectives."""
    found = load_module(folder_of(module))
    if json_:
        print_json({**_summary(found), "objectives": [objective.model_dump() for objective in found.objectives]})
        return
    out.print(f"[bold]{found.id} {escape(found.title)}[/bold]  {found.path}, {found.minutes} minutes, {found.environment}")
    if found.draft:
        out.print(f"this module is a draft: {escape(found.draft)}", style="yellow")
    out.print(f"needs {format_bytes(found.needs.memory)} of memory and {format_bytes(found.needs.disk)} of disk")
    for name, setting in _settings(found).items():
        allowed = " | ".join(setting.choices) or f"{setting.minimum} to {setting.maximum}"
        out.print(f"setting {name}: {allowed} (default {setting.default})")
    table = Table("objective", "level", "statement", box=None, padding=(0, 2, 0, 0))
    for objective in found.objectives:
        table.add_row(objective.id, objective.level, escape(objective.statement))
    out.print(table)
    out.print(f"read {folder_of(module).relative_to(project_root())}/README.md")


def start(module: Module) -> None:
    """Copies the module's starter/ to lab/, a git repository of your own."""
    lab = start_lab(folder_of(module))
    out.print(f"{_shown(lab)} is yours to edit; next: `celerylab up {module}`")


def reset(module: Module) -> None:
    """Puts the starter back into lab/. Your work is committed first; the line that brings it back is printed."""
    folder = folder_of(module)
    old = reset_lab(folder)
    out.print(f"{_shown(folder / 'lab')} is the starter again. To bring your work back:")
    out.print(f"  git -C {_shown(folder / 'lab')} checkout {old} -- .")


def hint(
    objective: Annotated[str, typer.Argument(metavar="OBJECTIVE", help="Such as 02.1.")],
    stack: StackName = None,
    again: Annotated[bool, typer.Option(help="Begin with the first hint again.")] = False,
    json_: Json = False,
) -> None:
    """Gives the next hint for an objective: from a nudge to nearly the answer, chosen by what the last verification saw."""
    module_id = objective.split(".")[0]
    module: CourseModule = load_module(folder_of(module_id))
    wanted = module.objective(objective)
    progress = Progress.load()
    shown = 0 if again else progress.hints_shown.get(objective, 0)
    evidence = _evidence(module_id, objective, stack)
    chosen = next_hint(wanted.hints, evidence, shown)
    if chosen is None:
        raise InputError(
            f"{objective} has no further hint; `celerylab hint {objective} --again` begins anew, and the solution is in solution/"
        )
    progress.with_hints_shown(objective, chosen.number).save()
    if json_:
        print_json({"objective": objective, "number": chosen.number, "total": chosen.total, "hint": chosen.text})
    else:
        out.print(f"[bold]{objective}[/bold] hint {chosen.number} of {chosen.total}: {escape(chosen.text)}")


def _evidence(module_id: str, objective: str, stack: str | None) -> dict[str, Any]:
    results = latest_results(stack_of(module_id, stack).instance.id)
    found = [entry for entry in results.objectives if entry.id == objective] if results else []
    return found[0].evidence if found else {}


def _summary(module: CourseModule) -> dict[str, Any]:
    return {
        **{key: getattr(module, key) for key in ("id", "slug", "title", "draft", "path", "minutes", "environment", "requires")},
        "needs": module.needs.model_dump(),
        "settings": {name: setting.model_dump() for name, setting in _settings(module).items()},
    }


def _settings(module: CourseModule) -> dict[str, Setting]:
    """What can be set, of the rung and of the module."""
    environment, _ = load_environment(project_root(), module.environment, f"{module.id}-{module.slug}/module.yaml")
    return {**environment.settings, **module.settings}


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
