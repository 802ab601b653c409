"""Module 10 as it is taught: the commands of the lesson work as they are written, on a starter that trusts everybody."""

from pathlib import Path

from celerylab.course.walkthrough import read_walkthrough
from tests.live.conftest import run
from tests.live.test_readme import _as_shell

STACK = "me"  # the name that the lesson uses


def test_the_lesson_works_as_it_is_written(checkout: Path) -> None:
    script = "".join(_as_shell(step) for step in read_walkthrough(checkout / "modules" / "10-security-basics" / "README.md"))
    path = checkout / "lesson.sh"
    path.write_text(script, encoding="utf-8")
    environment = {"CELERYLAB_PROJECT": str(checkout), "PULUMI_SKIP_CONFIRMATIONS": "true"}
    try:
        result = run(["bash", str(path)], checkout, check=False, env=environment)
        assert result.returncode == 0, f"{result.stdout[-4000:]}\n{result.stderr[-3000:]}"
    finally:
        run(["celerylab", "down", "10", "--force", "--stack", STACK], checkout, check=False, env=environment)
    verdicts = [line.split("   ")[0] for line in result.stdout.splitlines() if line.startswith("module 10: ") and "PASS" in line]
    assert verdicts == ["module 10: 0 PASS, 5 FAIL, 0 NOT_OBSERVED"]
    assert "+PONG" in result.stdout, "the stranger is let in by the starter"
    assert result.stdout.rstrip().endswith("left behind: 0")
