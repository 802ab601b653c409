"""A learner's lab/: a git repository of its own, so that pulling the course never conflicts and nothing of theirs is ever lost."""

import shutil
import subprocess
from pathlib import Path

from celerylab.errors import EngineError, InputError
from celerylab.topology.lab import overlay

FIRST_COMMIT = "starter of module "
_IDENTITY = ["-c", "user.name=celerylab", "-c", "user.email=celerylab@localhost", "-c", "commit.gpgsign=false"]


def start_lab(module: Path) -> Path:
    """Copies starter/ to lab/ and commits it; returns lab/. Raises InputError where there is one already."""
    lab = module / "lab"
    if lab.exists():
        raise InputError(f"{lab} exists already: go on there, or start over with `celerylab reset {module.name[:2]}`")
    building = module / ".lab-building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        overlay(module / "starter", building)
        (building / ".gitignore").write_text("__pycache__/\n", encoding="utf-8")
        git(building, "init", "--quiet", "--initial-branch=main")
        commit_lab(building, f"{FIRST_COMMIT}{module.name[:2]}")
        building.rename(lab)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return lab


def commit_lab(lab: Path, message: str) -> str:
    """Commits whatever changed in `lab`; returns the commit it is at. A lab that is no repository becomes one."""
    if not (lab / ".git").is_dir():
        git(lab, "init", "--quiet", "--initial-branch=main")
    git(lab, "add", "--all")
    if git(lab, "status", "--porcelain"):
        git(lab, *_IDENTITY, "commit", "--quiet", "--no-verify", "--message", message)
    return git(lab, "rev-parse", "--short", "HEAD").strip()


def reset_lab(module: Path) -> str:
    """Puts starter/ back into lab/; returns the commit that holds the old work. Raises InputError where there is no lab/."""
    lab = module / "lab"
    if not lab.is_dir():
        raise InputError(f"there is no {lab}; `celerylab start {module.name[:2]}` makes it")
    old = commit_lab(lab, "before reset")
    for path in lab.iterdir():
        if path.name not in (".git", ".gitignore"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    overlay(module / "starter", lab)
    commit_lab(lab, "reset to starter")
    return old


def git(folder: Path, *arguments: str) -> str:
    """Output of a git command in `folder`. Raises EngineError with what git said."""
    try:
        result = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise EngineError("git is not installed; a lab is a git repository, so that none of your work is lost") from None
    if result.returncode != 0:
        raise EngineError(f"git {arguments[0]} in {folder}: {result.stderr.strip()}")
    return result.stdout
