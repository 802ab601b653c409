"""Wheels for a host that has no way out: resolved for the host's interpreter, downloaded once, kept by content."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uv

from celerylab.digest import digest_json
from celerylab.errors import InputError
from celerylab.paths import cache_dir

_PLATFORMS = {"x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64", "amd64": "x86_64"}
_DRAWING = " \u00d7\u2570\u2500\u25b6\u2502"  # how uv draws its explanation
_GLIBC = ("manylinux_2_36", "manylinux_2_28", "manylinux_2_17", "manylinux2014")  # what Debian 12's C library accepts


@dataclass(frozen=True)
class Interpreter:
    """A host's Python: full version such as `3.11.2` (markers of some packages ask for all three numbers), and machine."""

    version: str
    machine: str

    @classmethod
    def ask(cls, run: Callable[[list[str]], str]) -> "Interpreter":
        """The Python where `run` runs a command and returns its output."""
        version, machine = run(["python3", "-c", "import platform; print(platform.python_version(), platform.machine())"]).split()
        return cls(version, machine)


def wheelhouse(requirements: str, interpreter: Interpreter) -> Path:
    """Folder of wheels that satisfy `requirements` (the text of a requirements.txt) on `interpreter`, with their dependencies.

    Raises InputError with the resolver's words where they cannot be satisfied, or where a package has no wheel.
    """
    machine = _PLATFORMS.get(interpreter.machine, interpreter.machine)
    key = digest_json([requirements, interpreter.version, machine])[:16]
    parent = cache_dir() / "wheelhouses"
    final = parent / key
    if final.is_dir():
        return final
    parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=parent, prefix=".building-"))
    try:
        (building / "requirements.in").write_text(requirements, encoding="utf-8")
        locked = building / "requirements.txt"
        _run(
            [
                *(
                    uv.find_uv_bin(),
                    "pip",
                    "compile",
                    "--quiet",
                    "--generate-hashes",
                    "--no-header",
                    "--python-version",
                    interpreter.version,
                ),
                *("--python-platform", f"{machine}-{_GLIBC[0]}", "--output-file", str(locked), str(building / "requirements.in")),
            ]
        )
        platforms = [option for glibc in _GLIBC for option in ("--platform", f"{glibc}_{machine}")]
        version = ".".join(interpreter.version.split(".")[:2])
        _run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"),
                *("--only-binary", ":all:", "--implementation", "cp", "--python-version", version, *platforms),
                *("--dest", str(building), "--requirement", str(locked)),
            ]
        )
        (building / "requirements.in").unlink()
        if not final.is_dir():
            building.rename(final)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return final


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = " ".join(line.strip(_DRAWING) for line in result.stderr.splitlines() if line.strip() and "WARNING" not in line)
        raise InputError(f"requirements.txt cannot be satisfied on the hosts: {said[:500]}")
