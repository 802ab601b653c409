"""Looks at what celery_app is to deploy, on the controller, and packs it: a host gets one file in one transfer, and none when it has it.

`pack.py release JSON` and `pack.py bundle JSON` print JSON; a mistake in the input comes back as its `error`, in one line for the reader.
Needs the standard library alone.
"""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

IGNORED = {".git", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".venv", ".DS_Store"}
KEEP_SECONDS = 24 * 3600  # archives in the cache that were not used for so long are removed


class InputError(Exception):
    """Something that the reader can put right."""


def release(wanted: dict[str, Any]) -> dict[str, Any]:
    """The release: its `version`, the `archive` with `<version>/…`, code and libraries, the `marker` in it; and under `pip` its bundle."""
    source = str(wanted["source"])
    with tempfile.TemporaryDirectory() as scratch:
        entries: list[tuple[str, Path]] = []
        if is_git(source):
            commit = clone(source, str(wanted["git_version"]), Path(scratch))
            entries += files(Path(scratch), "")
            digest_of = [["git", commit]]
        elif source.endswith(".whl"):
            digest_of = [["wheel", digest_file(existing(source, "celery_app_source", Path.is_file))]]
        elif source:
            entries += files(existing(source, "celery_app_source", Path.is_dir), "")
            digest_of = digests(entries)
        else:
            digest_of = []
        for library in wanted["libraries"]:
            found = list(files(existing(library["source"], "celery_app_python_path", Path.is_dir), f".lib/{library['name']}/"))
            entries += found
            digest_of += digests(found)
        digest = digest_json(digest_of)[:16]
        version = str(wanted["version"]) or (commit[:12] if is_git(source) and not wanted["libraries"] else digest[:12])
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", version):
            raise InputError(f"celery_app_version: write letters, digits and . _ + -, not {version}")
        # Last in the archive: a release that has it is complete.
        marker = f"{version}/.release-{digest}"
        named = [(f"{version}/{name}", path) for name, path in entries]
        archive = pack(Path(wanted["cache"]), f"release-{version}-{digest}", named, marker, wanted["group"])
    return {"version": version, "marker": marker, "archive": str(archive), "pip": bundle(wanted["pip"])}


def bundle(wanted: dict[str, Any]) -> dict[str, Any]:
    """What pip is to install: a `digest`, whether there is `nothing_new` beyond what images hold, and with `cache` the `archive`.

    The archive holds `<digest>/requirements.txt`, `<digest>/wheels/` and, where the application is a wheel, `<digest>/app/`.
    """
    baked = "".join(f"{line}\n" for line in wanted["lines"])
    application = [existing(wanted["source"], "celery_app_source", Path.is_file)] if str(wanted.get("source", "")).endswith(".whl") else []
    wheels = wheels_in(wanted.get("wheelhouse", ""))
    if "requirements" in wanted:
        path = Path(wanted["requirements"]).expanduser()
        text = path.read_text(encoding="utf-8") if wanted["requirements"] and path.is_file() else ""
        digest_of = [baked, text, *(digest_file(file) for file in [*application, *(wheels if text or application else [])])]
    else:
        text = baked
        digest_of = [baked]
    digest = digest_json(digest_of)[:16]
    lines = {line.strip() for line in text.splitlines()} - {""}
    lines = {line for line in lines if not line.startswith("#")}
    new = application or (lines if "requirements" not in wanted else lines - {line.strip() for line in wanted["lines"]})
    result: dict[str, Any] = {"digest": digest, "nothing_new": not new}
    if "cache" in wanted:
        folders = [("wheels", wheels), ("app", application)]
        entries = [(f"{digest}/{folder}/{file.name}", file) for folder, found in folders for file in found]
        last = f"{digest}/requirements.txt"
        # Without a wheelhouse the same packages make another archive, one without wheels.
        held = digest_json([[name, path.stat().st_size, path.stat().st_mtime_ns] for name, path in entries])[:8]
        result["archive"] = str(pack(Path(wanted["cache"]), f"bundle-{digest}-{held}", entries, last, "root", text.encode()))
    return result


def wheels_in(folder: str) -> list[Path]:
    """The packages in a folder that pip can use."""
    if not folder:
        return []
    return sorted(path for path in Path(folder).expanduser().glob("*") if path.name.endswith((".whl", ".tar.gz", ".zip")))


