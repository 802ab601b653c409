"""Proofs are run again, a share of them each day, so that a change outside a module's folder is noticed as well."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.live.conftest import run

MINUTES = int(os.environ.get("CELERYLAB_PROOF_MINUTES", "10"))


def test_todays_share_of_all_proofs_still_holds(root: Path, record_property: Callable[[str, object], None]) -> None:
    result = run(["celerylab", "prove", "--all", "--minutes", str(MINUTES)], root, check=False, seconds=MINUTES * 60 + 600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"modules within {MINUTES} minutes" in result.stdout
    for line in result.stdout.splitlines():
        record_property("note", line)
