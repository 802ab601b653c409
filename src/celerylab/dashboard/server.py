"""Serves the page and its data on 127.0.0.1."""

import json
from collections.abc import Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from celerylab.dashboard.panels import Panel, draw
from celerylab.errors import CelerylabError

PAGE = Path(__file__).with_name("page.html")
MINUTES = 15


class _Handler(BaseHTTPRequestHandler):
    """`/` is the page, `/panels` its data."""

    def __init__(self, panels: Sequence[Panel], prometheus: str, title: str, *rest: Any) -> None:
        self._panels, self._prometheus, self._title = panels, prometheus, title
        super().__init__(*rest)

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(200, "text/html; charset=utf-8", PAGE.read_bytes())
        elif self.path == "/panels":
            try:
                drawn = [draw(panel, self._prometheus, MINUTES) for panel in self._panels]
            except CelerylabError as error:
                self._answer(502, "application/json", json.dumps({"error": str(error)}).encode())
            else:
                self._answer(200, "application/json", json.dumps({"title": self._title, "panels": drawn}).encode())
        else:
            self._answer(404, "text/plain", b"there is / and /panels\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: the terminal is the user's."""


def serve(panels: Sequence[Panel], prometheus: str, title: str, port: int) -> ThreadingHTTPServer:
    """A server, bound to 127.0.0.1 at `port` (a free one for 0); the caller lets it run. Raises OSError where the port is taken."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, panels, prometheus, title))
