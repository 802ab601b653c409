"""How long a task takes from its caller and back, for several configurations of one application, measured in turns.

On a host of the application: `python -m celerylab_probe.roundtrip settings.one settings.two`. Prints JSON: for each configuration the
milliseconds of its rounds (each the median of some tasks) and their median. A caller sends `celerylab_probe.echo` and waits with `get()`.
"""

import argparse
import json
import statistics
import sys
import time

from celery import Celery

TIMEOUT_SECONDS = 15


def caller(settings: str) -> Celery:
    """A client application configured by the module called `settings`."""
    app = Celery(settings, set_as_current=False)
    app.config_from_object(settings)
    return app


def once(app: Celery) -> float:
    """Milliseconds until one task's result is with its caller."""
    started = time.perf_counter()
    app.send_task("celerylab_probe.echo", ["ping"]).get(timeout=TIMEOUT_SECONDS, disable_sync_subtasks=False)
    return (time.perf_counter() - started) * 1000


def measure(names: list[str], rounds: int, tasks: int) -> dict[str, list[float]]:
    """Median milliseconds of `tasks` tasks, one after the other, in each of `rounds` rounds, by configuration.

    The configurations take turns, so that a machine that is busy for a while is busy for all of them. The first task of each, which opens
    connections, is not counted.
    """
    apps = {name: caller(name) for name in names}
    for app in apps.values():
        once(app)
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, app in apps.items():
            found[name].append(round(statistics.median(once(app) for _ in range(tasks)), 2))
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Milliseconds from a task's caller and back.")
    parser.add_argument("settings", nargs="+", help="importable module with Celery settings")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tasks", type=int, default=5, help="tasks of each configuration in a round")
    options = parser.parse_args()
    found = measure(options.settings, options.rounds, options.tasks)
    report = {name: {"median_ms": statistics.median(rounds), "rounds_ms": rounds} for name, rounds in found.items()}
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
