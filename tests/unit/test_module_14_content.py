"""Module 14's workflows as they are written, run without a broker: values, and what fails."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from celerylab.course.walkthrough import Write, read_walkthrough
from celerylab.topology.lab import check_syntax, layers, overlay
from celerylab.topology.module import load_module
from celerylab.topology.variants import alternatives, load_mutants

pytestmark = pytest.mark.unit

MODULE = Path(__file__).resolve().parents[2] / "modules" / "14-canvas"
MUTANTS = load_mutants(MODULE, load_module(MODULE))
REPAIRED = ["solution", *alternatives(MODULE), *(one.lab for one in MUTANTS if one.is_control)]
LABS = ["starter", *REPAIRED, *(one.lab for one in MUTANTS if not one.is_control)]
HOST = {"LAB_BROKER_URL": "memory://", "LAB_RESULT_URL": "cache+memory://", "LAB_STUB_URL": "http://stub"}

# Runs in the lab's app/: every task at once, in this process; the branch `down` answers 503, `unknown` 404, and calls of the office are kept.
LOOK = """
import io, json, urllib.error, urllib.request
from celery.exceptions import CeleryError
from shop import app, branches, workflows
app.loader.import_default_modules()
calls = []
def answer(request, timeout):
    name = request.full_url.rpartition("/")[2]
    if status := {"down": 503, "unknown": 404}.get(name):
        raise urllib.error.HTTPError(request.full_url, status, "", {}, None)
    calls.append(name)
    return io.BytesIO(b'{"status": 200}')
urllib.request.urlopen = answer
app.conf.task_always_eager = True
found = {"names": sorted(name for name in app.tasks if not name.startswith(("celery.", "celerylab_probe."))),
         "probe": "celerylab_probe.echo" in app.tasks, "late": app.conf.task_acks_late,
         "visibility": app.conf.broker_transport_options.get("visibility_timeout"), "timeout": branches.TIMEOUT_SECONDS,
         "expires": app.conf.result_expires and float(app.conf.result_expires)}
found["figures"] = workflows.figures("berlin").get()
found["collect"] = workflows.collect(["berlin", "lyon"]).get()
found["report"] = workflows.report("monday", ["berlin", "down", "lyon", "unknown"]).get(propagate=False)
found["close"] = workflows.close("monday", ["berlin", "lyon"]).get()
found["calls"] = [name for name in calls if "-" in name]
print(json.dumps(found, default=repr))
"""


def lab(name: str, folder: Path) -> Path:
    for layer in layers(MODULE, name)[1]:
        overlay(layer, folder)
    return folder


def look(folder: Path) -> dict[str, Any]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CELERY", "LAB_"))}
    command = [sys.executable, "-c", LOOK]
    result = subprocess.run(
        command, cwd=folder / "app", env={**clean, **HOST, "PYTHONPATH": "."}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", LABS)
def test_a_lab_parses_and_has_the_four_workflows(name: str, tmp_path: Path) -> None:
    check_syntax(lab(name, tmp_path))
    text = (tmp_path / "app/shop/workflows.py").read_text(encoding="utf-8")
    assert re.findall(r"^def (\w+)\((.*)\):", text, re.MULTILINE) == [
        ("figures", "name"),
        ("collect", "names"),
        ("report", "day, names"),
        ("close", "day, names"),
    ]


@pytest.mark.parametrize("name", REPAIRED)
def test_repaired_workflows_give_rows_in_order_and_keep_errors(name: str, tmp_path: Path) -> None:
    found = look(lab(name, tmp_path))
    assert found["probe"]
    assert [row["branch"] for row in found["collect"]] == ["berlin", "lyon"]
    assert found["figures"] == found["collect"][0]
    cents = sum(row["cents"] for row in found["collect"])
    report = found["report"]
    assert report["rows"] == found["collect"]
    assert report["cents"] == cents
    assert [error["branch"] for error in report["errors"]] == ["down", "unknown"]
    assert all(status in error["error"] for status, error in zip(("503", "404"), report["errors"], strict=True))
    assert found["close"] == {"day": "monday", "branches": 2, "cents": cents}
    assert found["calls"] == ["report-monday", "books-monday"]


@pytest.mark.parametrize("name", REPAIRED)
def test_the_times_of_a_repaired_lab_are_in_order(name: str, tmp_path: Path) -> None:
    found = look(lab(name, tmp_path))
    assert found["late"]
    assert found["timeout"] < found["visibility"] < found["expires"]


def test_mutants_and_alternatives_overlay_what_differs_and_nothing_else() -> None:
    for variant in [*alternatives(MODULE), *(one.lab for one in MUTANTS)]:
        for path in (MODULE / variant).rglob("*.py"):
            relative = path.relative_to(MODULE / variant)
            below = MODULE / "solution" / relative if (MODULE / "solution" / relative).is_file() else MODULE / "starter" / relative
            assert below.is_file(), path
            assert path.read_text(encoding="utf-8") != below.read_text(encoding="utf-8"), path


def test_there_are_six_objectives_and_two_controls() -> None:
    assert len(load_module(MODULE).objectives) == 6
    assert sum(one.is_control for one in MUTANTS) >= 2


def test_the_readme_writes_files_that_the_starter_has() -> None:
    written = {str(step.path) for step in read_walkthrough(MODULE / "README.md") if isinstance(step, Write)}
    assert all((MODULE / "starter" / path).is_file() for path in written)
    assert written == {"app/celeryconfig.py", "app/shop/reports.py", "app/shop/tasks.py", "app/shop/workflows.py"}
