"""The suite's client of Prometheus, against answers of Prometheus' API as they are written."""

import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from celerylab.verify.expect import NotObservedError
from celerylab.verify.prometheus import Prometheus

pytestmark = pytest.mark.unit

ANSWERS: dict[str, tuple[int, Any]] = {
    "sum(up)": (200, {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1764040000.1, "6"]}]}}),
    "nothing": (200, {"status": "success", "data": {"resultType": "vector", "result": []}}),
    "sum(": (400, {"status": "error", "errorType": "bad_data", "error": "parse error"}),
}


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    """A client of a server that knows ANSWERS."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = urllib.parse.parse_qs(self.path.partition("?")[2])["query"][0]
            status, answer = ANSWERS[query]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Prometheus(SimpleNamespace(endpoint=lambda _: f"127.0.0.1:{server.server_port}"))  # type: ignore[arg-type]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_query_gives_its_number_and_no_series_gives_none(prometheus: Prometheus) -> None:
    assert prometheus.value("sum(up)") == 6
    assert prometheus.value("nothing") is None


def test_a_query_that_prometheus_refuses_is_trouble_of_the_harness(prometheus: Prometheus) -> None:
    with pytest.raises(NotObservedError, match="Prometheus does not answer"):
        prometheus.value("sum(")
