"""Where things live: the project, the user's data, caches. The only module that knows paths."""

import os
from pathlib import Path

import platformdirs

from celerylab.errors import InputError


def project_root() -> Path:
    """Folder that holds environments/, roles/, stacks/ and modules/: CELERYLAB_PROJECT, or found upwards from here.

    Raises InputError where neither leads to one (an installed wheel without the course).
    """
    configured = os.environ.get("CELERYLAB_PROJECT")
    candidates = [Path(configured)] if configured else [Path.cwd(), *Path.cwd().parents, *Path(__file__).resolve().parents]
    for candidate in candidates:
        if (candidate / "environments").is_dir() and (candidate / "roles").is_dir():
            return candidate.resolve()
    raise InputError("no celerylab project here: change into a checkout, or set CELERYLAB_PROJECT to one")


def data_dir() -> Path:
    """The user's data that must survive a reboot: stack states, the passphrase, results and progress. Mode 0700."""
    return _private(Path(os.environ.get("CELERYLAB_DATA") or platformdirs.user_data_path("celerylab")))


def cache_dir() -> Path:
    """What can be made again: wheelhouses, materialised labs. Mode 0700."""
    return _private(Path(os.environ.get("CELERYLAB_CACHE") or platformdirs.user_cache_path("celerylab")))


def state_dir() -> Path:
    """Folder of Pulumi's default `file://` backend."""
    return _private(data_dir() / "state")


def passphrase_file() -> Path:
    """The passphrase that encrypts secrets in stack states; `celerylab.shell_environment` creates it."""
    return data_dir() / "passphrase"


def kubeconfig_dir() -> Path:
    """Kubeconfigs of our clusters, by instance: whoever reads one may do everything there."""
    return _private(data_dir() / "kubeconfigs")


def _private(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
