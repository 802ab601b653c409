"""One Pulumi stack of a module or the cluster, driven through the `pulumi` command that learners use: same backend, state and display."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from celerylab.errors import BusyError, EngineError, InputError, InterruptedRunError
from celerylab.paths import kubeconfig_dir
from celerylab.private_folders import temporary_folder
from celerylab.processes import run_to_its_end
from celerylab.shell_environment import shell_environment
from celerylab.topology.names import DRAIN_VARIABLE, Instance, project_name

DEFAULT_STACK = "me"
CLUSTER = "cluster"  # folder under stacks/


@dataclass(frozen=True)
class PulumiStack:
    """The stack `name` of the Pulumi project in `folder`: a module, or stacks/cluster."""

    folder: Path
    name: str

    @property
    def project(self) -> str:
        """What the project's Pulumi.yaml must be called: `02` for a module, `cluster` for the cluster."""
        return CLUSTER if self.folder.name == CLUSTER else self.folder.name[:2]

    @property
    def title(self) -> str:
        """The project in a sentence."""
        return title_of(self.project)

    def command(self, verb: str) -> str:
        """The command of ours that does `verb` to it."""
        return f"celerylab cluster {verb}" if self.project == CLUSTER else f"celerylab {verb} {self.project}"

    @cached_property
    def environment(self) -> dict[str, str]:
        """Environment that `pulumi` runs in."""
        return {**os.environ, **shell_environment(os.environ)}

    @property
    def instance(self) -> Instance:
        """Whose objects are this stack's."""
        return Instance(self.environment.get("PULUMI_BACKEND_URL", ""), project_name(self.project), self.name)

    @property
    def kubeconfig(self) -> Path:
        """Where the kubeconfig of a cluster is, once `celerylab cluster kubeconfig` has written it."""
        return kubeconfig_dir() / f"{self.instance.id}.yaml"

    def exists(self) -> bool:
        """Whether the backend knows the stack. Asks for this one alone: a list of all reads what others are just writing."""
        try:
            self._capture("stack", "export", "--stack", self.name)
        except InputError:
            return False
        return True

    def ensure(self) -> None:
        """Creates and selects the stack."""
        self._capture("stack", "select", "--create", self.name)

    def configure(self, settings: dict[str, str]) -> None:
        """Sets `celerylab:<name>` for each of `settings`."""
        pairs = [option for name, value in settings.items() for option in ("--plaintext", f"celerylab:{name}={value}")]
        if pairs:
            self._capture("config", "set-all", "--stack", self.name, *pairs)

    def configuration(self) -> dict[str, str]:
        """What is set under `celerylab:`, the project's own values included."""
        values = json.loads(self._capture("config", "--stack", self.name, "--json"))
        return {key.split(":", 1)[1]: value.get("value", "") for key, value in values.items() if key.startswith("celerylab:")}

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, and under `secrets` the values of its secrets by name. Raises InputError where nothing is deployed."""
        resources = self._resources()
        outputs: dict[str, Any] = {}
        secrets: dict[str, str] = {}
        for resource in resources:
            found = resource.get("outputs", {})
            if resource["type"] == "pulumi:pulumi:Stack":
                outputs = found
            elif resource["type"].endswith("/celerylab:Secret") and not resource.get("delete"):
                secrets[found["name"]] = json.loads(found["value"]["plaintext"])
        if "instance" not in outputs:
            raise InputError(f"stack {self.name} of {self.title} is not up; `{self.command('up')}` deploys it")
        return {**outputs, "secrets": secrets}

    def secret_output(self, kind: str, name: str) -> str:
        """The secret output `name` of the stack's one resource of `kind`, such as `ClusterAccess`. Raises InputError where it has none."""
        for resource in self._resources():
            if resource["type"].endswith(f"/celerylab:{kind}") and not resource.get("delete"):
                value = resource["outputs"][name]
                return str(json.loads(value["plaintext"]))
        raise InputError(f"stack {self.name} of {self.title} is not up; `{self.command('up')}` deploys it")

    def _resources(self) -> list[dict[str, Any]]:
        state = json.loads(self._capture("stack", "export", "--show-secrets", "--stack", self.name))
        return (state.get("deployment") or {}).get("resources") or []

    def locks(self) -> list[dict[str, Any]]:
        """Locks on the stack, each with `pid`, `username` and `timestamp`; empty for backends that keep no files."""
        backend = self.environment.get("PULUMI_BACKEND_URL", "")
        if not backend.startswith("file://"):
            return []
        folder = Path(backend.removeprefix("file://").split("?")[0]).expanduser() / ".pulumi" / "locks"
        files = [path for path in folder.rglob("*.json") if path.parts[-3:-1] == (self.instance.project, self.name)]
        return [json.loads(path.read_text(encoding="utf-8")) for path in files]

    def refuse_if_locked(self) -> None:
        """Raises BusyError where another run holds the stack."""
        for lock in self.locks():
            raise BusyError(
                f"stack {self.name} is locked by another run (process {lock['pid']}); wait for it, or `{self.command('unlock')}` if it is gone"
            )

    def destroy(self, quiet: bool = False) -> None:
        """Destroys everything at once: where all goes, no worker is waited for. Raises EngineError as `run` does."""
        self.run("destroy", "--yes", "--skip-preview", quiet=quiet, more={DRAIN_VARIABLE: "0"})

    def run(self, *arguments: str, quiet: bool = False, more: Mapping[str, str] | None = None) -> None:
        """Runs `pulumi` with the terminal as it is, so that its display and Ctrl-C are its own; `more` is added to its environment.

        Raises EngineError where it fails; what went wrong has been shown then, or is in the message when `quiet`. Raises InterruptedRunError
        where we were asked to end meanwhile: `pulumi` has ended by then, and holds no lock.
        """
        command = [self._pulumi(), *arguments, "--stack", self.name]
        try:
            with self._private_environment() as environment:
                result = run_to_its_end(command, self.folder, {**environment, **(more or {})}, quiet)
        except InterruptedRunError:
            raise InterruptedRunError(f"interrupted; `pulumi {arguments[0]}` again goes on from here") from None
        if result.returncode != 0:
            said = f": {_error_of(result.stdout + result.stderr)}" if quiet else "; see above"
            raise EngineError(f"pulumi {arguments[0]} failed{said}")

    def _capture(self, *arguments: str) -> str:
        result = self._ask(*arguments)
        if result.returncode == 0:
            return result.stdout
        said = _error_of(result.stderr or result.stdout)
        if "no stack named" in said:
            raise InputError(f"{self.title} has no stack {self.name}; `{self.command('up')} --stack {self.name}` makes it")
        raise EngineError(f"pulumi {' '.join(arguments[:2])}: {said}")

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self._pulumi(), *arguments, "--non-interactive"]
        with self._private_environment() as environment:
            return subprocess.run(command, cwd=self.folder, env=environment, check=False, text=True, capture_output=True)

    @contextmanager
    def _private_environment(self) -> Iterator[dict[str, str]]:
        """`environment` with a TMPDIR that is gone afterwards: Pulumi leaves its logs there, and its provider for Kubernetes a kubeconfig."""
        with temporary_folder() as folder:
            yield {**self.environment, "TMPDIR": str(folder)}

    def _pulumi(self) -> str:
        found = shutil.which("pulumi", path=self.environment["PATH"])
        if found is None:
            raise EngineError(
                "the `pulumi` command is not installed; run scripts/setup, or install Pulumi from https://www.pulumi.com/docs/install"
            )
        return found


def title_of(project: str) -> str:
    """A project in a sentence: `module 02`, or `the cluster`."""
    return "the cluster" if project == CLUSTER else f"module {project}"


def selected_stack(folder: Path, wanted: str | None) -> PulumiStack:
    """The stack called `wanted`; else the one that `pulumi stack select` chose in this module; else `me`."""
    if wanted:
        return PulumiStack(folder, wanted)
    probe = PulumiStack(folder, DEFAULT_STACK)
    result = probe._ask("stack", "--show-name")
    name = result.stdout.strip().split("/")[-1]
    return PulumiStack(folder, name) if result.returncode == 0 and name else probe


def _error_of(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error:")]
    return " ".join((errors or lines[-3:] or ["no output"])[:3])[:600]