def is_git(source: str) -> bool:
    """Whether `source` is a URL of a git repository."""
    return bool(re.match(r"(git|ssh|https?|file)://|[\w.-]+@[\w.-]+:", source)) and not source.endswith(".whl")


def clone(url: str, version: str, into: Path) -> str:
    """Checks out `version` of `url`: a branch, a tag or a commit; returns the commit."""
    cloned = git("clone", "--quiet", "--no-checkout", url, str(into))
    if cloned.returncode != 0:
        raise InputError(f"celery_app_source: git says: {re.sub(r'//[^/@]*@', '//', ' '.join(cloned.stderr.split()))}")
    for name in (f"origin/{version}", version):
        found = git("-C", str(into), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        commit = found.stdout.strip().splitlines()[-1:]
        if found.returncode == 0 and commit:
            git("-C", str(into), "checkout", "--quiet", "--detach", commit[0])
            return commit[0]
    raise InputError(f"celery_app_git_version: the repository has no branch, tag or commit {version}")


def git(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs git, which is not to ask for a password."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    return subprocess.run(["git", *words], capture_output=True, text=True, env=environment, check=False)


def existing(path: str, variable: str, kind: Any) -> Path:
    """`path` as a Path. Raises InputError where it is relative or there is nothing of that kind."""
    found = Path(path).expanduser()
    if not found.is_absolute():
        raise InputError(f"{variable}: write an absolute path, such as {{{{ inventory_dir }}}}/app, not {path}")
    if not kind(found):
        raise InputError(f"{variable}: there is no {'folder' if kind is Path.is_dir else 'file'} {path} on this machine")
    return found


def files(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Name in the archive and path of every file and link under `folder`, in order."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if IGNORED.isdisjoint(relative.parts) and path.suffix != ".pyc" and (path.is_file() or path.is_symlink()):
            yield f"{prefix}{relative.as_posix()}", path


def digests(entries: list[tuple[str, Path]]) -> list[list[Any]]:
    """What makes two contents differ: names, links, execute bits and bytes."""
    return [
        [name, f"-> {path.readlink()}"] if path.is_symlink() else [name, bool(path.stat().st_mode & 0o100), digest_file(path)]
        for name, path in entries
    ]


def digest_file(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest_json(value: Any) -> str:
    """SHA-256 of a value as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def pack(cache: Path, name: str, entries: list[tuple[str, Path]], last: str, group: str, text: bytes = b"") -> Path:
    """`entries`, and at the end a file `last` with `text`, as a tar of root's in `cache`; what is there already is used."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in cache.glob("*.tar"):
        if time.time() - old.stat().st_mtime > KEEP_SECONDS:
            old.unlink(missing_ok=True)
    final = cache / f"{name}.tar"
    if final.exists():
        final.touch()
        return final
    folders = {parent.as_posix() for entry in [*(name for name, _ in entries), last] for parent in Path(entry).parents} - {"."}
    with (
        tempfile.NamedTemporaryFile(dir=cache, suffix=".part", delete=False) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for folder in sorted(folders):
            archive.addfile(owned(tarfile.TarInfo(folder), group, tarfile.DIRTYPE, 0o750))
        for entry, path in entries:
            info = owned(archive.gettarinfo(path, entry), group)
            info.mode = 0o750 if info.mode & 0o100 else 0o640
            if info.isreg():
                with path.open("rb") as content:
                    archive.addfile(info, content)
            else:
                archive.addfile(info)
        info = owned(tarfile.TarInfo(last), group, tarfile.REGTYPE, 0o640)
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    shutil.move(file.name, final)
    return final


def owned(info: tarfile.TarInfo, group: str, kind: bytes | None = None, mode: int | None = None) -> tarfile.TarInfo:
    """`info` as root's, readable by `group`. By name: the group's number is the host's affair."""
    info.uid, info.gid, info.uname, info.gname = 0, 0, "root", group
    info.mtime = int(time.time()) if kind else info.mtime
    info.type, info.mode = kind or info.type, mode or info.mode
    return info


def main() -> None:
    """Does what the first argument says, with the second."""
    try:
        result = {"release": release, "bundle": bundle}[sys.argv[1]](json.loads(sys.argv[2]))
    except (InputError, OSError, UnicodeDecodeError) as error:
        result = {"error": str(error)}
    sys.stdout.write(json.dumps({"error": "", **result}))


if __name__ == "__main__":
    main()
