"""What a learner has done so far, in one file under the user's data: hints shown and quiz answers."""

import os
import tempfile
from pathlib import Path
from typing import Any

from celerylab.paths import data_dir
from celerylab.topology.source import Model


class Progress(Model):
    """Hints shown by objective, and the unfinished or finished quiz of each module as its engine stores it."""

    hints_shown: dict[str, int] = {}
    quizzes: dict[str, Any] = {}

    @classmethod
    def path(cls) -> Path:
        """The one file."""
        return data_dir() / "progress.json"

    @classmethod
    def load(cls) -> "Progress":
        """What is stored; nothing yet where there is no file."""
        path = cls.path()
        return cls.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else cls()

    def with_hints_shown(self, objective: str, count: int) -> "Progress":
        """This progress with `count` hints shown for `objective`."""
        return self.model_copy(update={"hints_shown": {**self.hints_shown, objective: count}})

    def with_quiz(self, module: str, state: Any) -> "Progress":
        """This progress with `state` as the quiz of `module`."""
        return self.model_copy(update={"quizzes": {**self.quizzes, module: state}})

    def save(self) -> None:
        """Writes the file as a whole, so that an interrupted write loses nothing."""
        path = self.path()
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".progress-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(self.model_dump_json(indent=2) + "\n")
        Path(name).replace(path)
