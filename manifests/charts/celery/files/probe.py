"""What the kubelet asks a worker's container: `probe.py alive SECONDS`, `probe.py consuming`. It looks at files and never asks the broker.

In Python, because an image that runs Celery has it, and may have no shell.
"""

import os
import sys
import time


def alive(seconds: float) -> bool:
    """Whether the worker's heart beat within this time."""
    return time.time() - os.stat(os.environ["CELERY_WORKER_HEARTBEAT_FILE"]).st_mtime < seconds  # noqa: PTH116  pathlib takes its time to be imported


def consuming() -> bool:
    """Whether the worker consumes all its queues."""
    return os.path.exists(os.environ["CELERY_WORKER_CONSUMING_FILE"])  # noqa: PTH110


if __name__ == "__main__":
    try:
        fine = alive(float(sys.argv[2])) if sys.argv[1] == "alive" else consuming()
    except OSError:
        fine = False
    sys.exit(0 if fine else f"the worker is not {sys.argv[1]}")
