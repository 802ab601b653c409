"""`celerylab watch` in a real terminal: a save is applied and decided, keys do what they say."""

import os
import uuid
from pathlib import Path

import pexpect
import pytest

from celerylab.shell_environment import shell_environment
from celerylab.topology.lab import overlay
from tests.live.conftest import run

SECONDS = 180


@pytest.fixture
def environment(checkout: Path) -> dict[str, str]:
    chosen = {**os.environ, "CELERYLAB_PROJECT": str(checkout)}
    return {**chosen, **shell_environment(chosen), "CELERYLAB_PROJECT": str(checkout), "COLUMNS": "200", "TERM": "dumb"}


def test_a_save_is_applied_and_decided_and_keys_answer(checkout: Path, environment: dict[str, str], tmp_path: Path) -> None:
    folder = checkout / "modules" / "02-first-application"
    name = f"w{uuid.uuid4().hex[:6]}"
    run(["celerylab", "start", "02"], checkout, env=environment)
    terminal = pexpect.spawn(
        "celerylab",
        ["watch", "02", "--stack", name],
        cwd=str(checkout),
        env=environment,
        encoding="utf-8",
        timeout=SECONDS,
        dimensions=(50, 200),
    )
    terminal.logfile_read = (tmp_path / "watch.log").open("w", encoding="utf-8")
    try:
        terminal.expect("module 02: 0 PASS, 1 FAIL, 4 NOT_OBSERVED")
        terminal.expect("watching lab/")
        terminal.send("h")
        terminal.expect("02.2 hint 1 of")
        (folder / "lab" / "app" / "shop" / "tasks.py").write_text("def (:\n", encoding="utf-8")
        terminal.expect(r"lab/app/shop/tasks\.py:1: Python does not parse this")
        overlay(folder / "solution", folder / "lab")
        terminal.expect("saved: .*app/shop/tasks.py")
        terminal.expect("02.1 PASS")
        terminal.expect("module 02: 5 PASS, 0 FAIL, 0 NOT_OBSERVED")
        with (folder / "lab" / "redis" / "redis.conf").open("a", encoding="utf-8") as file:
            file.write("protected-mode no\nuser default on nopass ~* &* +@all\n")
        terminal.expect("saved: redis/redis.conf")
        terminal.expect("02.3 FAIL")
        terminal.send("d")
        terminal.expect("-user default on nopass")
        terminal.send("r")
        terminal.expect("put the starter back")
        terminal.send("y")
        terminal.expect("lab is the starter again|lab/ is the starter again")
        terminal.send("q")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 0
    finally:
        terminal.close(force=True)
        run(["celerylab", "down", "02", "--force", "--stack", name], checkout, check=False, env=environment)
