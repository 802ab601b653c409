"""A project with a module of its own, for plans of a rung."""

import shutil
from pathlib import Path

import pytest

from celerylab.bench.rung import module_on


def project_on(rung: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project with module 02's application on `rung`, as module 99."""
    copy = tmp_path / "project"
    for room in ("environments", "manifests", "roles"):
        shutil.copytree(root / room, copy / room)
    module_on(root, copy, rung, {})
    monkeypatch.setenv("CELERYLAB_CACHE", str(tmp_path / "cache"))
    return copy
