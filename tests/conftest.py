"""What all tiers share."""

from pathlib import Path

import pytest

TIERS = ("unit", "render", "roles", "live")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test's folder is its tier, so that `-m unit` and `tests/unit` are the same; cheap tiers run first."""
    for item in items:
        item.add_marker(tier(item))
    items.sort(key=lambda item: TIERS.index(tier(item)))


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
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither read nor fill the user's own data; wheelhouses and images are worth sharing, so the cache is not private."""
    import os

    os.environ["CELERYLAB_DATA"] = str(tmp_path_factory.mktemp("data"))
