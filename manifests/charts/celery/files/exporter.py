"""How much work a pool of workers has: tasks that wait, that a worker holds, and that run. For Prometheus and for KEDA. Needs Celery alone.

    /load/POOL  {"load": 12, "ready": 9, "unacked": 3, "active": 2}, or 503 while that is not known
    /metrics    the same for Prometheus, and celery_queue_length; what is not known is absent, not zero
    /healthz    that this process works

Messages that are ready and unacknowledged come from the broker; how many tasks run, from the heartbeats that workers send. A task that is
acknowledged early is only among those that run, one that is acknowledged late among the unacknowledged as well: the larger number counts.

CELERY_APP is the application; POOLS is JSON: {"fast": {"nodes": "shop-fast@", "queues": ["celery"]}}. With RabbitMQ, unacknowledged messages are
counted where RABBITMQ_MANAGEMENT_URL is set, because AMQP does not tell them.
"""

import base64
import contextlib
import datetime
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

log = logging.getLogger("exporter")

SILENT = 30.0  # seconds without a heartbeat after which a worker counts as gone
SETTLED = 5.0  # seconds of listening after which every worker has been heard: they send one every 2 s
TIMEOUT = 3.0  # seconds for an answer of the broker


class Workers:
    """What workers say of themselves, while somebody listens."""

    def __init__(self) -> None:
        self._active: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()
        self._since: float | None = None

    def begin(self) -> None:
        """We listen from now on, or still do."""
        with self._lock:
            self._since = self._since or time.monotonic()

    def end(self) -> None:
        """We listen no more; what was heard is forgotten."""
        with self._lock:
            self._since = None
            self._active.clear()

    def heard(self, event: dict[str, Any]) -> None:
        """Takes an event of a worker."""
        with self._lock:
            if event["type"] == "worker-offline":
                self._active.pop(event["hostname"], None)
            else:
                self._active[event["hostname"]] = int(event.get("active") or 0), time.monotonic()

    def active(self, nodes: str) -> int:
        """How many tasks run in workers whose name begins like this; LookupError before all of them have been heard."""
        now = time.monotonic()
        with self._lock:
            if self._since is None or now - self._since < SETTLED:
                raise LookupError("workers have not been heard yet")
            return sum(count for name, (count, moment) in self._active.items() if name.startswith(nodes) and now - moment < SILENT)


class Broker:
    """Reads the queues, one reader at a time, over a connection of its own."""

    def __init__(self, app: Any, management: str = "") -> None:
        self._app = app
        self._management = management
        self._lock = threading.Lock()

    def read(self, queues: list[str]) -> dict[str, tuple[int, int]]:
        """Ready and unacknowledged messages of each queue."""
        options = dict(self._app.conf.broker_transport_options or {})
        kind = self._app.connection_for_read().transport.driver_type
        if kind == "redis":
            options = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, **options}
        with self._alone(), self._app.connection_for_read(transport_options=options, connect_timeout=TIMEOUT) as connection:
            connection.ensure_connection(max_retries=1, timeout=TIMEOUT)
            ready = {queue: self._ready(connection, queue) for queue in queues}
            if kind == "redis":
                held = self._held_in_redis(connection)
            elif kind == "amqp" and self._management:
                held = {queue: self._held_in_rabbitmq(connection.virtual_host, queue) for queue in queues}
            else:
                held = {}
        return {queue: (ready[queue], held.get(queue, 0)) for queue in queues}

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One reader at a time. While a broker does not answer, questions come faster than they end: who waits too long gives up."""
        if not self._lock.acquire(timeout=TIMEOUT):
            raise TimeoutError("the broker has not answered the question before")
        try:
            yield
        finally:
            self._lock.release()

    def _ready(self, connection: Any, queue: str) -> int:
        """A queue that nobody has made yet is empty."""
        channel = connection.channel()  # one for each queue: RabbitMQ closes the channel on which a missing queue was asked for
        try:
            if connection.transport.driver_type == "redis":
                return int(channel._size(queue))  # to declare it passively, kombu 5.7 looks for it without `global_keyprefix`
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except connection.channel_errors as error:
            if str(getattr(error, "reply_code", "")) == "404":
                return 0
            raise
        finally:
            channel.close()

    def _held_in_redis(self, connection: Any) -> dict[str, int]:
        """Messages that a worker holds, by queue; not those that wait for their time (`eta`, `countdown`), which are no work yet."""
        channel = connection.default_channel
        of_key = {queue.routing_key: name for name, queue in self._app.amqp.queues.items() if queue.routing_key}
        held: Counter[str] = Counter()
        # This is a command before whose key kombu does not put `global_keyprefix` itself.
        for stored in channel.client.hvals(channel.global_keyprefix + channel.unacked_key):
            message, _exchange, key = json.loads(stored)
            if not _later(message.get("headers", {}).get("eta")):
                held[of_key.get(key, key)] += 1
        return held

    def _held_in_rabbitmq(self, vhost: str, queue: str) -> int:
        url = urllib.parse.urlsplit(self._management)
        path = "/".join(urllib.parse.quote(part, safe="") for part in (vhost, queue))
        request = urllib.request.Request(f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path.rstrip('/')}/api/queues/{path}")
        login = f"{urllib.parse.unquote(url.username or '')}:{urllib.parse.unquote(url.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return int(json.load(answer).get("messages_unacknowledged", 0))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return 0
            raise


def _later(eta: str | None) -> bool:
    """Whether a task's time is yet to come."""
    try:
        moment = datetime.datetime.fromisoformat(eta or "")
    except ValueError:
        return False
    return moment.replace(tzinfo=moment.tzinfo or datetime.timezone.utc) > datetime.datetime.now(datetime.timezone.utc)  # noqa: UP017


