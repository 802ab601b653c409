"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from celerylab.paths import project_root
from celerylab.pulumi_stack import PulumiStack, selected_stack
from celerylab.topology.module import load_module, module_folder, module_folders


def complete_module(incomplete: str) -> list[tuple[str, str]]:
    """Modules whose number begins with what was typed, and their titles."""
    folders = module_folders(project_root())
    return [(key, load_module(folder).title) for key, folder in folders.items() if key.startswith(incomplete)]


Module = Annotated[str, typer.Argument(metavar="MODULE", help="Number of the module, such as 02.", autocompletion=complete_module)]
StackName = Annotated[str | None, typer.Option("--stack", "-s", help="Stack; the selected one, or `me`, by default.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def folder_of(module: str) -> Path:
    """Folder of the module that an argument names."""
    return module_folder(project_root(), module)


def stack_of(module: str, name: str | None) -> PulumiStack:
    """The stack that module and `--stack` name."""
    return selected_stack(folder_of(module), name)
