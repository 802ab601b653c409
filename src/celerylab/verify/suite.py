"""A module's suite in a process of its own, which can be started before there is a stack for it to look at."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celerylab.verify.clock import clock_now
from celerylab.verify.stack import Stack


class Suite:
    """pytest on a module's verify/, which waits for the stack. Use as a context manager: whatever happens, the process ends with the block.

    Its verdicts go to `events.jsonl`, and what it prints to `pytest.log`, both in `folder`.
    """

    def __init__(self, module_folder: Path, objectives: list[str], folder: Path) -> None:
        self.objectives, self.folder = objectives, folder
        folder.mkdir(parents=True)
        self._report = folder / "events.jsonl"
        self._report.touch()
        # The stack with its secrets goes through a pipe: no file, no argument and no environment ever has them.
        reader, self._writer = os.pipe()
        command = [
            *(sys.executable, "-m", "pytest", str(module_folder / "verify"), "-p", "celerylab.verify.plugin", "-p", "no:cacheprovider"),
            *("-c", os.devnull, "--rootdir", str(module_folder), "--quiet", "--no-header", "--tb=short", "-o", "addopts="),
            *("--celerylab-stack", f"/dev/fd/{reader}", "--celerylab-report", str(self._report)),
            *("--celerylab-only", ",".join(objectives)),
        ]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            with (folder / "pytest.log").open("w", encoding="utf-8") as log:
                self._child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, pass_fds=[reader]
                )
        finally:
            os.close(reader)

    def __enter__(self) -> "Suite":
        return self

    def __exit__(self, *_: object) -> None:
        if self._child.poll() is None:
            self._child.terminate()  # faults undo themselves when the runner is asked to end
        self._child.wait()
        if self._writer >= 0:  # it never got a stack, so there is nothing to keep
            os.close(self._writer)
            shutil.rmtree(self.folder)

    def run(self, stack: Stack, hear: Callable[[dict[str, Any]], None], cancelled: Callable[[], bool]) -> list[dict[str, Any]]:
        """Lets it look at `stack`; its events in order, each of which `hear` gets at once. Ends it early when `cancelled` says so."""
        try:
            with os.fdopen(self._writer, "w", encoding="utf-8") as pipe:
                self._writer = -1
                pipe.write(json.dumps({"name": stack.name, "outputs": stack.outputs}))
        except BrokenPipeError:
            pass  # it has ended already: a run without events, which decides nothing
        events: list[dict[str, Any]] = []
        with self._report.open(encoding="utf-8") as lines:
            ended = False
            while True:
                line = lines.readline()
                if line.endswith("\n"):
                    events.append({**json.loads(line), "heard": clock_now()})
                    hear(events[-1])
                elif ended:
                    return events
                else:
                    ended = self._has_ended(cancelled)

    def _has_ended(self, cancelled: Callable[[], bool]) -> bool:
        """Whether the process has ended, after a moment of waiting for it."""
        try:
            self._child.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            if not cancelled():
                return False
            self._child.terminate()
            self._child.wait()
        return True
