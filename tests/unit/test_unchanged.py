"""What is left out of a run, and what never is."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import unchanged

SCENARIO = unchanged.ROOT / "tests" / "roles" / "test_celery_worker.py"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CELERYLAB_CACHE", str(tmp_path))
    return tmp_path


def test_a_scenario_depends_on_every_role_it_uses() -> None:
    names = {path.name for path in unchanged.inputs(SCENARIO)}
    assert {"celery_worker", "celery_app", "redis", "test_celery_worker.py", "conftest.py", "uv.lock"} <= names
    assert "rabbitmq" not in names


def test_every_role_and_every_lesson_can_be_left_out() -> None:
    found = {path.name for path in unchanged.candidates()}
    assert {f"test_{path.name}.py" for path in (unchanged.ROOT / "roles").iterdir() if (path / "molecule").is_dir()} <= found
    assert "test_lesson_02.py" in found
    assert "test_proofs.py" not in found


def test_a_real_environment_depends_on_all_that_makes_it_and_a_lesson_on_its_own_module() -> None:
    names = {path.relative_to(unchanged.ROOT).as_posix() for path in unchanged.inputs(unchanged.ROOT / "tests/live/test_drift.py")}
    assert {"src", "roles", "environments", "stacks", "modules", "scripts", "tests/live/conftest.py", "tests/live/test_drift.py"} <= names
    lesson = {path.relative_to(unchanged.ROOT).as_posix() for path in unchanged.inputs(unchanged.ROOT / "tests/live/test_lesson_07.py")}
    assert {"src", "roles", "modules/07-error-handling", "tests/live/lessons.py"} <= lesson
    assert "modules" not in lesson


def test_a_changed_file_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tests/roles/test_redis.py", "roles/redis/tasks/main.yml", "uv.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    monkeypatch.setattr(unchanged, "ROOT", tmp_path)
    monkeypatch.setattr(unchanged, "_SCENARIO", ("uv.lock",))
    path = tmp_path / "tests" / "roles" / "test_redis.py"
    keys = [unchanged.key_of(path)]
    for name in ("tests/roles/test_redis.py", "roles/redis/tasks/main.yml", "uv.lock"):
        (tmp_path / name).write_text("after")
        unchanged._digest.cache_clear()
        keys.append(unchanged.key_of(path))
    assert len(set(keys)) == 4


def test_what_passed_counts_for_a_day(cache: Path) -> None:
    assert unchanged.passed_at("key") is None
    unchanged.remember("key", SCENARIO)
    assert unchanged.passed_at("key") is not None
    old = datetime.now(UTC) - timedelta(hours=25)
    (cache / "tests" / "key.json").write_text(json.dumps({"passed": old.isoformat()}))
    assert unchanged.passed_at("key") is None


@pytest.mark.parametrize(("arguments", "everything", "expected"), [
    (["roles"], "0", "1 passed, 1 deselected"),
    (["roles"], "1", "2 passed"),
    (["roles/test_redis.py"], "0", "1 passed"),
    (["roles", "-k", "redis"], "0", "1 passed, 1 deselected"),
])  # fmt: skip
def test_it_is_left_out_only_where_whole_folders_run(
    cache: Path, tmp_path: Path, arguments: list[str], everything: str, expected: str
) -> None:
    """A small tree of its own: role redis has passed, role tls has not."""
    for role in ("redis", "tls"):
        (tmp_path / "roles" / role).mkdir(parents=True)
        (tmp_path / "tests" / "roles").mkdir(parents=True, exist_ok=True)
        (tmp_path / "tests" / "roles" / f"test_{role}.py").write_text(f"def test_{role}(): pass\n")
    (tmp_path / "tests" / "conftest.py").write_text(
        "from pathlib import Path\n"
        "from tests import unchanged\n"
        f"unchanged.ROOT, unchanged._SCENARIO = Path({str(tmp_path)!r}), ()\n"
        "def pytest_configure(config):\n"
        f"    path = Path({str(tmp_path)!r}, 'tests/roles/test_redis.py')\n"
        "    unchanged.remember(unchanged.key_of(path), path)\n"
        "    config.pluginmanager.register(unchanged.Unchanged(unchanged.whole_folders(config)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", os.devnull, *arguments],
        cwd=tmp_path / "tests", capture_output=True, text=True, check=False,
        env={**os.environ, "CELERYLAB_TEST_ALL": everything, "PYTHONPATH": str(unchanged.ROOT)},
    )  # fmt: skip
    assert result.stdout.splitlines()[-1].startswith(expected), result.stdout + result.stderr


@pytest.mark.parametrize(("outcomes", "kept"), [
    ([("setup", "passed"), ("call", "passed"), ("teardown", "passed")], True),
    ([("setup", "passed"), ("call", "passed"), ("setup", "skipped")], True),
    ([("setup", "passed"), ("call", "skipped"), ("teardown", "passed")], False),
    ([("setup", "passed"), ("call", "passed"), ("call", "failed")], False),
    ([("setup", "passed"), ("call", "passed"), ("teardown", "failed")], False),
])  # fmt: skip
def test_only_a_file_of_which_a_test_passed_and_none_failed_is_remembered(cache: Path, outcomes: list[tuple[str, str]], kept: bool) -> None:
    plugin = unchanged.Unchanged(whole_folders=True)
    location = (SCENARIO.relative_to(unchanged.ROOT).as_posix(), 1, "test")
    for when, outcome in outcomes:
        plugin.pytest_runtest_logreport(SimpleNamespace(location=location, when=when, outcome=outcome))  # type: ignore[arg-type]
    plugin.pytest_sessionfinish(SimpleNamespace(config=object()), pytest.ExitCode.OK)  # type: ignore[arg-type]
    assert (unchanged.passed_at(unchanged.key_of(SCENARIO)) is not None) == kept
