"""An instructor's verdict: a learner's bundle on a fresh stack, with the published suite."""

import json
import subprocess
from pathlib import Path

import pytest

from celerylab.course.workspace import commit_lab
from celerylab.providers.instances import deployed_instances
from celerylab.topology.lab import overlay
from tests.live.conftest import run


@pytest.fixture
def lab(tmp_path: Path, module_02: Path) -> Path:
    """A learner's lab as `celerylab start` makes it, with the solution committed on top."""
    folder = tmp_path / "lab"
    folder.mkdir()
    overlay(module_02 / "starter", folder)
    commit_lab(folder, "starter of module 02")
    overlay(module_02 / "solution", folder)
    commit_lab(folder, "done")
    return folder


def test_a_bundle_is_graded_on_a_fresh_stack_and_nothing_stays(root: Path, lab: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "ada.bundle"
    subprocess.run(["git", "bundle", "create", "--quiet", str(bundle), "HEAD", "main"], cwd=lab, check=True)
    result = run(["celerylab", "grade", str(bundle), "--json", "--output", str(tmp_path / "results.json")], root)
    verdicts = json.loads(result.stdout)
    assert [objective["verdict"] for objective in verdicts["objectives"]] == ["PASS"] * 5
    assert verdicts["owner"] == "ada"
    assert verdicts["fingerprint"]["suite_published"]
    assert json.loads((tmp_path / "results.json").read_text()) == verdicts
    assert not [instance for instance in deployed_instances() if instance.stack == verdicts["stack"]]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "does not exist"),
        ("text.bundle", "is no git bundle"),
        ("plain", "does not say which module it belongs to; add --module"),
    ],
)
def test_what_is_no_submission_is_refused_before_anything_is_deployed(root: Path, tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "text.bundle").write_text("hello")
    (tmp_path / "plain").mkdir()
    result = run(["celerylab", "grade", str(tmp_path / name)], root, check=False)
    assert result.returncode == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
