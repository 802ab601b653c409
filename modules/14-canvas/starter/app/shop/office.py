"""The office: starts workflows, waits for them, and looks at what they leave behind. Not yours to change.

python -m shop.office figures BRANCH
python -m shop.office collect BRANCH...
python -m shop.office report DAY BRANCH...
python -m shop.office close DAY BRANCH...
python -m shop.office race BRANCH...    one branch after the other, then all at once: how long each takes
python -m shop.office keys              what chords keep in the result store, and for how many seconds more
"""

import json
import sys
import time

from celery.exceptions import TimeoutError as NoResultError

from shop import workflows
from shop.celery import app

PATIENCE_SECONDS = 15


def wait(result):
    """Wait for a workflow; say how it ended, and when."""
    started = time.monotonic()
    try:
        value = result.get(timeout=PATIENCE_SECONDS, propagate=False)
    except NoResultError:
        value = "nothing yet"
    state = result.state if hasattr(result, "state") else ("SUCCESS" if result.successful() else "not all SUCCESS")
    print(f"{state} after {time.monotonic() - started:.1f} s, id {result.id}")
    for line in value if isinstance(value, list) else [value]:
        print(json.dumps(line, default=repr))


def race(names):
    """Compare one after the other with all at once."""
    started = time.monotonic()
    for name in names:
        workflows.figures(name).get(timeout=PATIENCE_SECONDS)
    apart = time.monotonic() - started
    started = time.monotonic()
    workflows.collect(names).get(timeout=PATIENCE_SECONDS)
    together = time.monotonic() - started
    print(f"one after the other {apart:.1f} s, together {together:.1f} s: {together / apart:.0%}")


def keys():
    """Show chord keys and their time to live; -1 means for ever."""
    for key in sorted(app.backend.client.scan_iter("celery-taskset-meta-*")):
        print(f"{app.backend.client.ttl(key):6d} s  {key.decode()}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["figures", name]:
            wait(workflows.figures(name))
        case ["collect", _, *_]:
            wait(workflows.collect(sys.argv[2:]))
        case ["report" | "close" as workflow, day, _, *_]:
            wait(getattr(workflows, workflow)(day, sys.argv[3:]))
        case ["race", _, *_]:
            race(sys.argv[2:])
        case ["keys"]:
            keys()
        case _:
            sys.exit(__doc__)
