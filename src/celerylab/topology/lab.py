"""The learner's files: which folders make a lab, what is refused before anything is touched, and the snapshot that is deployed."""

import ast
import json
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from celerylab.digest import digest_tree
from celerylab.errors import InputError
from celerylab.topology.source import Model, Source, read_yaml, validate

# Folders of a module that hold overlays on its solution; src/celerylab/topology/variants.py reads them.
MUTANTS = "mutants"
ALTERNATIVES = "alternatives"
IGNORED = {".git", "__pycache__", ".pytest_cache", ".ruff_cache", ".venv", ".idea", ".vscode", ".DS_Store"}
_OVERLAY_FILES = ("overlay.yaml", "mutant.yaml")  # describe an overlay; they are not part of the lab


class Edit(Model):
    """A part of a file below an overlay that it replaces: `old` occurs there exactly once."""

    old: str
    new: str


class Overlay(Model):
    """What an overlay does besides laying its files over those below: `delete` removes paths before, `edits` change single places after."""

    delete: list[str] = []
    edits: dict[str, list[Edit]] = {}


class _Description(Overlay, extra="ignore"):
    """Of a file that says more than that."""


@dataclass(frozen=True)
class Lab:
    """A lab as it will be deployed: `source` is what the user named, `folder` a snapshot that later edits do not change, made of `origins`."""

    source: str
    folder: Path
    digest: str
    origins: tuple[Path, ...]

    def origin(self, relative: str) -> Path:
        """The user's own file that `relative` of the snapshot comes from: the topmost layer that has it."""
        return _origin(self.folder, Path(relative), self.origins)

    def digest_of(self, relative: str) -> str:
        """Hash of one file or folder of the lab; `absent` where it does not exist."""
        path = self.folder / relative
        return digest_tree(path) if path.exists() else "absent"


def layers(module: Path, wanted: str | None) -> tuple[str, list[Path]]:
    """What the lab is called and the folders it is made of, later ones over earlier ones.

    `wanted` is None for `lab/` or, without one, `starter/`; `starter`; `solution`, `mutants/<name>` and `alternatives/<name>`, which are
    overlays; or a folder.
    Raises InputError where there is no such folder.
    """
    starter, solution = module / "starter", module / "solution"
    if wanted is None or wanted == "lab":
        return ("lab", [module / "lab"]) if (module / "lab").is_dir() else ("starter", [starter])
    if wanted == "starter":
        return wanted, [starter]
    if wanted == "solution":
        return wanted, [starter, solution]
    if wanted.split("/")[0] in {MUTANTS, ALTERNATIVES} and (module / wanted).is_dir():
        return wanted, [starter, solution, module / wanted]
    folder = (module / wanted).resolve()
    if not folder.is_dir():
        raise InputError(f"celerylab:lab names {wanted}, which is no folder; write lab, starter, solution or the path of a folder")
    return str(folder), [folder]


def snapshot(module: Path, wanted: str | None, cache: Path) -> Lab:
    """The lab as one folder under `cache`, named by its content, so that a run never sees a half-saved edit.

    Raises InputError naming file and line where a Python, YAML, JSON, TOML or systemd file does not parse.
    """
    source, folders = layers(module, wanted)
    cache.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=cache, prefix=".building-"))
    try:
        for folder in folders:
            overlay(folder, building)
        check_syntax(building, folders)
        digest = digest_tree(building)
        final = cache / digest[:16]
        if not final.exists():
            building.rename(final)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Lab(source, final, digest, tuple(folders))


