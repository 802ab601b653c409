"""The exporter of the chart: what it counts as load, and what it says where it does not know."""

import importlib.util
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from tests.render.chart import CHART

POOLS = {"fast": {"nodes": "shop-fast@", "queues": ["a", "b"]}}


@pytest.fixture(scope="module")
def exporter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("chart_exporter", CHART / "files" / "exporter.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class FakeBroker:
    def __init__(self, lengths: dict[str, tuple[int, int]] | None) -> None:
        self.lengths = lengths

    def read(self, queues: list[str]) -> dict[str, tuple[int, int]]:
        if self.lengths is None:
            raise ConnectionError("no broker")
        return {queue: self.lengths[queue] for queue in queues}


def heard(exporter: ModuleType, *events: tuple[str, str, int], since: float = 60) -> Any:
    """Workers that have been listened to for so many seconds."""
    workers = exporter.Workers()
    workers.begin()
    workers._since -= since
    for kind, hostname, active in events:
        workers.heard({"type": f"worker-{kind}", "hostname": hostname, "active": active})
    return workers


@pytest.mark.parametrize(
    ("lengths", "active", "load"),
    [
        ({"a": (0, 0), "b": (0, 0)}, 0, 0),
        ({"a": (300, 0), "b": (2, 0)}, 0, 302),
        ({"a": (0, 4), "b": (0, 0)}, 4, 4),  # four late tasks run: they are among the unacknowledged
        ({"a": (0, 0), "b": (0, 0)}, 4, 4),  # four early tasks run: the broker has forgotten them
        ({"a": (5, 8), "b": (1, 0)}, 4, 14),
    ],
)
def test_the_load_is_what_waits_and_the_larger_of_what_is_held_and_what_runs(
    exporter: ModuleType, lengths: dict[str, tuple[int, int]], active: int, load: int
) -> None:
    found = exporter.Load(POOLS, FakeBroker(lengths), heard(exporter, ("heartbeat", "shop-fast@pod-1", active))).of("fast")
    assert found["load"] == load


def test_workers_of_other_pools_and_those_that_are_gone_do_not_count(exporter: ModuleType) -> None:
    events = [
        ("heartbeat", "shop-fast@1", 3),
        ("heartbeat", "shop-fast@2", 5),
        ("heartbeat", "shop-slow@1", 7),
        ("offline", "shop-fast@2", 5),
    ]
    workers = heard(exporter, *events)
    assert (workers.active("shop-fast@"), workers.active("shop-slow@")) == (3, 7)
    workers._active["shop-fast@1"] = 3, time.monotonic() - exporter.SILENT - 1
    assert workers.active("shop-fast@") == 0


def test_what_runs_is_not_known_before_workers_were_listened_to(exporter: ModuleType) -> None:
    workers = heard(exporter, ("heartbeat", "shop-fast@1", 3), since=1)
    with pytest.raises(LookupError):
        workers.active("shop-fast@")
    workers = heard(exporter, ("heartbeat", "shop-fast@1", 3))
    workers.end()
    with pytest.raises(LookupError):
        workers.active("shop-fast@")


@pytest.fixture
def serve(exporter: ModuleType) -> Iterator[Any]:
    servers = []

    def begin(broker: FakeBroker, workers: Any) -> str:
        server = exporter.Server(("", 0), exporter.Handler)
        server.load = exporter.Load(POOLS, broker, workers)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_keda_and_prometheus_read_the_same_load(exporter: ModuleType, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMESPACE", "prod")
    url = serve(FakeBroker({"a": (9, 3), "b": (0, 0)}), heard(exporter, ("heartbeat", "shop-fast@1", 2)))
    status, text = get(f"{url}/load/fast")
    assert (status, json.loads(text)) == (200, {"load": 12, "ready": 9, "unacked": 3, "active": 2})
    status, text = get(f"{url}/metrics")
    assert status == 200
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        'celery_queue_length{queue="a",namespace="prod"} 12',
        'celery_queue_length{queue="b",namespace="prod"} 0',
        'celery_pool_load{pool="fast",namespace="prod"} 12',
    ]
    assert get(f"{url}/load/slow")[0] == 404


def test_what_is_not_known_is_an_error_or_absent_and_never_zero(exporter: ModuleType, serve: Any) -> None:
    without_broker = serve(FakeBroker(None), heard(exporter))
    assert get(f"{without_broker}/load/fast") == (503, "not known: no broker\n")
    assert get(f"{without_broker}/metrics") == (200, "")
    deaf = serve(FakeBroker({"a": (1, 0), "b": (0, 0)}), exporter.Workers())
    assert get(f"{deaf}/load/fast")[0] == 503
    assert "celery_queue_length" in get(f"{deaf}/metrics")[1]
    assert "celery_pool_load" not in get(f"{deaf}/metrics")[1]
    assert get(f"{without_broker}/healthz") == get(f"{deaf}/healthz") == (200, "it works\n")


def test_a_question_does_not_wait_for_ever_behind_another_one(exporter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "TIMEOUT", 0.1)
    broker = exporter.Broker(Celery(broker="memory://"))
    with broker._alone(), pytest.raises(TimeoutError, match="has not answered the question before"):
        broker.read(["a"])
    assert broker.read(["a"]) == {"a": (0, 0)}


def test_ready_messages_are_counted_and_a_queue_that_nobody_made_is_empty(exporter: ModuleType) -> None:
    app = Celery(broker="memory://", set_as_current=False)
    for _ in range(3):
        app.send_task("shop.nap", queue="a")
    assert exporter.Broker(app).read(["a", "b"]) == {"a": (3, 0), "b": (0, 0)}


def test_a_queue_that_may_not_be_read_is_not_an_empty_one(exporter: ModuleType) -> None:
    class RefusedError(Exception):
        pass

    class Channel:
        def queue_declare(self, **_: Any) -> None:
            raise RefusedError("NOPERM")

        def close(self) -> None:
            pass

    connection = SimpleNamespace(channel=Channel, channel_errors=(RefusedError,), transport=SimpleNamespace(driver_type="amqp"))
    with pytest.raises(RefusedError):
        exporter.Broker(None)._ready(connection, "a")


def test_redis_is_not_asked_whether_a_queue_is_there(exporter: ModuleType) -> None:
    """kombu 5.7 looks for it without the prefix of its keys, and every queue would be empty."""
    channel = SimpleNamespace(_size={"a": 7}.get, close=lambda: None)
    connection = SimpleNamespace(channel=lambda: channel, channel_errors=(), transport=SimpleNamespace(driver_type="redis"))
    assert exporter.Broker(None)._ready(connection, "a") == 7


def test_messages_that_a_worker_holds_in_redis_count_for_their_queue_unless_their_time_is_yet_to_come(exporter: ModuleType) -> None:
    now = datetime.now(UTC)
    etas = [None, (now - timedelta(minutes=1)).isoformat(), (now + timedelta(minutes=1)).isoformat()]
    stored = [json.dumps([{"headers": {"eta": eta}}, "shop", "route-of-a"]).encode() for eta in etas]
    client = SimpleNamespace(hvals=lambda key: stored if key == "shop:unacked" else [])
    channel = SimpleNamespace(client=client, unacked_key="unacked", global_keyprefix="shop:")
    connection = SimpleNamespace(default_channel=channel)
    app = Celery(broker="redis://127.0.0.1:1", set_as_current=False)
    app.amqp.queues.add("a", routing_key="route-of-a")
    assert exporter.Broker(app)._held_in_redis(connection) == {"a": 2}


def test_messages_that_a_worker_holds_in_rabbitmq_are_asked_of_its_management(exporter: ModuleType) -> None:
    asked = []

    class Management(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(404 if self.path.endswith("gone") else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"messages_unacknowledged": 5}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Management) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        app = Celery(broker="memory://", set_as_current=False)
        broker = exporter.Broker(app, f"http://user:p%40ss@127.0.0.1:{server.server_port}")
        assert (broker._held_in_rabbitmq("/", "a"), broker._held_in_rabbitmq("shop", "gone")) == (5, 0)
        server.shutdown()
    assert asked == [("/api/queues/%2F/a", "Basic dXNlcjpwQHNz"), ("/api/queues/shop/gone", "Basic dXNlcjpwQHNz")]
