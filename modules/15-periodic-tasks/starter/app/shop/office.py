"""The office: looks at what has happened. Not yours to change.

python -m shop.office seen [WHAT]    the last 20 events: tills, count, stock, report-daily, reminder-...
"""

import json
import os
import sys
import time
import urllib.request

SHOWN = 20


def seen(what):
    """Print when what happened, and which host has sent the task."""
    headers = {"Authorization": f"Bearer {os.environ['CELERYLAB_LEDGER_TOKEN']}"}
    request = urllib.request.Request(f"{os.environ['CELERYLAB_LEDGER_URL']}/entries", headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        events = [event for event in json.load(answer) if event["key"].startswith(what) and isinstance(event["data"], dict)]
    for event in sorted(events, key=lambda event: event["time"])[-SHOWN:]:
        clock = time.strftime("%H:%M:%S", time.gmtime(event["time"])) + f"{event['time'] % 1:.1f}"[1:]
        kind = "" if event["kind"] == "effect" else f" {event['kind']}"
        print(f"{clock} {event['key']}{kind}, sent by {event['data'].get('by')}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["seen", *what] if len(what) < 2:
            seen("".join(what))
        case _:
            sys.exit(__doc__)