def overlay(folder: Path, onto: Path) -> None:
    """Lays `folder` over `onto`: files replace files, and YAML maps merge deeply (lists replace).

    What describes the overlay may say more (Overlay). Raises InputError where the text of an edit is not there, or more than once.
    """
    sources = [read_yaml(folder / name) for name in _OVERLAY_FILES if (folder / name).is_file()]
    described = [(source, validate(source, _Description)) for source in sources]
    for _, description in described:
        for unwanted in description.delete:
            _remove(onto / unwanted)
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not IGNORED.isdisjoint(relative.parts) or relative.as_posix() in _OVERLAY_FILES:
            continue
        target = onto / relative
        if path.is_symlink():
            raise InputError(f"{path}: a lab holds files, not links; copy what it points at")
        if path.is_dir():
            target.mkdir(exist_ok=True)
        elif target.exists() and path.suffix in {".yaml", ".yml"}:
            target.write_text(yaml.safe_dump(deep_merge(read_yaml(target).data, read_yaml(path).data), sort_keys=False), encoding="utf-8")
        else:
            shutil.copyfile(path, target)
            target.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    for source, description in described:
        for edited, edits in description.edits.items():
            _edit(source, onto, edited, edits)


def _edit(source: Source, onto: Path, relative: str, edits: Sequence[Edit]) -> None:
    target = onto / relative
    if not target.is_file():
        raise source.error(("edits", relative), f"there is no {relative} to edit")
    text = target.read_text(encoding="utf-8")
    for index, edit in enumerate(edits):
        if text.count(edit.old) != 1:
            raise source.error(("edits", relative, index), f"this text is {text.count(edit.old)} times in {relative}, and not once")
        text = text.replace(edit.old, edit.new)
    target.write_text(text, encoding="utf-8")


def check_syntax(folder: Path, origins: Sequence[Path] = ()) -> None:
    """Parses every file whose language we know; messages name the file in the last of `origins` that has it.

    Raises InputError with file, line and what the parser said. A file that parses and is merely wrong is the learner's to diagnose.
    """
    for path in sorted(folder.rglob("*")):
        checker = _CHECKERS.get(path.suffix)
        if checker is None or not path.is_file() or (path.suffix == ".conf" and "systemd" not in path.relative_to(folder).parts):
            continue
        relative = path.relative_to(folder)
        name = _origin(folder, relative, origins)
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{name}: is not UTF-8 text ({error.reason} at byte {error.start})") from None
        problem = checker(text)
        if problem is not None:
            raise InputError(f"{name}:{problem[0]}: {problem[1]}")


Problem = tuple[int, str] | None


def _python(text: str) -> Problem:
    try:
        ast.parse(text)
    except SyntaxError as error:
        return error.lineno or 1, f"Python does not parse this: {error.msg}"
    return None


def _yaml(text: str) -> Problem:
    try:
        list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        return (error.problem_mark.line + 1 if error.problem_mark else 1), f"not valid YAML: {error.problem}"
    except yaml.YAMLError as error:
        return 1, f"not valid YAML: {error}"
    return None


def _json(text: str) -> Problem:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno, f"not valid JSON: {error.msg}"
    return None


def _toml(text: str) -> Problem:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        return int(line[1]) if line else 1, f"not valid TOML: {error}"
    return None


def _systemd(text: str) -> Problem:
    section, continued = False, False
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if continued or not stripped or stripped[0] in "#;":
            continued = continued and stripped.endswith("\\")
            continue
        if re.fullmatch(r"\[[^\[\]]+\]", stripped):
            section = True
        elif not re.match(r"[A-Za-z0-9-]+\s*=", stripped):
            return number, f"systemd reads lines such as Name=value, not {stripped!r}"
        elif not section:
            return number, "systemd wants a section such as [Service] before this line"
        continued = stripped.endswith("\\")
    return None


_CHECKERS: dict[str, Callable[[str], Problem]] = {
    ".py": _python,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
    ".toml": _toml,
    ".conf": _systemd,
}


def _origin(folder: Path, relative: Path, origins: Sequence[Path]) -> Path:
    return [folder / relative, *(origin / relative for origin in origins if (origin / relative).is_file())][-1]


def deep_merge(below: Any, above: Any) -> Any:
    """`above` over `below`: maps merge deeply, everything else replaces."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: deep_merge(below[key], value) if key in below else value for key, value in above.items()}}
    return above


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
