"""Hosts as checks see them: testinfra through `docker exec`, as an unprivileged observer. Only faults are root."""

import shlex
import subprocess
from dataclasses import dataclass
from typing import Any

from testinfra.backend.docker import DockerBackend
from testinfra.host import Host as TestinfraHost

from celerylab.verify.expect import NotObservedError

OBSERVER = "observer"
APPLICATION = "celery"  # the account of role celery_app
ENVIRONMENT = "/opt/celery/venv"  # its virtual environment
TIMEOUT_SECONDS = 30
# How Docker itself, not the command, says that a command could not be run.
_DOCKER_SAYS = ("Error response from daemon", "Error: No such container", "Cannot connect to the Docker daemon", "OCI runtime exec failed")


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    stdout: str
    stderr: str


class _ObserverBackend(DockerBackend):  # type: ignore[misc]  # testinfra publishes no types
    """testinfra's Docker backend, except that a broken control channel is no exit code but NotObservedError."""

    def run(self, command: str, *args: str, **_: Any) -> Any:
        script = self.get_command(command, *args)
        line = ["docker", "exec", "--user", self.user, self.name, "/bin/sh", "-c", script]
        try:
            result = subprocess.run(line, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise NotObservedError(f"host {self.name} did not answer `{command}` within {TIMEOUT_SECONDS} s") from None
        if result.returncode and any(words in result.stderr.decode(errors="replace") for words in _DOCKER_SAYS):
            raise NotObservedError(f"host {self.name} cannot be reached: {result.stderr.decode(errors='replace').strip()}")
        return self.result(result.returncode, self.encode(script), result.stdout, result.stderr)


class ObservedHost(TestinfraHost):  # type: ignore[misc]
    """A testinfra host (`host.service(...)`, `host.file(...)`, `host.run(...)`) with a few shorthands for units and Python."""

    def __init__(self, name: str, container: str) -> None:
        super().__init__(_ObserverBackend(f"{OBSERVER}@{container}"))
        self.name, self.container = name, container

    def unit(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a systemd unit as systemd has them now."""
        names = ",".join(properties)
        lines = self.check_output("systemctl show --property=%s %s", names, unit).splitlines()
        return dict(line.partition("=")[::2] for line in lines)

    def main_pid(self, unit: str) -> int:
        """Main process of a unit; 0 while it has none."""
        return int(self.unit(unit, "MainPID")["MainPID"])

    def python(self, script: str, *arguments: str, stdin: str = "") -> str:
        """Output of `script` run by the application's Python, as the observer. Secrets go through `stdin`, never into arguments.

        Raises NotObservedError where it ends with an error of its own.
        """
        line = [
            "docker",
            "exec",
            "--interactive",
            "--user",
            OBSERVER,
            self.container,
            f"{ENVIRONMENT}/bin/python",
            "-c",
            script,
            *arguments,
        ]
        result = subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        if result.returncode != 0:
            raise NotObservedError(f"a probe on {self.name} failed: {result.stderr.strip()[-400:]}")
        return result.stdout

    def as_application(self, *command: str, stdin: str = "", seconds: float = TIMEOUT_SECONDS) -> Ran:
        """Runs `command` as another program of the application would be, its web shop or its operator for instance: as the user celery, with the
        host's environment file, the deployed code and its virtual environment.

        What it says and how it ends is for the check to judge: the learner's settings have a part in it. After `seconds` it ends with 124.
        A check that only looks uses `run`, as the observer.
        """
        shell = (
            f'set -a; . /etc/celery/celery.env; set +a; PATH={ENVIRONMENT}/bin:$PATH; cd /opt/celery/current; exec timeout {seconds:g} "$@"'
        )
        line = ["docker", "exec", "--interactive", "--user", APPLICATION, self.container, "sh", "-c", shell, "sh", *command]
        try:
            result = subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=seconds + TIMEOUT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise NotObservedError(f"host {self.name} did not answer within {seconds + TIMEOUT_SECONDS:g} s") from None
        if result.returncode and any(words in result.stderr for words in _DOCKER_SAYS):
            raise NotObservedError(f"host {self.name} cannot be reached: {result.stderr.strip()}")
        return Ran(result.returncode, result.stdout, result.stderr)

    def as_root(self, *command: str) -> str:
        """Output of `command` run as root. For faults alone. Raises NotObservedError where it fails."""
        line = ["docker", "exec", self.container, *command]
        result = subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        if result.returncode != 0:
            raise NotObservedError(f"`{shlex.join(command)}` failed on {self.name}: {result.stderr.strip()}")
        return result.stdout
