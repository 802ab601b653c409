"""Dashboards are read, drawn from a Prometheus that the test plays, and ask for metrics that exist."""

import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from celerylab.dashboard.panels import draw, read_panels
from celerylab.dashboard.server import serve
from celerylab.errors import EngineError, InputError

DASHBOARDS = "manifests/dashboards"
# What Prometheus itself and node_exporter have; of celery_exporter, its README.md says it.
OTHERS = {"up", "ALERTS", "node_cpu_seconds_total", "node_memory_MemAvailable_bytes"}
FUNCTIONS = {"sum", "by", "rate", "histogram_quantile", "avg", "count", "le", "on"}


class Prometheus(BaseHTTPRequestHandler):
    """Knows one series, and refuses whatever asks for `broken`."""

    def do_GET(self) -> None:
        question = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)["query"][0]
        status, answer = 200, {"data": {"result": [{"metric": {"__name__": "up", "queue": "a"}, "values": [[1.0, "2"], [2.0, "NaN"]]}]}}
        if "broken" in question:
            status, answer = 400, {"error": "parse error"}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def prometheus() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Prometheus) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def dashboard(folder: Path, expression: str, legend: str = "{{queue}}") -> Path:
    panel = {"title": "t", "type": "timeseries", "fieldConfig": {"defaults": {"unit": "s"}}}
    path = folder / "dashboard.json"
    path.write_text(json.dumps({"panels": [{**panel, "targets": [{"expr": expression, "legendFormat": legend}]}]}))
    return path


@pytest.mark.parametrize(("legend", "name"), [("{{queue}}", "a"), ("queue {{ queue }}", "queue a"), ("", "queue=a")])
def test_a_panel_is_drawn(tmp_path: Path, prometheus: str, legend: str, name: str) -> None:
    (panel,) = read_panels(dashboard(tmp_path, "up", legend))
    (line,) = draw(panel, prometheus, 15)["lines"]
    assert line["name"] == name
    assert line["points"] == [[1.0, 2.0], [2.0, None]]


def test_what_prometheus_refuses_is_said(tmp_path: Path, prometheus: str) -> None:
    (panel,) = read_panels(dashboard(tmp_path, "broken("))
    with pytest.raises(EngineError, match="refuses 'broken\\(': parse error"):
        draw(panel, prometheus, 15)


def test_a_prometheus_that_is_away_is_said(tmp_path: Path) -> None:
    (panel,) = read_panels(dashboard(tmp_path, "up"))
    with pytest.raises(EngineError, match="does not answer"):
        draw(panel, "http://127.0.0.1:9", 15)


@pytest.mark.parametrize("text", ["", "{}", '{"panels": [{"type": "timeseries"}]}'])
def test_a_file_that_is_no_dashboard_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dashboard.json").write_text(text)
    with pytest.raises(InputError, match="is no Grafana dashboard"):
        read_panels(tmp_path / "dashboard.json")


def test_the_page_and_its_data_are_served_and_nothing_else(tmp_path: Path, prometheus: str) -> None:
    with serve(read_panels(dashboard(tmp_path, "up")), prometheus, "module 16", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert b"<svg" in urllib.request.urlopen(url).read() or b"polyline" in urllib.request.urlopen(url).read()
        data = json.load(urllib.request.urlopen(f"{url}/panels"))
        assert data["title"] == "module 16"
        assert data["panels"][0]["lines"]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/../../etc/passwd")
        server.shutdown()


def test_every_panel_asks_for_metrics_that_exist(root: Path) -> None:
    documented = set(re.findall(r"`(celery_\w+)\{", (root / "roles/celery_exporter/README.md").read_text(encoding="utf-8")))
    for path in sorted((root / DASHBOARDS).glob("*.json")):
        for panel in read_panels(path):
            for target in panel.targets:
                bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|(?:by|on) *\([^)]*\)", "", target.expr)
                names = set(re.findall(r"[A-Za-z_]\w*", bare)) - FUNCTIONS
                known = {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}
                assert known, f"{panel.title}: asks for nothing"
                assert known <= documented | OTHERS, f"{panel.title}: {known - documented - OTHERS}"
