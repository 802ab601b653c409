"""The Docker engine as our providers use it: one client, clear errors, and objects found by our labels."""

import io
import os
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from celerylab.errors import EngineError
from celerylab.topology.names import label


def say(text: str) -> None:
    """Prints a line: Pulumi shows what a provider prints in its progress display."""
    print(text, flush=True)  # noqa: T201


@cache
def engine() -> Any:
    """The Docker client, as DOCKER_HOST and the current context say. Raises EngineError where no engine answers."""
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except (DockerException, requests.RequestException) as error:
        where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        raise EngineError(
            f"Docker does not answer at {where} ({_cause(error)}); start Docker Desktop or `dockerd`, then try again"
        ) from None
    return client


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turns what Docker says while `doing` something into one line."""
    try:
        yield
    except APIError as error:
        raise EngineError(f"{doing}: Docker says: {error.explanation or error}") from None
    except (DockerException, requests.RequestException) as error:
        raise EngineError(f"{doing}: Docker does not answer any more ({_cause(error)})") from None


def find_container(name: str) -> Any | None:
    """The container called `name`, or None."""
    try:
        return engine().containers.get(name)
    except NotFound:
        return None


def remove_container(name: str) -> None:
    """Removes the container `name` with its anonymous volumes; content if there is none."""
    with engine_errors(f"removing {name}"):
        container = find_container(name)
        if container is None:
            return
        try:
            container.remove(force=True, v=True)
        except NotFound:
            return
        except APIError as error:
            if error.status_code != 409:  # its removal is already under way
                raise
            wait_until_gone(name)


def wait_until_gone(name: str, seconds: float = 30) -> None:
    """Waits until the container `name` is gone. Raises EngineError after `seconds`."""
    deadline = time.monotonic() + seconds
    while find_container(name) is not None:
        if time.monotonic() > deadline:
            raise EngineError(f"{name} is still being removed by Docker after {seconds:.0f} s")
        time.sleep(0.1)


def left_behind(instance: str) -> list[str]:
    """Everything on the engine that carries the label of `instance`, as `kind name`, sorted. Empty is what a receipt wants."""
    selection = {"label": f"{label('instance')}={instance}"}
    with engine_errors("looking for what is left"):
        client = engine()
        found = [f"container {c.name}" for c in client.containers.list(all=True, filters=selection, ignore_removed=True)]
        found += [f"network {n.name}" for n in client.networks.list(filters=selection)]
        found += [f"volume {v.name}" for v in client.volumes.list(filters=selection)]
    return sorted(found)


def remove_instance(instance: str) -> None:
    """Removes everything that carries the label of `instance`, containers first. For a state that is lost."""
    selection = {"label": f"{label('instance')}={instance}"}
    client = engine()
    with engine_errors(f"removing instance {instance}"):
        for container in client.containers.list(all=True, filters=selection, ignore_removed=True):
            remove_container(container.name)
        for network in client.networks.list(filters=selection):
            network.remove()
        for volume in client.volumes.list(filters=selection):
            volume.remove(force=True)


def put_files(container: Any, files: Mapping[str, tuple[bytes, int, int]]) -> None:
    """Writes files into a container, started or not: absolute path to (bytes, mode, numeric owner). Their folders must exist."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (content, mode, owner) in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode, member.uid, member.gid, member.mtime = len(content), mode, owner, owner, int(time.time())
            archive.addfile(member, io.BytesIO(content))
    container.put_archive("/", buffer.getvalue())


def _cause(error: BaseException) -> str:
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
