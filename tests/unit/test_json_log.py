"""What role celery_worker logs JSON with, for lines that no worker of the roles' tests writes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unit
JOURNAL_LINE = 48 * 1024  # LineMax= of journald: a longer one is two
# In a process of its own: the module changes what its process does with warnings and with errors that nobody catches.
SCRIPT = """
import logging, sys, warnings
import json_log
handler = logging.StreamHandler(sys.stderr)
handler.setFormatter(json_log.JsonLines(use_color=False))
logging.getLogger().addHandler(handler)
warnings.warn("of an import\\nof yours")
try:
    raise RuntimeError(eval(sys.argv[1]) * int(sys.argv[2]))
except RuntimeError as error:
    logging.getLogger("shop").exception("%s", error)
logging.getLogger("shop").error("%d of %d", "one")
{}["nobody"]
"""


def lines(root: Path, text: str, times: int) -> list[dict[str, Any]]:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, ascii(text), str(times)],
        env={"PYTHONPATH": str(root / "roles" / "celery_worker" / "files"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert max(map(len, result.stderr.splitlines())) < JOURNAL_LINE
    return [json.loads(line) for line in result.stderr.splitlines()]


@pytest.mark.parametrize("text", ["x", 'quotes " and\nlines', "é", "\N{SNOWMAN}", "\N{PARTY POPPER}", "\ud800", "\x00\x1b"])
@pytest.mark.parametrize("times", [1, 100_000])
def test_whatever_the_text_each_line_is_json_that_the_journal_keeps_whole(root: Path, text: str, times: int) -> None:
    warning, error, wrong, uncaught = lines(root, text, times)
    assert (warning["level"], warning["logger"]) == ("WARNING", "py.warnings")
    assert "of an import\nof yours" in warning["message"]
    assert (error["level"], error["logger"]) == ("ERROR", "shop")
    assert error["message"].startswith(text)
    assert error["message"].endswith(text)
    assert "characters left out" in error["message"] if times > 1 else error["message"] == text
    assert error["exception"].startswith("Traceback (most recent call last):\n")
    assert wrong["message"].startswith("%d of %d (")
    assert (uncaught["level"], uncaught["message"]) == ("CRITICAL", "KeyError: 'nobody'")
