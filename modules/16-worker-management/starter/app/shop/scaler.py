"""Scales the worker of its host, and says so to Prometheus: looks, lets scaling.py decide, acts, about once in two seconds.

It is a service of its own, celery@scaler.service, beside the worker celery@default.service of each host. It asks and orders the
worker through the broker, as `celery inspect` and `celery control` do, so it needs no rights on the host. Where something goes wrong it ends, and
systemd starts it again.
"""

import json
import math
import os
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from shop.celery import app
from shop.scaling import decide, needed_by_metric, needed_by_queue

WORKER = f"default@{os.uname().nodename}"
QUEUE = "celery"
SIGNAL = os.environ.get("SCALER_SIGNAL", "none")  # queue, metric, or none: then it only measures
QUERY = os.environ.get("SCALER_QUERY", "sum(shop_busy_processes) / sum(shop_pool_processes)")
PROMETHEUS = os.environ.get("LAB_PROMETHEUS_URL", "http://monitor-1:9090")
PORT = 9540
STRANGE_LOOKS = 5


@dataclass(frozen=True)
class Seen:
    """One look: the worker's main process, its task processes and how many of them are busy; how many messages wait, for how many workers."""

    pid: int
    processes: int
    busy: int
    waiting: int
    workers: int


def look():
    """What there is to see; None while the worker of this host does not answer."""
    stats = app.control.inspect(timeout=1).stats() or {}  # waits so long for whoever answers
    active = app.control.inspect(destination=[WORKER], timeout=1).active() or {}
    if WORKER not in stats or WORKER not in active:
        return None
    workers = [node for node in stats if node.startswith("default@")]
    return Seen(stats[WORKER]["pid"], len(stats[WORKER]["pool"]["processes"]), len(active[WORKER]), waiting(), len(workers))


def waiting():
    """How many messages no worker has taken yet."""
    with app.connection_for_read() as connection:
        try:
            return connection.default_channel.queue_declare(QUEUE, passive=True).message_count
        except connection.channel_errors:  # Redis forgets a queue that is empty
            return 0


def act(change):
    """Tells the worker to have `change` more processes, or fewer. Says whether it will: it cannot give up one that is busy."""
    command = "pool_grow" if change > 0 else "pool_shrink"
    replies = app.control.broadcast(command, arguments={"n": abs(change)}, destination=[WORKER], reply=True, timeout=2)
    return any("ok" in reply.get(WORKER, {}) for reply in replies or [])


def ask_prometheus(query):
    """The one number that `query` gives, or None."""
    url = f"{PROMETHEUS}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(url, timeout=2) as answer:
        found = json.load(answer)["data"]["result"]
    value = float(found[0]["value"][1]) if found else math.nan
    return None if math.isnan(value) else value


class Metrics(BaseHTTPRequestHandler):
    """What Prometheus reads at http://HOST:9540/metrics."""

    values = {}

    def do_GET(self):
        """Answers with every value, in Prometheus' own format."""
        lines = [f'shop_{name}{{node="{WORKER}"}} {value}\n' for name, value in self.values.items()]
        body = "".join(lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing: one line for each scrape would fill the journal."""


def main():
    """Runs until something goes wrong."""
    Thread(target=ThreadingHTTPServer(("", PORT), Metrics).serve_forever, daemon=True).start()
    signals = {"queue": needed_by_queue, "metric": lambda seen: needed_by_metric(seen, ask_prometheus(QUERY))}
    pid = processes = strange = 0
    wanted_at = time.monotonic()  # when all of its processes were last needed
    while True:
        time.sleep(0.5)
        seen = look()
        if seen is None:
            pid, Metrics.values = 0, {}  # nothing seen is no zero
            continue
        strange = strange + 1 if seen.processes != processes else 0  # an order takes a moment
        # A worker that has just started, or one that carried out an order after we gave it up.
        if seen.pid != pid or strange >= STRANGE_LOOKS:
            pid, processes, strange = seen.pid, seen.processes, 0
        wanted = processes
        if SIGNAL in signals:
            needed = signals[SIGNAL](seen)
            if needed >= processes:
                wanted_at = time.monotonic()
            wanted = decide(processes, needed, time.monotonic() - wanted_at)
        if wanted != processes:
            done = act(wanted - processes)
            print(f"{seen}: {processes} -> {wanted}{'' if done else ', which the worker refuses'}", flush=True)
            pid, processes = (pid if done else 0), wanted
        Metrics.values = {
            "pool_processes": seen.processes,
            "busy_processes": seen.busy,
            "wanted_processes": wanted,
            "queue_length": seen.waiting,
        }


if __name__ == "__main__":
    main()
