"""The office: looks at what has happened, and asks the schedule API. Not yours to change.

python -m shop.office seen [WHAT]                 the last 20 events: tills, count, stock, report-daily, reminder-...
python -m shop.office api METHOD PATH [BODY]      on api-1: a request to the schedule API, with its token
"""

import json
import os
import sys
import time
import urllib.error
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


def ask(method, path, body):
    """Print how the schedule API answers."""
    headers = {"Authorization": f"Bearer {os.environ['LAB_API_TOKEN']}"}
    request = urllib.request.Request(f"http://127.0.0.1:8000{path}", body.encode() or None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    print(status, text.strip())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["seen", *what] if len(what) < 2:
            seen("".join(what))
        case ["api", method, path, *body] if len(body) < 2:
            ask(method, path, "".join(body))
        case _:
            sys.exit(__doc__)
