"""Hashes of files, folders and values: what decides whether something has to be done again."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest_json(value: Any) -> str:
    """SHA-256 of a value as canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest_tree(folder: Path, ignore: Collection[str] = ()) -> str:
    """SHA-256 over names and bytes of all files under `folder` (or of the one file), without those whose path holds a name in `ignore`."""
    if folder.is_file():
        return digest_file(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and set(ignore).isdisjoint(path.relative_to(folder).parts))
    return digest_json([[path.relative_to(folder).as_posix(), digest_file(path)] for path in files])
