"""Every command of the lesson, in its order, as a learner types it: in one shell, in a checkout of their own."""

import shlex
from pathlib import Path

from celerylab.course.walkthrough import Run, Write, read_walkthrough
from tests.live.conftest import run

STACK = "me"  # the name that the lesson uses


def test_the_lesson_of_module_02_works_as_it_is_written(checkout: Path) -> None:
    folder = checkout / "modules" / "02-first-application"
    steps = read_walkthrough(folder / "README.md")
    second_part = next(index for index, step in enumerate(steps) if isinstance(step, Run) and "cp starter/systemd" in step.script)
    # In between, what the lesson leaves to part 2: with the broker set up properly, the learner's own application passes everything.
    own = Run(0, "rm -r lab/redis lab/rabbitmq && pulumi up --yes && celerylab verify 02 && cp -r starter/redis starter/rabbitmq lab/\n")
    script = "".join(_as_shell(step) for step in [*steps[:second_part], own, *steps[second_part:]])
    path = checkout / "lesson.sh"
    path.write_text(script, encoding="utf-8")
    environment = {"CELERYLAB_PROJECT": str(checkout), "PULUMI_SKIP_CONFIRMATIONS": "true"}
    try:
        result = run(["bash", str(path)], checkout, check=False, env=environment)
        assert result.returncode == 0, f"{result.stdout[-4000:]}\n{result.stderr[-3000:]}"
    finally:
        run(["celerylab", "down", "02", "--force", "--stack", STACK], checkout, check=False, env=environment)
    verdicts = [line.split("   ")[0] for line in result.stdout.splitlines() if line.startswith("module 02: ") and "PASS" in line]
    assert verdicts == [
        "module 02: 4 PASS, 1 FAIL, 0 NOT_OBSERVED",  # the bistro, on the broker that the colleague set up
        "module 02: 5 PASS, 0 FAIL, 0 NOT_OBSERVED",  # the bistro, on a broker that is closed
        "module 02: 0 PASS, 1 FAIL, 4 NOT_OBSERVED",  # the colleague's shop
    ]
    assert result.stdout.rstrip().endswith("left behind: 0")


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
