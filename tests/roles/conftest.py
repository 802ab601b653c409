"""Scenarios: molecule brings a role onto an unbaked host, dry, for real, again and dry again; then the tests look at the host."""

import json
import os
import re
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml

from celerylab.converge.connection import has_mitogen, strategy_environment

FILES = Path(__file__).with_name("files")
CONNECTION = "mitogen_docker" if has_mitogen() else "community.docker.docker"


@dataclass
class Run:
    """What one playbook run said."""

    output: str
    code: int

    @property
    def changed(self) -> list[str]:
        """Names of the tasks and handlers that changed something, by their role."""
        found, name = [], ""
        for line in self.output.splitlines():
            if match := re.match(r"(?:TASK|RUNNING HANDLER) \[(.*?)\]", line):
                name = match[1]
            elif line.startswith("changed:") and name not in found:
                found.append(name)
        return found


def run_playbook(
    playbook: Path, hosts: dict[str, str], made: Any, folder: Path, options: Sequence[str], fails: bool, variables: dict[str, Any]
) -> Run:
    """Runs `playbook` over `hosts` (their containers by name), as on hosts whose image has the install parts; `made` has `root` and `environment`."""
    # In an inventory and not as an extra variable, which would be true of the controller as well, where tasks are delegated to it.
    known = {name: {"ansible_host": container, "ansible_connection": CONNECTION} for name, container in hosts.items()}
    inventory = folder / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": known}}), encoding="utf-8")
    skipped = ",".join(f"{path.name}_install" for path in (made.root / "roles").iterdir())
    command = ["ansible-playbook", "-i", str(inventory), "--skip-tags", skipped, *options, "-e", json.dumps(variables), str(playbook)]
    result = subprocess.run(command, env=made.environment, capture_output=True, text=True, timeout=300, check=False)
    run = Run(result.stdout + result.stderr, result.returncode)
    assert (run.code != 0) == fails, f"{'succeeded' if fails else 'failed'}:\n{run.output[-4000:]}"
    return run


def poll_host(host: Any, command: str, expected: str, seconds: float) -> str:
    """Runs `command` on a host until it succeeds and its output holds `expected`; the output."""
    deadline = time.monotonic() + seconds
    while True:
        result = host.run(command)
        if result.succeeded and expected in result.stdout:
            return str(result.stdout)
        if time.monotonic() > deadline:
            journal = host.run("journalctl --lines 40 --no-pager --output cat").stdout
            said = f"{result.stdout}{result.stderr}\njournal:\n{journal}"
            pytest.fail(f"{host.backend.name}: {command!r} did not say {expected!r} within {seconds} s: {said}")
        time.sleep(0.2)


@dataclass
class Scenario:
    """A host that a role was brought onto. `files` are the test's own copies of tests/roles/files, for changing and converging again."""

    role: str
    root: Path
    files: Path
    environment: dict[str, str]
    container: str
    host: Any = field(init=False)

    def __post_init__(self) -> None:
        self.host = testinfra.get_host(f"docker://{self.container}")

    def converge(self, *options: str, fails: bool = False, **variables: Any) -> Run:
        """Runs the scenario's playbook again, as on a host whose image has the install parts, with `variables` over its own."""
        playbook = self.root / "roles" / self.role / "molecule" / "default" / "converge.yml"
        return run_playbook(playbook, {self.container: self.container}, self, self.files.parent, options, fails, variables)

    def poll(self, command: str, expected: str = "", seconds: float = 15) -> str:
        """Runs `command` until it succeeds and its output holds `expected`; the output."""
        return poll_host(self.host, command, expected, seconds)


@pytest.fixture(scope="session")
def bare_image(root: Path) -> str:
    """Tag of the bare image; CELERYLAB_BARE_IMAGE names another than the recipe's."""
    if os.environ.get("CELERYLAB_BARE_IMAGE"):
        return os.environ["CELERYLAB_BARE_IMAGE"]
    from celerylab.images.bake import bake_dockerfile

    return bake_dockerfile(root, "bare", print)


@pytest.fixture(scope="session")
def ansible_environment(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of ansible-playbook: the roles of this checkout, nothing of the user's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    return {
        **inherited,
        **strategy_environment(),
        "ANSIBLE_FORCE_HANDLERS": "1",
        "ANSIBLE_HOME": str(tmp_path_factory.mktemp("ansible")),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        "ANSIBLE_ROLES_PATH": str(root / "roles"),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of tests/roles/files that a test may change."""
    return Path(shutil.copytree(FILES, tmp_path_factory.mktemp("scenario") / "files"))


@pytest.fixture(scope="module")
def scenario(
    request: pytest.FixtureRequest,
    root: Path,
    bare_image: str,
    ansible_environment: dict[str, str],
    files: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scenario]:
    """The scenario of the role that the module names as ROLE, converged; the host is removed whatever happens."""
    role = request.module.ROLE
    prepare: Callable[[Path], None] = getattr(request.module, "prepare_files", lambda _: None)
    prepare(files)
    container = f"celerylab-test-{role}"
    environment = {
        **ansible_environment,
        "CELERYLAB_BARE_IMAGE": bare_image,
        "CELERYLAB_TEST_CONNECTION": CONNECTION,
        "CELERYLAB_TEST_FILES": str(files),
        "CELERYLAB_TEST_NAME": role,
        "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path_factory.mktemp("molecule")),
    }
    remove(container)
    try:
        result = subprocess.run(
            ["molecule", "--base-config", str(root / ".config" / "molecule" / "config.yml"), "test", "--destroy", "never"],
            cwd=root / "roles" / role, env=environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        output = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout + result.stderr)
        assert result.returncode == 0, f"molecule test of {role} failed:\n{output[-6000:]}"
        recaps = re.findall(r"ok=\d+ +changed=(\d+)", output)
        assert recaps[-1] == "0", f"a dry run on the converged host reports {recaps[-1]} changes:\n{output[-6000:]}"
        yield Scenario(role, root, files, environment, container)
    finally:
        remove(container)


def remove(container: str) -> None:
    """Removes a container, if it is there."""
    subprocess.run(["docker", "rm", "--force", "--volumes", container], capture_output=True, check=False)


def wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel of one module `name` whose VERSION is `version`."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = '{version}'\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path
