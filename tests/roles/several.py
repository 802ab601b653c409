"""Several hosts in a network of their own, made of an image that has the install parts of their roles: for what one host cannot show."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import testinfra
import yaml
from conftest import Run, poll_host, remove, run_playbook

from celerylab.images.bake import bake, bake_dockerfile
from celerylab.images.recipe import roles_recipe
from celerylab.topology.roles import Roles

PROFILE = ("--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined", "--cgroupns=private", "--tmpfs=/run", "--tmpfs=/tmp")
LABEL = "--label=io.celerylab.kind=test"


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
    _addresses: dict[str, str] = field(default_factory=dict)

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
        self._make(name)
        self._introduce()
        self._boot(name)

    def kill(self, name: str) -> None:
        """Takes the power from a host; its disk stays."""
        self._docker("kill", self.container(name))

    def start(self, *names: str, wait: bool = True) -> None:
        """Gives the power back; returns when they have booted, unless told not to `wait`."""
        self._docker("start", *(self.container(name) for name in names))
        self._introduce()
        for name in names if wait else ():
            self._boot(name)

    @contextmanager
    def cut(self, name: str) -> Iterator[None]:
        """The host is alone for as long as the block takes."""
        self._docker("network", "disconnect", self.network, self.container(name))
        try:
            yield
        finally:
            self._docker("network", "connect", f"--alias={name}", self.network, self.container(name))
            self._introduce()

    def converge(self, plays: Sequence[dict[str, Any]], *options: str, fails: bool = False, **variables: Any) -> Run:
        """Runs `plays`, with `variables` over their own, on hosts whose image has the install parts; `options` are of ansible-playbook."""
        playbook = self.folder / "play.yml"
        whole = [{"gather_facts": False, "force_handlers": True, **play} for play in plays]
        playbook.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
        return run_playbook(playbook, {name: self.container(name) for name in self.names}, self, self.folder, options, fails, variables)

    def poll(self, name: str, command: str, expected: str = "", seconds: float = 15) -> str:
        """Runs `command` on a host until it succeeds and its output holds `expected`; the output."""
        return poll_host(self[name], command, expected, seconds)

    def make_all(self) -> None:
        """Every host, as `create` makes one."""
        for name in self.names:
            self._make(name)
        self._introduce()
        for name in self.names:
            self._boot(name)

    def _make(self, name: str) -> None:
        remove(self.container(name))
        self._docker("run", "--detach", f"--name={self.container(name)}", f"--hostname={name}", f"--network={self.network}",
                     f"--network-alias={name}", LABEL, *PROFILE, self.image)  # fmt: skip

    def _introduce(self) -> None:
        """Writes all names into /etc/hosts, those of hosts that are gone as well: Docker's name server forgets them, and then looks for them
        elsewhere for seconds, in which Redis and RabbitMQ stand still. Docker writes the file anew when a host starts."""
        found = json.loads(self._docker("inspect", *(self.container(name) for name in self.names)))
        up = [name for name, container in zip(self.names, found, strict=True) if container["State"]["Running"]]
        networks = {name: container["NetworkSettings"]["Networks"] for name, container in zip(self.names, found, strict=True)}
        self._addresses.update({name: networks[name][self.network]["IPAddress"] for name in up if self.network in networks[name]})
        for name in up:
            lines = "".join(f"{address} {other} # peer\n" for other, address in self._addresses.items() if other != name)
            script = f"known=$(grep --invert-match '# peer$' /etc/hosts); printf '%s\\n{lines}' \"$known\" > /etc/hosts"
            self[name].check_output(script)

    def _boot(self, name: str) -> None:
        # It ends with 1 where a unit failed, which is the affair of the tests.
        subprocess.run(
            ["docker", "exec", self.container(name), "systemctl", "is-system-running", "--wait"], capture_output=True, check=False
        )

    def _docker(self, *command: str) -> str:
        result = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"docker {' '.join(command)}: {result.stderr}"
        return result.stdout


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
        subprocess.run(["docker", "network", "create", "--internal", LABEL, hosts.network], check=True, capture_output=True)
        hosts.make_all()
        yield hosts
    finally:
        for name in names:
            remove(hosts.container(name))
        subprocess.run(["docker", "network", "rm", hosts.network], capture_output=True, check=False)
