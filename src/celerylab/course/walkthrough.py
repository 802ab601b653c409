"""A README as a list of steps, so that a test does what a learner is told to do, top to bottom.

Fenced blocks are read by their info string: `sh` is run in one shell, `sh exit=1` ends with that exit status on purpose, `sh repaired` comes
after something that the learner has to find out alone, `sh no-test` is for people only; any language with `file=PATH` is the whole content of
that file of lab/; `text` is output, and is left out.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from celerylab.errors import InputError

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Run:
    """Commands of one block, from `line` of the file on. The last one ends with `exit_status`; `tested` is False for people only.

    `repaired`: the commands want what the solution is deployed for.
    """

    line: int
    script: str
    exit_status: int = 0
    tested: bool = True
    repaired: bool = False


@dataclass(frozen=True)
class Write:
    """The whole text of a file, by its path below lab/."""

    line: int
    path: PurePosixPath
    text: str


def read_walkthrough(path: Path) -> list[Run | Write]:
    """The steps of the Markdown file `path`, in order.

    Raises InputError with file and line for a block whose info string says nothing known, or whose path leads out of lab/.
    """
    text = path.read_text(encoding="utf-8")
    steps: list[Run | Write] = []
    for block in _FENCE.finditer(text):
        line = text.count("\n", 0, block.start()) + 1
        body = re.sub(rf"^{block['indent']}", "", block["body"], flags=re.MULTILINE)
        step = _step(line, block["info"].split(), body, path)
        if step is not None:
            steps.append(step)
    return steps


def _step(line: int, info: list[str], body: str, path: Path) -> Run | Write | None:
    language, options = (info[0], info[1:]) if info else ("", [])
    if len(options) == 1 and options[0].startswith("file="):
        target = PurePosixPath(options[0].removeprefix("file="))
        if target.is_absolute() or ".." in target.parts:
            raise InputError(f"{path}:{line}: {target} leads out of lab/; write a path below it")
        return Write(line, target, body)
    if language == "text" and not options:
        return None
    if language == "sh" and options == ["no-test"]:
        return Run(line, body, tested=False)
    statuses = [int(found[1]) for option in options if (found := re.fullmatch(r"exit=(\d+)", option))]
    repaired = "repaired" in options
    if language == "sh" and len(statuses) < 2 and len(statuses) + repaired == len(options):
        return Run(line, body, exit_status=sum(statuses), repaired=repaired)
    raise InputError(
        f"{path}:{line}: ```{' '.join(info)} is no block we know; write sh, sh exit=N, sh repaired, sh no-test, text, or LANGUAGE file=PATH"
    )
