"""Several hosts in a network of their own, made of an image that has the install parts of their roles: for what one host cannot show."""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import testinfra
import yaml
from conftest import CONNECTION, Run, remove

from celerylab.images.bake import bake, bake_dockerfile
from celerylab.images.recipe import roles_recipe
from celerylab.topology.roles import Roles

_PROFILE = ("--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined", "--cgroupns=private", "--tmpfs=/run", "--tmpfs=/tmp")
_LABEL = "--label=io.celerylab.kind=test"


@dataclass
class Several:
    """Hosts that find each other by the `names` they have here; each container is called after `title` and its host's name."""

    title: str
    names: Sequence[str]
    image: str
    root: Path
    folder: Path
    environment: dict[str, str]
    _hosts: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """The host of that name, for testinfra."""
        if name not in self._hosts:
            self._hosts[name] = testinfra.get_host(f"docker://{self.container(name)}")
        return self._hosts[name]

    def container(self, name: str) -> str:
        """What the container of a host is called."""
        return f"celerylab-test-{self.title}-{name}"

    @property
    def network(self) -> str:
        """What the network is called; nothing in it reaches the outside."""
        return f"celerylab-test-{self.title}"

    def create(self, name: str) -> None:
        """A host with nothing on it but the install parts, running; also in the place of one that was removed."""
        remove(self.container(name))
        self._docker("run", "--detach", f"--name={self.container(name)}", f"--hostname={name}", f"--network={self.network}",
                     f"--network-alias={name}", _LABEL, *_PROFILE, self.image)  # fmt: skip
        self._boot(name)

    def kill(self, name: str) -> None:
        """Takes the power from a host; its disk stays."""
        self._docker("kill", self.container(name))

    def start(self, name: str) -> None:
        """Gives the power back."""
        self._docker("start", self.container(name))
        self._boot(name)

    @contextmanager
    def cut(self, name: str) -> Iterator[None]:
        """The host is alone for as long as the block takes."""
        self._docker("network", "disconnect", self.network, self.container(name))
        try:
            yield
        finally:
            self._docker("network", "connect", f"--alias={name}", self.network, self.container(name))

    def converge(self, plays: Sequence[dict[str, Any]], *options: str, fails: bool = False, **variables: Any) -> Run:
        """Runs `plays`, with `variables` over their own, on hosts whose image has the install parts; `options` are of ansible-playbook."""
        inventory, playbook = self.folder / "inventory.yml", self.folder / "play.yml"
        hosts = {name: {"ansible_host": self.container(name), "ansible_connection": CONNECTION} for name in self.names}
        inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
        whole = [{"gather_facts": False, "force_handlers": True, **play} for play in plays]
        playbook.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
        skipped = ",".join(f"{path.name}_install" for path in (self.root / "roles").iterdir())
        command = ["ansible-playbook", "-i", str(inventory), "--skip-tags", skipped, *options]
        if variables:
            command += ["-e", json.dumps(variables)]
        result = subprocess.run([*command, str(playbook)], env=self.environment, capture_output=True, text=True, timeout=300, check=False)
        run = Run(result.stdout + result.stderr, result.returncode)
        assert (run.code != 0) == fails, f"{'succeeded' if fails else 'failed'}:\n{run.output[-4000:]}"
        return run

    def poll(self, name: str, command: str, expected: str = "", seconds: float = 15) -> str:
        """Runs `command` on a host until it succeeds and its output holds `expected`; the output."""
        deadline = time.monotonic() + seconds
        while True:
            result = self[name].run(command)
            if result.succeeded and expected in result.stdout:
                return str(result.stdout)
            if time.monotonic() > deadline:
                journal = self[name].run("journalctl --lines 40 --no-pager --output cat").stdout
                said = f"{result.stdout}{result.stderr}\njournal:\n{journal}"
                pytest.fail(f"{name}: {command!r} did not say {expected!r} within {seconds} s: {said}")
            time.sleep(0.2)

    def _boot(self, name: str) -> None:
        # It ends with 1 where a unit failed, which is the affair of the tests.
        subprocess.run(
            ["docker", "exec", self.container(name), "systemctl", "is-system-running", "--wait"], capture_output=True, check=False
        )

    def _docker(self, *command: str) -> None:
        result = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"docker {' '.join(command)}: {result.stderr}"


@contextmanager
def several_hosts(
    root: Path, environment: dict[str, str], folder: Path, title: str, names: Sequence[str], roles: Sequence[str]
) -> Iterator[Several]:
    """Hosts called `names` that have the install parts of `roles`, running and not converged; they are removed whatever happens."""
    bake_dockerfile(root, "bare", print)
    known = Roles(root / "roles")
    image = bake(SimpleNamespace(root=root, roles=known), roles_recipe(root, known, {name: {} for name in roles}), print)
    hosts = Several(title, names, image, root, folder, environment)
    try:
        subprocess.run(["docker", "network", "rm", hosts.network], capture_output=True, check=False)
        subprocess.run(["docker", "network", "create", "--internal", _LABEL, hosts.network], check=True, capture_output=True)
        for name in names:
            hosts.create(name)
        yield hosts
    finally:
        for name in names:
            remove(hosts.container(name))
        subprocess.run(["docker", "network", "rm", hosts.network], capture_output=True, check=False)
