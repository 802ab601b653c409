"""What `celerylab watch` needs to know: which files of a lab were saved, and which objectives that touches."""

from fnmatch import fnmatch
from pathlib import Path

from celerylab.digest import digest_file
from celerylab.topology.lab import IGNORED
from celerylab.topology.module import CourseModule
from celerylab.verify.results import Results, Verdict


class LabWatcher:
    """Notices saves under a folder, once the editor has finished writing them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = self._unsettled = self._files()

    def dirty(self) -> bool:
        """Whether something differs from what `saved` returned last."""
        return self._files() != self._known

    def saved(self) -> list[str]:
        """Paths (relative, posix) changed, added or removed since the last call that returned some; empty while files still change."""
        now = self._files()
        settled, self._unsettled = now == self._unsettled, now
        if not settled or now == self._known:
            return []
        changed = {path for path in now.keys() | self._known.keys() if now.get(path) != self._known.get(path)}
        self._known = now
        return sorted(changed)

    def _files(self) -> dict[str, str]:
        found = {}
        for path in self._folder.rglob("*"):
            relative = path.relative_to(self._folder)
            if IGNORED.isdisjoint(relative.parts) and path.is_file() and not path.name.endswith((".swp", "~")):
                try:
                    found[relative.as_posix()] = digest_file(path)
                except FileNotFoundError:  # an editor replaced it just now; the next look sees the new one
                    continue
        return found


def touched(module: CourseModule, saved: list[str], last: Results | None) -> list[str]:
    """Objectives to verify first, in the module's order: those whose `files` were saved; where none says so, those that did not pass last."""
    by_file = [
        objective.id for objective in module.objectives if any(fnmatch(path, pattern) for path in saved for pattern in objective.files)
    ]
    if by_file or last is None:
        return by_file
    return [objective.id for objective in last.objectives if objective.verdict is not Verdict.PASS]
