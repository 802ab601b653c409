"""Proofs are run again, a share of them each day, so that a change outside a module's folder is noticed as well."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from celerylab.proof.record import PROOF
from celerylab.providers.instances import deployed_instances
from celerylab.shell_environment import shell_environment
from tests.live.conftest import run

SECONDS = 180
MINUTES = int(os.environ.get("CELERYLAB_PROOF_MINUTES", "3"))
JOBS = 3  # most of a variant is waiting: two at a time leave six sevenths of two processors idle


@pytest.mark.alone  # some suites compare durations
def test_todays_share_of_all_proofs_still_holds(root: Path, record_property: Callable[[str, object], None]) -> None:
    result = run(
        ["celerylab", "prove", "--all", "--minutes", str(MINUTES), "--jobs", str(JOBS)], root, check=False, seconds=MINUTES * 60 + 2400
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"modules within {MINUTES} minutes" in result.stdout
    for line in result.stdout.splitlines():
        record_property("note", line)


def test_ctrl_c_leaves_no_environment_and_no_half_written_proof(root: Path, checkout: Path) -> None:
    chosen = {**os.environ, "CELERYLAB_PROJECT": str(checkout)}
    environment = {**chosen, **shell_environment(chosen), "CELERYLAB_PROJECT": str(checkout)}
    before = {instance.id for instance in deployed_instances()}
    folder = checkout / "modules" / "02-first-application"
    recorded = (folder / PROOF).read_bytes()
    process = subprocess.Popen(
        ["celerylab", "prove", "02"],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # also where the tests run in the background
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not (mine := proving(before)) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert mine, "no variant was deployed"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130, out + err
    assert "ending: stacks that are up are taken down first" in err
    assert "interrupted" in err
    assert proving(before) == []
    assert (folder / PROOF).read_bytes() == recorded
    assert sorted(path.name for path in folder.glob("proof.json*")) == [PROOF]


def proving(before: set[str]) -> list[str]:
    """Stacks of a proof of module 02 that were not there before."""
    return [i.stack for i in deployed_instances() if i.id not in before and i.project == "celerylab-02" and i.stack.startswith("prove-")]
