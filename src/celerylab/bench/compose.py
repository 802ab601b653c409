"""The peer: the same Celery and Redis from the same images with Docker Compose, without systemd, roles, gateway and monitoring."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from celerylab.bench.measuring import quietly
from celerylab.errors import InputError
from celerylab.topology.plan import probe_folder

BROKER_PORT, RESULTS_PORT = 29379, 29380
BROKER_URL, RESULT_URL = f"redis://127.0.0.1:{BROKER_PORT}/0", f"redis://127.0.0.1:{RESULTS_PORT}/1"


def compose_command() -> list[str]:
    """Docker Compose, whichever is installed. Raises InputError where none is."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return ["docker", "compose"]
    raise InputError("scripts/bench compares with Docker Compose: install docker-compose (on Debian: apt-get install docker-compose)")


@contextmanager
def composed(folder: Path, lab: Path, images: dict[str, str], workers: int = 1, options: Sequence[str] = ()) -> Iterator[list[str]]:
    """The command that brings up a broker, a result store and `workers` from `images` (redis, worker), with the application in `lab`.

    `options` are of `celery worker`. `folder` holds its file. Ends with `down`.
    """
    worker = {
        "image": images["worker"],
        "entrypoint": ["/opt/celery/venv/bin/celery", "--app", "shop", "worker", *options],
        "working_dir": "/app",
        "user": "celery",
        "environment": {
            "PYTHONPATH": "/app:/probe",
            "LAB_BROKER": "redis",
            "LAB_BROKER_URL": "redis://broker:6379/0",
            "LAB_RESULT_URL": "redis://results:6379/1",
        },
        "volumes": [f"{lab / 'app'}:/app:ro", f"{probe_folder()}:/probe/celerylab_probe:ro"],
        "depends_on": ["broker", "results"],
    }
    services: dict[str, object] = {f"worker{number + 1}": worker for number in range(workers)}
    for name, port in (("broker", BROKER_PORT), ("results", RESULTS_PORT)):
        services[name] = {
            "image": images["redis"],
            "entrypoint": ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--appendonly", "yes", "--dir", "/tmp"],  # noqa: S104, S108
            "ports": [f"127.0.0.1:{port}:6379"],
        }
    folder.chmod(0o755)
    path = folder / "docker-compose.yml"
    path.write_text(yaml.safe_dump({"version": "3", "services": services}), encoding="utf-8")
    command = [*compose_command(), "--project-name", "celerylab-bench", "--file", str(path)]
    try:
        yield [*command, "up", "--detach"]
    finally:
        quietly([*command, "down", "--volumes"], folder)
