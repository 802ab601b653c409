"""The chart's own programs: the worker's command, what the kubelet asks, and the exporter. As they are mounted, in the tests' own Python."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.render.chart import CHART

FILES = CHART / "files"
POOLS = {"fast": {"nodes": "shop-fast@", "queues": ["a", "b"]}}
patiently = retry(retry=retry_if_exception_type(AssertionError), stop=stop_after_delay(30), wait=wait_fixed(0.1), reraise=True)


# The worker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An application that is called worker, as the chart's program is, with a broker of files."""
    (tmp_path / "worker.py").write_text(
        "import os\nfrom celery import Celery\napp = Celery('worker', broker=os.environ['BROKER_URL'])\n"
        "folders = dict.fromkeys(['data_folder_in', 'data_folder_out', 'control_folder'], 'queues')\n"
        "app.conf.update(broker_connection_retry_on_startup=True, worker_enable_remote_control=False)\n"
        "if app.conf.broker_url.startswith('filesystem'): app.conf.broker_transport_options = folders\n",
        encoding="utf-8",
    )
    (tmp_path / "queues").mkdir()
    for name in ("heartbeat", "consuming"):
        (tmp_path / name).write_text("of the container before", encoding="ascii")
        os.utime(tmp_path / name, (0, 0))
    return tmp_path


def surroundings(folder: Path, broker: str = "") -> dict[str, str]:
    own = {f"CELERY_WORKER_{name}_FILE": str(folder / name.lower()) for name in ("HEARTBEAT", "CONSUMING")}
    return {**os.environ, **own, "CELERY_WORKER_WATCHDOG_SECONDS": "10", "BROKER_URL": broker}


@pytest.fixture
def started(folder: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(FILES / "worker.py"), "--app=worker", "worker", "--pool=solo", "--queues=a,b"]
    options = ["worker.soft_shutdown_timeout=1", "worker.enable_soft_shutdown_on_idle=true"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, *options], cwd=folder, env=surroundings(folder, request.param), stdout=log, stderr=log)
    yield process
    process.kill()
    process.wait()


def probe(folder: Path, *arguments: str) -> int:
    command = [sys.executable, "-IS", str(FILES / "probe.py"), *arguments]
    return subprocess.run(command, env=surroundings(folder), capture_output=True, check=False).returncode


@pytest.mark.parametrize("started", ["filesystem://"], indirect=True)
def test_a_worker_lives_and_consumes_and_no_more_when_it_is_told_to_stop(folder: Path, started: subprocess.Popen[bytes]) -> None:
    @patiently
    def until_it_consumes() -> None:
        assert started.poll() is None, (folder / "log").read_text(encoding="utf-8")
        assert probe(folder, "alive", "10") == 0, (folder / "log").read_text(encoding="utf-8")
        assert probe(folder, "consuming") == 0

    until_it_consumes()
    assert (folder / "consuming").read_text(encoding="ascii") == ""
    started.send_signal(signal.SIGTERM)
    assert started.wait(30) == 0
    assert probe(folder, "consuming") == 1


@pytest.mark.parametrize("started", ["redis://127.0.0.1:1/0"], indirect=True)
def test_a_worker_whose_broker_is_away_lives_and_does_not_consume(folder: Path, started: subprocess.Popen[bytes]) -> None:
    @patiently
    def until_it_looks_for_its_broker() -> None:
        assert "Cannot connect to redis" in (folder / "log").read_text(encoding="utf-8")

    until_it_looks_for_its_broker()
    assert started.poll() is None
    assert (probe(folder, "alive", "10"), probe(folder, "consuming")) == (0, 1)


def test_what_a_container_before_left_is_no_sign_of_life(folder: Path) -> None:
    assert probe(folder, "alive", "10") == 1
    (folder / "heartbeat").unlink()
    assert probe(folder, "alive", "10") == 1


# The exporter


@pytest.fixture(scope="module")
def exporter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("chart_exporter", FILES / "exporter.py")
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


def test_ready_messages_are_counted_and_a_queue_that_nobody_made_is_empty(exporter: ModuleType) -> None:
    app = Celery(broker="memory://", set_as_current=False)
    for _ in range(3):
        app.send_task("shop.nap", queue="a")
    assert exporter.Broker(app).read(["a", "b"]) == {"a": (3, 0), "b": (0, 0)}


def test_messages_that_a_worker_holds_in_redis_count_for_their_queue_unless_their_time_is_yet_to_come(exporter: ModuleType) -> None:
    now = datetime.now(UTC)
    etas = [None, (now - timedelta(minutes=1)).isoformat(), (now + timedelta(minutes=1)).isoformat()]
    stored = [json.dumps([{"headers": {"eta": eta}}, "shop", "route-of-a"]).encode() for eta in etas]
    client = SimpleNamespace(hvals=lambda key: stored if key == "unacked" else [])
    connection = SimpleNamespace(default_channel=SimpleNamespace(client=client, unacked_key="unacked"))
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
