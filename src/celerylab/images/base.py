"""The Debian that everything is made from: a registry's image where one answers, else made from Debian's mirrors."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from docker.errors import APIError, ImageNotFound

from celerylab.errors import EngineError
from celerylab.images.recipe import BASE, SUITE
from celerylab.providers.engine import engine, engine_errors

LOCAL_BASE = f"celerylab/debian:{SUITE}"
MIRROR = "http://deb.debian.org/debian"  # packages are signed; CELERYLAB_MIRROR names another


def ensure_base(say: Callable[[str], None]) -> str:
    """Reference of a base image that is on this machine: a registry's when it is here or can be pulled, else our own of Debian's mirrors.

    Raises EngineError saying what to install where neither can be had.
    """
    client = engine()
    for reference in (BASE, LOCAL_BASE):
        try:
            client.images.get(reference)
        except ImageNotFound:
            continue
        return reference
    say(f"pulling {BASE}")
    try:
        client.images.pull(BASE)
    except APIError:
        say(f"no registry answers; making {LOCAL_BASE} from Debian's mirror")
    else:
        return BASE
    with tempfile.TemporaryDirectory(prefix="celerylab-base-") as folder:
        archive = Path(folder, "base.tar")
        _bootstrap(archive)
        with engine_errors("importing the base image"), archive.open("rb") as file:
            repository, tag = LOCAL_BASE.split(":")
            client.api.import_image_from_data(file, repository=repository, tag=tag)
    return LOCAL_BASE


def _bootstrap(archive: Path) -> None:
    if shutil.which("mmdebstrap") is None:
        raise EngineError(
            f"{BASE} cannot be pulled and mmdebstrap is not installed; connect to a registry, or install it with `apt-get install mmdebstrap`"
        )
    mode = "root" if os.geteuid() == 0 else "unshare"
    mirror = os.environ.get("CELERYLAB_MIRROR", MIRROR)
    command = ["mmdebstrap", "--quiet", f"--mode={mode}", "--variant=minbase", "--include=ca-certificates", SUITE, str(archive), mirror]
    # The caller's temporary folder may be small or mounted noexec; mmdebstrap unpacks beside the archive instead.
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(archive.parent)})
    if result.returncode != 0:
        raise EngineError(f"making the base image from {mirror} failed: {' '.join(result.stderr.split())[-400:]}")
