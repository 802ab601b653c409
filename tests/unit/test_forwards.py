"""A forward's port stays the same whatever becomes of the pod behind it, and nothing of it stays. kubectl, our edge, is a stand-in."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from celerylab.clusters.forwards import Forwards
from celerylab.errors import EngineError

# As `kubectl port-forward`: answers each connection with the number of its own process; it ends where a client says `end`.
KUBECTL = """#!{python}
import os, pathlib, socket, stat, sys
folder = pathlib.Path({folder!r})
kubeconfig = pathlib.Path(sys.argv[sys.argv.index("--kubeconfig") + 1])
mode = stat.S_IMODE(kubeconfig.stat().st_mode)
with (folder / "starts").open("a") as starts:
    starts.write(f"{{kubeconfig}} {{mode:o}} {{kubeconfig.read_text()}} {{' '.join(sys.argv[3:])}}\\n")
if (folder / "nobody").exists():
    sys.exit("error: no pod")
local = int(next(word for word in sys.argv if word[0].isdigit() and ":" in word).split(":")[0])
listener = socket.create_server(("127.0.0.1", local))
print(f"Forwarding from 127.0.0.1:{{local}} -> 6379", flush=True)
while True:
    client, _ = listener.accept()
    client.sendall(str(os.getpid()).encode())
    said = client.recv(10)
    client.close()
    if said == b"end":
        sys.exit("error: lost connection to pod")
"""
SERVICES = {"broker": {"name": "lab-redis", "port": 6379}}


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Puts the stand-in on PATH; what it was started with."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    log = tmp_path / "starts"
    return lambda: log.read_text().splitlines() if log.exists() else []


def ask(endpoint: str, say: bytes = b"bye", seconds: float = 10) -> int:
    """The process that answers behind `endpoint`."""
    address, port = endpoint.split(":")
    deadline = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection((address, int(port)), timeout=5) as connection:
                process = int(connection.recv(20))
                connection.sendall(say)
                return process
        except (ConnectionError, ValueError):
            assert time.monotonic() < deadline, f"nobody answers at {endpoint}"
            time.sleep(0.05)


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_listens_when_the_block_begins(starts: Callable[[], list[str]]) -> None:
    with Forwards("secret", "space", SERVICES) as forwards:
        assert ask(forwards.endpoints["broker"], seconds=0)
    assert "--namespace space port-forward service/lab-redis" in starts()[0]


def test_a_forward_that_ends_begins_again_on_the_same_port(starts: Callable[[], list[str]]) -> None:
    with Forwards("secret", "space", SERVICES) as forwards:
        first = ask(forwards.endpoints["broker"], b"end")
        assert ask(forwards.endpoints["broker"]) != first
    assert len(starts()) == 2


def test_a_service_that_has_no_pod_at_first_is_reached_once_it_has(
    starts: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celerylab.clusters.forwards.READY_SECONDS", 0)
    (tmp_path / "nobody").touch()
    with Forwards("secret", "space", SERVICES) as forwards:
        deadline = time.monotonic() + 10
        while len(starts()) < 2:
            assert time.monotonic() < deadline, "it does not go on trying"
            time.sleep(0.05)
        (tmp_path / "nobody").unlink()
        assert ask(forwards.endpoints["broker"])


def test_the_kubeconfig_is_a_private_file_that_is_gone_once_it_was_read(starts: Callable[[], list[str]]) -> None:
    with Forwards("secret", "space", SERVICES) as forwards:
        path, mode, content, *_ = starts()[0].split()
        assert (mode, content) == ("600", "secret")
        assert ask(forwards.endpoints["broker"])
        assert not Path(path).exists()


def test_nothing_runs_after_whoever_had_it_was_killed(starts: Callable[[], list[str]]) -> None:
    hold = f"""
from celerylab.clusters.forwards import Forwards
with Forwards("secret", "space", {SERVICES!r}) as forwards:
    print(forwards.endpoints["broker"], flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        process = ask(holder.stdout.readline().strip())
        holder.kill()
    deadline = time.monotonic() + 10
    while runs(process):
        assert time.monotonic() < deadline, "it goes on alone"
        time.sleep(0.05)


def test_nothing_runs_after_an_exception(starts: Callable[[], list[str]]) -> None:
    process = 0

    def fail_inside() -> None:
        nonlocal process
        with Forwards("secret", "space", SERVICES) as forwards:
            process = ask(forwards.endpoints["broker"])
            raise KeyError("on the way")

    with pytest.raises(KeyError):
        fail_inside()
    assert not runs(process)


def test_without_kubectl_the_block_does_not_begin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="kubectl is not on PATH"), Forwards("secret", "space", SERVICES):
        pass