class Load:
    """Puts together what broker and workers say."""

    def __init__(self, pools: dict[str, dict[str, Any]], broker: Broker, workers: Workers) -> None:
        self.pools = pools
        self._broker = broker
        self._workers = workers

    def of(self, pool: str) -> dict[str, int]:
        """Numbers of one pool. Any exception means that they are not known."""
        return self._of(pool, self._broker.read(self.pools[pool]["queues"]))

    def _of(self, pool: str, lengths: dict[str, tuple[int, int]]) -> dict[str, int]:
        ready, unacked = (sum(lengths[queue][index] for queue in self.pools[pool]["queues"]) for index in (0, 1))
        active = self._workers.active(self.pools[pool]["nodes"])
        return {"load": ready + max(unacked, active), "ready": ready, "unacked": unacked, "active": active}

    def metrics(self) -> str:
        """In Prometheus' text format."""
        known = []
        try:
            lengths = self._broker.read(sorted({queue for pool in self.pools.values() for queue in pool["queues"]}))
            known = _metric(
                "celery_queue_length", "Messages that wait or are with a worker.", "queue", {q: sum(n) for q, n in lengths.items()}
            )
            loads = {pool: self._of(pool, lengths)["load"] for pool in self.pools}
            known += _metric("celery_pool_load", "Tasks that wait for a pool of workers, are with it or run.", "pool", loads)
        except Exception as error:  # noqa: BLE001  whatever is the matter with a broker
            log.warning("what is not in the metrics is not known: %s", error)
        return "".join(f"{line}\n" for line in known)


def _metric(name: str, text: str, label: str, values: dict[str, int]) -> list[str]:
    # Also where Prometheus gives a namespace to what it scrapes: both say the same.
    space = f',namespace="{os.environ["NAMESPACE"]}"' if "NAMESPACE" in os.environ else ""
    return [
        f"# HELP {name} {text}",
        f"# TYPE {name} gauge",
        *(f'{name}{{{label}="{key}"{space}}} {value}' for key, value in values.items()),
    ]


class Server(ThreadingHTTPServer):
    """Answers over IPv4 and IPv6, whichever the cluster has."""

    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    load: Load


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_GET(self) -> None:
        """Answers, to whoever still listens; 503 where the answer is not known."""
        code, kind, text = self._answer()
        with contextlib.suppress(ConnectionError):
            self._say(code, kind, text)

    def _answer(self) -> tuple[int, str, str]:
        pool = self.path.removeprefix("/load/")
        try:
            if self.path == "/healthz":
                return 200, "text/plain", "it works\n"
            if self.path == "/metrics":
                return 200, "text/plain; version=0.0.4", self.server.load.metrics()
            if pool in self.server.load.pools:
                return 200, "application/json", json.dumps(self.server.load.of(pool))
        except Exception as error:  # noqa: BLE001
            log.warning("%s is not known: %s", self.path, error)
            return 503, "text/plain", f"not known: {error}\n"
        return 404, "text/plain", "there are /healthz, /metrics and /load/POOL\n"

    def _say(self, code: int, kind: str, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """A line for each request would be one every few seconds."""


def listen(app: Any, workers: Workers) -> None:
    """Hears the workers, for ever."""
    handlers = {f"worker-{kind}": workers.heard for kind in ("online", "heartbeat", "offline")}
    while True:
        try:
            with app.connection_for_read() as connection:
                receiver = app.events.Receiver(connection, handlers=handlers, routing_key="worker.#", app=app)
                workers.begin()
                # There may be no worker; or this connection is dead, so we take a new one.
                with contextlib.suppress(TimeoutError):
                    receiver.capture(timeout=SILENT, wakeup=True)
        except Exception as error:  # noqa: BLE001  whatever is the matter with a broker
            workers.end()
            log.warning("workers cannot be heard: %s", error)
            time.sleep(2)


def main() -> None:
    """Serves on PORT."""
    # The first process of a container is not ended by a signal that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), format="%(asctime)s %(levelname)s %(message)s")
    sys.path[0] = os.getcwd()  # noqa: PTH109  the application's folder instead of this file's, as `celery` has it
    from celery.app.utils import find_app

    app, workers = find_app(os.environ["CELERY_APP"]), Workers()
    server = Server(("", int(os.environ["PORT"])), Handler)
    server.load = Load(json.loads(os.environ["POOLS"]), Broker(app, os.environ.get("RABBITMQ_MANAGEMENT_URL", "")), workers)
    threading.Thread(target=listen, args=(app, workers), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
