"""What is left out of a run, and what never is."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
    assert {f"test_{path.name}.py" for path in (unchanged.ROOT / "roles").iterdir()} <= found
    assert "test_lesson_02.py" in found
    assert not found & {"test_collection.py", "test_bad_days.py"}


def test_a_changed_file_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tests/roles/test_redis.py", "roles/redis/tasks/main.yml", "roles/redis/README.md", "uv.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    monkeypatch.setattr(unchanged, "ROOT", tmp_path)
    monkeypatch.setattr(unchanged, "_SCENARIO", ("uv.lock",))
    monkeypatch.setattr(unchanged, "_SCENARIO_TESTS", ())
    path = tmp_path / "tests" / "roles" / "test_redis.py"
    keys = [unchanged.key_of(path)]
    for name in ("tests/roles/test_redis.py", "roles/redis/tasks/main.yml", "uv.lock"):
        (tmp_path / name).write_text("after")
        keys.append(unchanged.key_of(path))
    assert len(set(keys)) == 4
    (tmp_path / "roles/redis/README.md").write_text("after")
    assert unchanged.key_of(path) == keys[-1]


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
        f"unchanged.ROOT, unchanged._SCENARIO, unchanged._SCENARIO_TESTS = Path({str(tmp_path)!r}), (), ()\n"
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
