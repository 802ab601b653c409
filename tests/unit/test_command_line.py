"""Bad input on the command line: one line that says what is wrong, and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

CELERYLAB = str(Path(sys.executable).with_name("celerylab"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", "--bogus"], "No such option: --bogus"),
        (["quiz"], "Missing argument 'MODULE'"),
        (["up", "02", "--set"], "--set"),
        (["upp"], "No such command 'upp'"),
        (["status"], "celerylab status --all"),
        (["status", "02", "--all"], "--all shows every module's stacks"),
        (["prove"], "--stale, or --all"),
        (["prove", "02", "--minutes", "5"], "--minutes picks a share of all modules"),
        (["prove", "02", "--variant", "mutants/nobody"], "has no variant mutants/nobody; it has starter, solution"),
        (["show", "99"], "there is no module 99"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(arguments: list[str], words: str) -> None:
    result = subprocess.run([CELERYLAB, *arguments], capture_output=True, text=True, check=False)
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 2, result.stderr
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert words in lines[0]
    assert result.stdout == ""
