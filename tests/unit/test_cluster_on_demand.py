"""A proof makes a cluster only where a module needs one and none was named, once, and it goes again. Pulumi, behind ThrowawayStack, is a stand-in."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from celerylab.clusters.on_demand import ClusterOnDemand
from celerylab.errors import LeftBehindError
from tests.unit.test_verdicts import MODULE

HOSTS, KUBERNETES = "02-try", "23-try"


@pytest.fixture
def modules(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a module on hosts and one on Kubernetes."""
    for folder, rung in ((HOSTS, "single-node"), (KUBERNETES, "kubernetes")):
        (tmp_path / "modules" / folder / "verify").mkdir(parents=True)
        text = MODULE.replace("single-node", rung).replace('"02', f'"{folder[:2]}')
        (tmp_path / "modules" / folder / "module.yaml").write_text(text, encoding="utf-8")
    for room in ("environments", "roles"):
        (tmp_path / room).symlink_to(root / room)
    monkeypatch.setenv("CELERYLAB_PROJECT", str(tmp_path))
    return tmp_path / "modules"


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done to clusters, in order."""
    noted: list[str] = []

    class Fake:
        rest: list[str] = []

        def __init__(self, _folder: Path, prefix: str) -> None:
            self.target = SimpleNamespace(name=f"{prefix}-1")

        def up(self, _configuration: Mapping[str, str]) -> None:
            noted.append("up")

        def down(self) -> list[str]:
            noted.append("down")
            return self.rest

    monkeypatch.setattr("celerylab.clusters.on_demand.ThrowawayStack", Fake)
    return noted


def on_demand(done: list[str], **settings: str) -> ClusterOnDemand:
    return ClusterOnDemand("prove", settings, lambda: done.append("prepare"))


def test_modules_on_hosts_and_named_clusters_need_none(modules: Path, done: list[str]) -> None:
    with on_demand(done) as clusters:
        assert clusters.settings_for(modules / HOSTS) == {}
    for named in ({"cluster": "dev"}, {"context": "kind"}):
        with on_demand(done, **named) as clusters:
            assert clusters.settings_for(modules / HOSTS) == {}
            assert clusters.settings_for(modules / KUBERNETES) == named
    assert done == []


def test_it_is_made_once_for_all_who_ask_and_goes(modules: Path, done: list[str]) -> None:
    with on_demand(done, cluster="") as clusters, ThreadPoolExecutor(4) as pool:
        asked = list(pool.map(clusters.settings_for, [modules / KUBERNETES] * 8))
    assert asked == [{"cluster": "prove-1"}] * 8
    assert done == ["prepare", "up", "down"]


def test_it_goes_after_an_exception_and_what_stays_of_it_is_said(modules: Path, done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celerylab.clusters.on_demand.ThrowawayStack.rest", ["container node-1"])

    def fail_inside() -> None:
        with on_demand(done) as clusters:
            clusters.settings_for(modules / KUBERNETES)
            raise KeyError("on the way")

    with pytest.raises(LeftBehindError, match="container node-1"):
        fail_inside()
    assert done[-1] == "down"
