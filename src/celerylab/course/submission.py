"""A learner's lab/ as an instructor receives it: a folder, or a git bundle."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celerylab.course.workspace import FIRST_COMMIT, git
from celerylab.errors import EngineError, InputError


@contextmanager
def unpacked(submission: Path) -> Iterator[Path]:
    """The folder of a submission; a bundle's is a clone that is gone afterwards. Raises InputError for what is neither."""
    if submission.is_dir():
        yield submission.resolve()
        return
    if not submission.is_file():
        raise InputError(f"{submission} does not exist; name a folder, or a bundle made with `git bundle create lab.bundle HEAD main`")
    with tempfile.TemporaryDirectory(prefix="celerylab-submission-") as private:
        clone = Path(private, "lab")
        try:
            git(Path(private), "clone", "--quiet", str(submission.resolve()), str(clone))
        except EngineError as error:
            raise InputError(
                f"{submission} is no git bundle ({str(error).splitlines()[-1]}); `git bundle create lab.bundle HEAD main` makes one"
            ) from None
        if not any(path.name != ".git" for path in clone.iterdir()):
            raise InputError(f"{submission} holds no files at HEAD; bundle it with `git bundle create lab.bundle HEAD main`")
        yield clone


def module_of(folder: Path) -> str | None:
    """Number of the module that a lab belongs to: its first commit says it, or the folder it lies in; None where neither does."""
    if (folder / ".git").exists():
        first = git(folder, "log", "--format=%s", "--reverse").splitlines()[:1]
        match = re.fullmatch(re.escape(FIRST_COMMIT) + r"(\d\d)", first[0]) if first else None
        if match:
            return match[1]
    match = re.fullmatch(r"(\d\d)-[a-z0-9-]+", folder.parent.name)
    return match[1] if match else None
