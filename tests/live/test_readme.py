"""The README of the project."""

import shlex
from pathlib import Path

from tests.live.conftest import run


def test_the_readme_of_the_project_names_commands_that_exist(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    commands = [line.strip() for block in text.split("```sh\n")[1:] for line in block.split("```")[0].splitlines()]
    assert commands
    for command in commands:
        program = shlex.split(command)[0]
        if program == "celerylab":
            run(["celerylab", shlex.split(command)[1], "--help"], root)
        elif program not in {"cd", "source"}:
            assert (root / program).is_file(), command
        else:
            assert (root / shlex.split(command)[1]).exists(), command
