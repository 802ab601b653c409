"""A proof that was interrupted goes on: what was proved already is kept, for as long as nothing it stands on changes."""

from pathlib import Path

from pydantic import ValidationError

from celerylab.digest import digest_json
from celerylab.paths import data_dir
from celerylab.proof.contract import Variant
from celerylab.proof.record import ProvedRun, hashes
from celerylab.topology.source import Model


class Progress(Model):
    """Runs that gave what they must, and the images they ran on, all against the same hashes."""

    runs: list[ProvedRun] = []
    images: dict[str, str] = {}

    def run_of(self, variant: Variant) -> ProvedRun | None:
        """The run of `variant`, if it is among them."""
        for run in self.runs:
            if (run.lab, run.settings) == (variant.lab, dict(variant.settings)):
                return run
        return None


class ProgressFile:
    """The progress of one module's proof against everything as it is now: a change anywhere leads to another, empty file."""

    def __init__(self, root: Path, folder: Path) -> None:
        directory = data_dir() / "proofs"
        directory.mkdir(exist_ok=True)
        self._path = directory / f"{folder.name[:2]}-{digest_json(hashes(root, folder))[:16]}.json"

    def load(self) -> Progress:
        """What was proved so far; nothing where there is no file, or where it does not parse."""
        try:
            return Progress.model_validate_json(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValidationError):
            return Progress()

    def add(self, run: ProvedRun, images: dict[str, str]) -> None:
        """Keeps one more run."""
        before = self.load()
        after = Progress(runs=[*before.runs, run], images={**before.images, **images})
        building = self._path.with_suffix(".new")
        building.write_text(after.model_dump_json(indent=2), encoding="utf-8")
        building.replace(self._path)

    def forget(self) -> None:
        """Ends it: the proof is written, or everything is to be proved anew."""
        self._path.unlink(missing_ok=True)
