"""Runs a module's lesson: every command of its README.md, in order, as a learner types it, in one shell and a checkout of their own."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from celerylab.course.walkthrough import Run, Write, read_walkthrough
from celerylab.topology.module import load_module
from tests.live.conftest import run

STACK = "me"  # the name that lessons use
# What a learner has found out before the first block that wants it; in the module's folder, as everything in a lesson.
DEPLOY_SOLUTION = """echo 'the solution' >&2
set -e
python -c 'from pathlib import Path; from celerylab.topology.lab import overlay; overlay(Path("solution"), Path("lab"))'
pulumi up --yes
set +e
"""


def lesson(module: Path) -> list[Run | Write]:
    """The steps of the lesson in `module`, which begins in the checkout. Skips, with the reason, that of a draft."""
    draft = load_module(module).draft
    if draft:
        pytest.skip(f"module {module.name[:2]} is a draft: {draft}")
    return [Run(0, f"cd {shlex.quote(str(module.parents[1]))}\n"), *read_walkthrough(module / "README.md")]


def output_of(module: Path, steps: Sequence[Run | Write]) -> str:
    """What the commands printed. Fails where one ends otherwise than the lesson says; the stack is gone afterwards."""
    checkout, number = module.parents[1], module.name[:2]
    path = checkout / "lesson.sh"
    repaired = next((index for index, step in enumerate(steps) if isinstance(step, Run) and step.repaired), len(steps))
    between = [DEPLOY_SOLUTION] if repaired < len(steps) else []
    scripts = [*map(_as_shell, steps[:repaired]), *between, *map(_as_shell, steps[repaired:])]
    path.write_text("".join(scripts), encoding="utf-8")
    environment = {"CELERYLAB_PROJECT": str(checkout), "PULUMI_SKIP_CONFIRMATIONS": "true"}
    try:
        result = run(["bash", str(path)], checkout, check=False, seconds=2400, env=environment)
        assert result.returncode == 0, f"{result.stdout[-4000:]}\n{result.stderr[-3000:]}"
    finally:
        run(["celerylab", "down", number, "--force", "--stack", STACK], checkout, check=False, env=environment)
    assert result.stdout.rstrip().endswith("left behind: 0")
    return result.stdout


def summaries(output: str) -> list[str]:
    """The verdicts that `celerylab verify` printed, such as `4 PASS, 1 FAIL, 0 NOT_OBSERVED`."""
    lines = [line.split("   ")[0] for line in output.splitlines() if line.startswith("module ") and "NOT_OBSERVED" in line]
    return [line.split(": ", 1)[1] for line in lines]


def _as_shell(step: Run | Write) -> str:
    """A step as lines of one shell script that ends where the lesson goes wrong, naming its line."""
    if isinstance(step, Write):
        path = shlex.quote(f"lab/{step.path}")
        return f"mkdir -p $(dirname {path})\ncat > {path} <<'END_OF_FILE'\n{step.text}END_OF_FILE\n"
    if not step.tested:
        return ""
    said = f"echo 'README.md:{step.line}' >&2"
    if step.exit_status:
        return f"{said}\nset +e\n{step.script}[ $? -eq {step.exit_status} ] || exit 90\n"
    return f"{said}\nset -e\n{step.script}set +e\n"
