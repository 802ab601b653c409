"""Environment variables under which Pulumi finds our state, passphrase and tools: the CLI sets them, and so does `source ./activate`.

What the user has set stays: another backend or another passphrase is theirs to choose.
"""

import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from celerylab.paths import passphrase_file, project_root, state_dir
from celerylab.terminals import register_terminal

_PASSPHRASE = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def shell_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What to add to `environment`, as name to value. Creates the passphrase file (0600) if this user has none."""
    tools = [str(Path(sys.executable).parent), str(project_root() / ".tools" / "bin")]
    path = environment.get("PATH", os.defpath).split(os.pathsep)
    added = {
        "PATH": os.pathsep.join([*tools, *(folder for folder in path if folder not in tools)]),
        "CELERYLAB_PROJECT": str(project_root()),
        # Nothing of ours is a plugin to download; without this the CLI looks for them at each run.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": environment.get("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true"),
        "GRPC_ENABLE_FORK_SUPPORT": environment.get("GRPC_ENABLE_FORK_SUPPORT", "0"),  # gRPC warns of every process a provider starts
        "PULUMI_SKIP_UPDATE_CHECK": environment.get("PULUMI_SKIP_UPDATE_CHECK", "true"),
    }
    if not environment.get("PULUMI_BACKEND_URL"):
        added["PULUMI_BACKEND_URL"] = f"file://{state_dir()}"
    if not any(environment.get(name) for name in _PASSPHRASE):
        added["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase())
    return added


def _passphrase() -> Path:
    path = passphrase_file()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32))
    return path


if __name__ == "__main__":
    register_terminal()
    for name, value in shell_environment(os.environ).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
