"""Private folders are nobody else's, and go with their run, also when it was killed."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest

from celerylab import private_folders
from celerylab.converge.connection import docker_connection
from celerylab.converge.play import run_play
from celerylab.private_folders import PREFIX, short_folder, sweep, temporary_folder
from celerylab.pulumi_stack import PulumiStack

SOCKET_PATH = 103  # the shorter of the systems that we know: macOS
MITOGEN = "mitogen_unix_12345678.sock"


@pytest.fixture
def own_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where folders are made in this test, so that no other run sweeps: what TMPDIR says, and what is short."""
    parents = [tmp_path / "temporary", tmp_path / "short"]
    for parent in parents:
        parent.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(parents[0]))
    monkeypatch.setattr(private_folders, "_SHORT", (str(tmp_path / "nowhere"), str(parents[1])))
    return parents


@pytest.mark.parametrize(("make", "place"), [(temporary_folder, 0), (short_folder, 1)])
def test_a_folder_is_private_and_gone_afterwards(
    own_parents: list[Path], make: Callable[[], AbstractContextManager[Path]], place: int
) -> None:
    with make() as folder:
        assert folder.parent == own_parents[place]
        assert folder.name.startswith(f"{PREFIX}{os.getpid()}-")
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "secret").write_text("s")
    assert not folder.exists()


def test_whoever_makes_a_folder_removes_those_whose_process_is_gone(own_parents: list[Path]) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = [parent / f"{PREFIX}{gone.pid}-abcdefgh" for parent in own_parents]
    others = [own_parents[0] / f"{PREFIX}{os.getppid()}-abcdefgh", own_parents[0] / f"celerylab-image-{gone.pid}-x"]
    for folder in (*left, *others):
        folder.mkdir()
        (folder / "kubeconfig").write_text("secret")
    program = "import time; print(flush=True); time.sleep(60)"
    works_there = subprocess.Popen([sys.executable, "-c", program, f"{left[0]}/play.yml"], stdout=subprocess.PIPE)
    assert works_there.stdout is not None  # it was asked for
    works_there.stdout.readline()  # until its program runs, the system may show no command line of it
    try:
        with temporary_folder():
            assert [folder.exists() for folder in left] == [False, False]
            assert [folder.exists() for folder in others] == [True, True]
        assert works_there.wait(timeout=10) == -9
    finally:
        works_there.kill()
        works_there.communicate()


def test_a_folder_that_its_own_run_removes_meanwhile_is_no_error(own_parents: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda parent, _: [parent / f"{PREFIX}1234567-abcdefgh"])
    sweep()


def test_a_socket_of_mitogen_fits_in_however_long_tmpdir_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with short_folder() as folder:
        assert len(str(folder / MITOGEN)) <= SOCKET_PATH


def test_a_pulumi_that_we_run_has_a_tmpdir_that_is_gone_afterwards(
    tmp_path: Path, own_parents: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pulumi"
    program.write_text('#!/bin/sh\ntouch "$TMPDIR/kubeconfig" && echo "$TMPDIR" >> ' + f"{tmp_path}/seen\n")
    program.chmod(0o700)
    stack = PulumiStack(tmp_path, "t")
    monkeypatch.setattr(PulumiStack, "_pulumi", lambda _: str(program))
    stack.run("up", quiet=True)
    stack.ensure()
    seen = [Path(line) for line in (tmp_path / "seen").read_text().splitlines()]
    assert [folder.parent for folder in seen] == [own_parents[0]] * 2
    assert list(own_parents[0].iterdir()) == []


def test_ansible_has_a_short_tmpdir_of_its_own(tmp_path: Path, own_parents: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []

    def run(envvars: dict[str, str], **_: object) -> SimpleNamespace:
        seen.append(envvars)
        return SimpleNamespace(status="successful")

    monkeypatch.setattr("ansible_runner.run", run)
    run_play("node-1", docker_connection("celerylab-x-node-1"), {"roles": []}, {}, tmp_path)
    assert Path(seen[0]["TMPDIR"]).parent == own_parents[1]
    assert list(own_parents[1].iterdir()) == []
