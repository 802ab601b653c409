"""Keeps what Alertmanager sends, so that a test can see it. Needs the standard library alone.

All with `Authorization: Bearer TOKEN`, except for the last:

    POST /                  a notification, as Alertmanager's webhook sends it; answered when it is on the disk
    GET  /alerts?since=T    {"time", "notification"} of each that arrived after T, in the order of arrival; without `since`, all that are kept
    GET  /health            204, without a token

`time` is in seconds since the epoch, when the notification arrived. Each is one JSON line in alerts.jsonl; a file that has reached its bound
becomes alerts.jsonl.1, in place of the one before.
"""

import hmac
import json
import os
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET6
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

MAX_BODY = 4 * 2**20


class Store:
    """The file and the one before it; safe for many threads."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._lock = Lock()
        self._file, self._older = folder / "alerts.jsonl", folder / "alerts.jsonl.1"
        self._max_bytes = max_bytes
        self._last = max((kept["time"] for kept in self.since(0)), default=0.0)

    def append(self, notification: Any) -> None:
        """Keeps a notification; it is on the disk when this returns."""
        with self._lock:
            # Later than any before, also where the clock was set back: who asks for what came after the last misses none.
            self._last = max(time.time(), self._last + 1e-6)
            line = json.dumps({"time": self._last, "notification": notification}).encode() + b"\n"
            if self._file.is_file() and self._file.stat().st_size + len(line) > self._max_bytes:
                self._file.replace(self._older)
            with self._file.open("ab+") as file:
                if file.tell() and not _ends_a_line(file):
                    line = b"\n" + line  # a crash has left half of one
                file.write(line)
                file.flush()
                os.fsync(file.fileno())

    def since(self, moment: float) -> list[dict[str, Any]]:
        """What arrived after `moment`."""
        with self._lock:
            return [kept for path in (self._older, self._file) for kept in _lines(path) if kept["time"] > moment]


def _ends_a_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        for line in path.read_bytes().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue  # half of one that a crash cut off


class Handler(BaseHTTPRequestHandler):
    """One request. `store` and `token` are set on the class by `serve`."""

    store: Store
    token: str
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a silent connection is kept

    def do_GET(self) -> None:
        """A question: whether it lives, or what was sent."""
        url = urlsplit(self.path)
        if url.path == "/health":
            self._answer(204)
        elif not self._allowed():
            self._answer(401, {"error": "the sink wants its token"})
        elif url.path != "/alerts":
            self._answer(404, {"error": "there is /alerts and /health"})
        else:
            try:
                self._answer(200, self.store.since(float(parse_qs(url.query).get("since", ["0"])[0])))
            except ValueError:
                self._answer(400, {"error": "since: write seconds since the epoch"})

    def do_POST(self) -> None:
        """A notification."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            self._answer(413, {"error": f"write a Content-Length of at most {MAX_BODY}"})
            return
        body = self.rfile.read(int(length))
        if not self._allowed():
            self._answer(401, {"error": "the sink wants its token"})
            return
        try:
            notification = json.loads(body)
        except ValueError as error:
            self._answer(400, {"error": f"not JSON: {error}"})
            return
        self.store.append(notification)
        self._answer(204)

    def _allowed(self) -> bool:
        return hmac.compare_digest(self.headers.get("Authorization", "").encode(), f"Bearer {self.token}".encode())

    def _answer(self, status: int, value: Any = None) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: what arrived is in the file."""


class Server(ThreadingHTTPServer):
    """A server whose connections do not keep it from stopping."""

    daemon_threads = True


class Server6(Server):
    """The same for IPv6."""

    address_family = AF_INET6


def serve(address: str, port: int, token: str, store: Store) -> None:
    """Serves until it is told to stop."""
    Handler.store, Handler.token = store, token
    (Server6 if ":" in address else Server)((address, port), Handler).serve_forever()


if __name__ == "__main__":
    serve(
        os.environ["SINK_ADDRESS"],
        int(os.environ["SINK_PORT"]),
        Path(os.environ["SINK_TOKEN_FILE"]).read_text(encoding="utf-8").strip(),
        Store(Path(os.environ["STATE_DIRECTORY"]), int(os.environ["SINK_MAX_BYTES"])),
    )
