"""kubectl with a kubeconfig that is a secret of ours and in no file but for the moment."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celerylab.errors import EngineError
from celerylab.private_folders import temporary_folder


def require_kubectl() -> None:
    """Raises EngineError where there is no kubectl on PATH."""
    if shutil.which("kubectl") is None:
        raise EngineError(
            "kubectl is not on PATH; `scripts/toolchain kubernetes` builds it, or install it from https://kubernetes.io/docs/tasks/tools"
        )


@contextmanager
def kubeconfig_file(kubeconfig: str) -> Iterator[Path]:
    """A file with `kubeconfig` (YAML) that its owner alone may read, for as long as the block takes; swept where we are killed in it."""
    with temporary_folder() as folder:
        path = folder / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(kubeconfig, encoding="utf-8")
        yield path


def kubectl(kubeconfig: Path, namespace: str, *arguments: str) -> list[str]:
    """The command line that asks kubectl, with the file `kubeconfig`, about `namespace`."""
    return ["kubectl", "--kubeconfig", str(kubeconfig), "--namespace", namespace, *arguments]
