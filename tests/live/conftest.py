"""Real stacks on a real engine. Whatever a test leaves is removed by label, and the run fails if anything of its instances stays."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from celerylab.providers.engine import engine, left_behind
from celerylab.pulumi_stack import PulumiStack
from celerylab.shell_environment import shell_environment
from tests.turns import skip_lessons_of_other_days

if TYPE_CHECKING:
    from tests.live.cluster import LiveCluster

TIMEOUT_SECONDS = 600


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Lessons take turns."""
    skip_lessons_of_other_days(config, items)


@pytest.fixture(scope="session", autouse=True)
def _engine_is_there(docker_engine: None) -> None:
    """Live tests want Docker."""


@pytest.fixture(scope="session", autouse=True)
def _images(root: Path, _engine_is_there: None) -> None:
    """Every image of module 02 is baked once, before anything is timed or watched."""
    run(["celerylab", "images", "bake", "02"], root)


def run(
    command: list[str], folder: Path, check: bool = True, seconds: float = TIMEOUT_SECONDS, **more: Any
) -> subprocess.CompletedProcess[str]:
    """Runs a command as a learner's shell would after `source ./activate`; fails with its output."""
    environment = {**os.environ, **shell_environment(os.environ), "COLUMNS": "200", **more.pop("env", {})}
    result = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        **more,
    )
    if check and result.returncode != 0:
        pytest.fail(f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}")
    return result


@dataclass
class LiveStack:
    """A stack of a module that a test drives through the same commands as a learner."""

    folder: Path
    name: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:6]}")

    @property
    def instance(self) -> str:
        return PulumiStack(self.folder, self.name).instance.id

    def celerylab(self, command: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        separator = arguments.index("--") if "--" in arguments else len(arguments)
        options = ["--stack", self.name]
        return run(
            ["celerylab", command, self.folder.name[:2], *arguments[:separator], *options, *arguments[separator:]], self.folder, check
        )

    def pulumi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run(["pulumi", *arguments, "--stack", self.name, "--non-interactive"], self.folder, check)

    def up(self, lab: str | Path = "solution", **settings: str) -> None:
        pairs = [option for name, value in settings.items() for option in ("--set", f"{name}={value}")]
        self.celerylab("up", "--lab", str(lab), *pairs)

    def outputs(self) -> dict[str, Any]:
        return PulumiStack(self.folder, self.name).outputs()

    def verdicts(self, *objectives: str) -> dict[str, dict[str, Any]]:
        only = [option for objective in objectives for option in ("--objective", objective)]
        results = json.loads(self.celerylab("verify", "--json", *only, check=False).stdout)
        return {objective["id"]: objective for objective in results["objectives"]}

    def container(self, host: str = "node-1") -> Any:
        return engine().containers.get(f"celerylab-{self.instance}-{host}")

    def on_host(self, *command: str, host: str = "node-1", user: str = "root") -> str:
        result = self.container(host).exec_run(list(command), user=user)
        assert result.exit_code == 0, result.output.decode()
        text: str = result.output.decode()
        return text

    def remove(self) -> None:
        run(["celerylab", "down", self.folder.name[:2], "--force", "--stack", self.name], self.folder, check=False)
        (self.folder / f"Pulumi.{self.name}.yaml").unlink(missing_ok=True)


@pytest.fixture
def stack(module_02: Path) -> Iterator[LiveStack]:
    """A stack of this test alone; nothing is deployed yet."""
    live = LiveStack(module_02)
    yield live
    live.remove()
    assert left_behind(live.instance) == []


@pytest.fixture(scope="session")
def shared(module_02: Path, _images: None) -> Iterator[LiveStack]:
    """Module 02 with its solution, deployed once for all tests that leave it as it was."""
    live = LiveStack(module_02)
    try:
        live.up()
        yield live
    finally:
        live.remove()
    assert left_behind(live.instance) == []


@pytest.fixture
def says(request: pytest.FixtureRequest):
    """Checks that a command fails with one line that holds all `words`; keeps the line for whoever asks with CELERYLAB_BAD_DAYS=FILE."""

    def check(result: subprocess.CompletedProcess[str], *words: str, code: int | None = None) -> str:
        assert result.returncode != 0, result.stdout
        lines = [line for line in (result.stdout + "\n" + result.stderr).splitlines() if "rror: " in line]
        line = next((line for line in lines if all(word in line for word in words)), None)
        assert line is not None, f"no line with {words} in:\n{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.stdout + result.stderr
        if code is not None:
            assert result.returncode == code
        if os.environ.get("CELERYLAB_BAD_DAYS"):
            with Path(os.environ["CELERYLAB_BAD_DAYS"]).open("a", encoding="utf-8") as file:
                file.write(f"{request.node.name}: {line.strip()}\n")
        return line

    return check


@pytest.fixture(scope="session")
def shared_cluster(root: Path) -> Iterator["LiveCluster"]:
    """A cluster of two nodes, made once for all tests that leave it as it was."""
    from tests.live.cluster import cluster_up

    with cluster_up(root) as live:
        yield live


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A clone with the uncommitted state of the working tree, so that the learner's lab/ is nobody else's."""
    return copy_checkout(root, tmp_path / "checkout")


def copy_checkout(root: Path, target: Path) -> Path:
    """Copies what git knows or would add of `root` to `target`, with the same environment and tools; `target`."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, files):
        source = root / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(source.read_bytes())
            (target / name).chmod(source.stat().st_mode)
    for name in (".venv", ".tools"):
        if (root / name).exists():
            (target / name).symlink_to((root / name).resolve())
    return target
