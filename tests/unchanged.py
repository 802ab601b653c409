"""What passed is not run again while nothing that it depends on has changed: roles' scenarios, lessons and real environments.

Only where whole folders of tests are run, and for a day; CELERYLAB_TEST_ALL=1 runs everything. The summary names what was left out.
"""

import json
import os
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from celerylab.digest import digest_json, digest_tree
from celerylab.paths import cache_dir

ROOT = Path(__file__).resolve().parents[1]


def _files(tier: str) -> list[str]:
    """What the test files of a tier share: helpers, fixtures and data, relative to the checkout."""
    folder = ROOT / "tests" / tier
    shared = [path for path in sorted(folder.iterdir()) if not path.name.startswith("test_") and path.name != "__pycache__"]
    return [path.relative_to(ROOT).as_posix() for path in shared]


VALID = timedelta(days=1)
_NOISE = {"__pycache__", "lab"}
# What decides how a scenario ends, beside its roles and its tests; a real environment, beside its tests; and a lesson, beside its module.
_SCENARIO = ("uv.lock", ".config", "environments/images", "src/celerylab/converge", "src/celerylab/images", *_files("roles"))
_LESSON = ("uv.lock", "environments", "manifests", "roles", "stacks", "src", *_files("live"))
_LIVE = (*_LESSON, "README.md", "activate", "modules", "scripts", "tools")
_COLLECTION = ("uv.lock", "environments/images", "galaxy.yml", "meta", "playbooks", "roles", "site.yml", *_files("roles"))
_ALWAYS = {"test_proofs.py", "test_specs.py"}  # a share of the proofs that is another one each time; and seconds


class Unchanged:
    """The plugin. `left_out` are the files that need not run, each with the moment it passed."""

    def __init__(self, whole_folders: bool) -> None:
        self._keys = {path: key_of(path) for path in candidates()} if whole_folders else {}
        self.left_out = {} if runs_everything() else {path: moment for path, key in self._keys.items() if (moment := passed_at(key))}
        self._outcomes: dict[Path, set[str]] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Takes out what need not run."""
        out = [item for item in items if item.path in self.left_out]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item.path not in self.left_out]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes how the tests of each file end. That a fixture was made says nothing of a test: it may be skipped."""
        if report.when == "call" or report.outcome != "passed":
            self._outcomes.setdefault(ROOT / report.location[0], set()).add(report.outcome)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Remembers the files of which every test passed. A worker of xdist has seen only a part."""
        if hasattr(session.config, "workerinput") or exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        _digest.cache_clear()  # what was edited while the tests ran is not what passed
        for path, outcomes in self._outcomes.items():
            if path in self._keys and "passed" in outcomes <= {"passed", "skipped"} and key_of(path) == self._keys[path]:
                remember(self._keys[path], path)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Names what was left out."""
        if not self.left_out:
            return
        terminalreporter.section("not run again: unchanged since it passed; CELERYLAB_TEST_ALL=1 runs everything")
        for path, moment in self.left_out.items():
            terminalreporter.write_line(f"{path.relative_to(ROOT)}: passed {moment:%Y-%m-%d %H:%M} UTC")


def runs_everything() -> bool:
    """Whether nothing is to be left out."""
    return os.environ.get("CELERYLAB_TEST_ALL") == "1"


def whole_folders(config: pytest.Config) -> bool:
    """Whether nothing narrower than folders was asked for, and nothing can end the run early."""
    chosen = [Path(argument) for argument in config.args]
    return all(path.is_dir() for path in chosen) and not (config.option.keyword or config.option.markexpr or config.option.maxfail)


def candidates() -> list[Path]:
    """The test files that can be left out."""
    found = [path for tier in ("roles", "live") for path in sorted((ROOT / "tests" / tier).glob("test_*.py"))]
    return [path for path in found if path.name not in _ALWAYS]


def inputs(path: Path) -> list[Path]:
    """Files and folders that decide how the tests of `path` end."""
    subject = path.stem.removeprefix("test_")
    if path.parent.name == "live":
        lesson = subject.startswith("lesson_")
        modules = (ROOT / "modules").glob(f"{subject.removeprefix('lesson_')}-*") if lesson else []
        return [path, *modules, *(ROOT / name for name in (_LESSON if lesson else _LIVE))]
    role = ROOT / "roles" / subject
    if not role.is_dir():
        return [path, *(ROOT / name for name in _COLLECTION)]
    scenario = "".join(file.read_text(encoding="utf-8") for file in sorted((role / "molecule").rglob("*.yml")))
    used = {ROOT / "roles" / name for name in re.findall(r"(?:role|name): (?:celerylab\.celery\.)?(\w+)", scenario)}
    return [path, role, *(other for other in used if other.is_dir()), *(ROOT / name for name in _SCENARIO)]


def key_of(path: Path) -> str:
    """Hash of all inputs of `path`."""
    return digest_json({file.relative_to(ROOT).as_posix(): _digest(file) for file in inputs(path)})


@cache
def _digest(path: Path) -> str:
    return digest_tree(path, _NOISE)


def passed_at(key: str) -> datetime | None:
    """When the tests with this key passed, if that is not too long ago."""
    record = _record(key)
    if not record.is_file():
        return None
    moment = datetime.fromisoformat(json.loads(record.read_text(encoding="utf-8"))["passed"])
    return moment if datetime.now(UTC) - moment < VALID else None


def remember(key: str, path: Path) -> None:
    """Notes that the tests of `path` passed now."""
    record = _record(key)
    record.parent.mkdir(parents=True, exist_ok=True)
    found = {"tests": path.relative_to(ROOT).as_posix(), "passed": datetime.now(UTC).isoformat(timespec="seconds")}
    record.write_text(json.dumps(found) + "\n", encoding="utf-8")


def _record(key: str) -> Path:
    return cache_dir() / "tests" / f"{key[:32]}.json"
