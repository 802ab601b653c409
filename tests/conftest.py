"""What all tiers share."""

import fcntl
import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from celerylab.errors import EngineError
from celerylab.providers.engine import engine
from tests.unchanged import Unchanged, whole_folders

TIERS = ("unit", "render", "roles", "live")
LOCK = Path(tempfile.gettempdir()) / f"celerylab-tests-{os.getuid()}.lock"


# How long an example takes says more of what else the machine does than of our code.
settings.register_profile("celerylab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("celerylab")


def pytest_configure(config: pytest.Config) -> None:
    """What passed and has not changed is left out."""
    config.pluginmanager.register(Unchanged(whole_folders(config)), "celerylab-unchanged")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test's folder is its tier, so that `-m unit` and `tests/unit` are the same; cheap tiers run first.

    Of a tier, lessons begin first, because each is one test that takes minutes, and what must be alone comes last.
    """
    for item in items:
        item.add_marker(tier(item))
    items.sort(key=lambda item: (TIERS.index(tier(item)), is_alone(item), "lesson" not in item.path.name))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test marked `alone` has the machine to itself: others, of whatever process of this user, wait until it is done."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if is_alone(item) else fcntl.LOCK_SH)
        return (yield)


def is_alone(item: pytest.Item) -> bool:
    """Whether the test measures time, so that no other may run beside it."""
    return item.get_closest_marker("alone") is not None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints what tests recorded as `note`: figures that a person wants to see of a run."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in getattr(report, "user_properties", []):
            if name == "note":
                terminalreporter.write_line(str(value))


def tier(item: pytest.Item) -> str:
    return next(part for part in item.path.parts if part in TIERS)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def module_02(root: Path) -> Path:
    """Folder of module 02."""
    return root / "modules" / "02-first-application"


@pytest.fixture(autouse=True, scope="session")
def _private_data(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither read nor fill the user's own data. Wheelhouses and images are worth sharing, so the cache is not private."""
    os.environ["CELERYLAB_DATA"] = str(tmp_path_factory.mktemp("data"))
    os.environ["PULUMI_HOME"] = str(tmp_path_factory.mktemp("pulumi"))  # where Pulumi keeps which stack is selected
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """Skips, with the reason, where no Docker engine answers; in CI that is a failure."""
    try:
        engine()
    except EngineError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs Docker: {error}")
