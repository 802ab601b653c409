"""The command for working on a lab: deploys and verifies again on each save."""

import subprocess
import time
from pathlib import Path
from typing import Any

import typer

from celerylab.cli import course
from celerylab.cli import stack as stack_commands
from celerylab.cli.arguments import Module, StackName, stack_of
from celerylab.cli.console import done, err, out
from celerylab.cli.keyboard import Keyboard
from celerylab.course.watch import LabWatcher, touched
from celerylab.errors import CelerylabError, InputError, InterruptedRunError
from celerylab.pulumi_stack import PulumiStack
from celerylab.topology.module import load_module
from celerylab.verify.report import fix_first, print_results
from celerylab.verify.results import Results
from celerylab.verify.run import latest_results, start_suite, verify
from celerylab.verify.stack import Stack
from celerylab.verify.suite import Suite

POLL_SECONDS = 0.3
KEYS = "[h]int  [v]erify all  [d]iff with the solution  [r]eset  [q]uit"


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command()(watch)


def watch(module: Module, stack: StackName = None) -> None:
    """Deploys and verifies again each time you save a file in lab/, what the file is about first. `q` ends it; the stack stays up.

    Example: celerylab watch 02
    """
    target = stack_of(module, stack)
    if not (target.folder / "lab").is_dir():
        raise InputError(f"there is no lab/ to watch yet; `celerylab start {module}` makes it")
    with Keyboard() as keys:
        Session(target, keys).run()


class Session:
    """One watch: what was verified last, and what a key or a save leads to."""

    def __init__(self, target: PulumiStack, keys: Keyboard) -> None:
        self._target, self._keys = target, keys
        self._module = load_module(target.folder)
        self._lab = target.folder / "lab"
        self._watcher = LabWatcher(self._lab)
        self._last: Results | None = latest_results(target.instance.id)

    def run(self) -> None:
        """Applies once, then waits for saves and keys until `q`."""
        stack_commands.up(self._module.id, self._target.name, lab="lab", settings=[])
        self._verify([])
        self._say_keys()
        while True:
            saved = self._watcher.saved()
            if saved:
                self._apply(saved)
                self._say_keys()
            key = self._keys.pressed(POLL_SECONDS)
            if key == "q":
                return
            if key:
                self._answer(key)
                self._say_keys()

    def _apply(self, saved: list[str]) -> None:
        """What was saved reaches the stack, and the objectives it touches are decided first; another save cuts that short."""
        began = time.monotonic()
        err.print(f"saved: {', '.join(saved)}", markup=False)
        first = touched(self._module, saved, self._last)
        # Started now, it has imported what it needs when the stack is ready.
        with start_suite(self._target.folder, self._target.instance.id, first) as suite:
            try:
                self._target.run("up", "--yes", "--skip-preview", quiet=True)
            except InterruptedRunError:
                raise
            except CelerylabError as error:
                err.print(str(error), style="red", markup=False)
                return
            done("applied", time.monotonic() - began)
            decided = self._verify(first, suite)
        if decided and first:
            self._verify([])

    def _verify(self, only: list[str], suite: Suite | None = None) -> bool:
        """Decides objectives (all where `only` is empty) and shows what came out; False where a save or a key came between.

        `suite` is one that was started for these objectives.
        """

        def hear(event: dict[str, Any]) -> None:
            if event["event"] == "check" and not event.get("cause", "").startswith("needs "):
                err.print(f"  {event['objective']} {event['verdict']}  {event.get('observed') or event['name']}", markup=False)

        interrupted = False

        def cancelled() -> bool:
            nonlocal interrupted
            interrupted = self._watcher.dirty() or self._keys.waiting()
            return interrupted

        results, folder = verify(Stack.deployed(self._target), only, hear, cancelled, suite)
        if interrupted:
            return False
        if results.complete:
            self._last = results
            print_results(results, folder, out)
        return True

    def _answer(self, key: str) -> None:
        try:
            if key == "h":
                self._hint()
            elif key == "v":
                self._verify([])
            elif key == "d":
                show_difference(self._target.folder)
            elif key == "r":
                self._reset()
        except CelerylabError as error:
            err.print(str(error), style="red", markup=False)

    def _hint(self) -> None:
        first = fix_first(self._last) if self._last else None
        if first is None:
            out.print("every objective holds: there is nothing to hint at")
        else:
            course.hint(first.id, self._target.name)

    def _reset(self) -> None:
        err.print("put the starter back into lab/? Your work is committed first. [y/n]", markup=False)
        if self._keys.pressed(30) == "y":
            course.reset(self._module.id)

    def _say_keys(self) -> None:
        err.print(f"watching {self._lab.name}/   {KEYS}", style="dim", markup=False)


def show_difference(folder: Path) -> None:
    """What the solution has other than lab/, file by file, as a diff."""
    for path in sorted(path for path in (folder / "solution").rglob("*") if path.is_file()):
        relative = path.relative_to(folder / "solution")
        command = ["git", "--no-pager", "diff", "--no-index", "--color=auto", "--", f"lab/{relative}", f"solution/{relative}"]
        subprocess.run(command, cwd=folder, check=False)
