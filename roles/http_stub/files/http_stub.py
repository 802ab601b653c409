"""A service that answers as it is told to: for tests of clients that call somebody else's API. Needs the standard library alone.

What clients see: every method and path; the last part of the path is the key. Without a behaviour of its own a key is answered 200.

What whoever controls it sees, with `Authorization: Bearer TOKEN`:

    PUT  /_control/behaviours   {"KEY": {"status": 503, "times": 2, "delay": 0.5}, …}   `times` left out: always; null: forget the behaviour
    GET  /_control/calls        every call: [{"key", "method", "path", "status", "time"}, …] in the order of arrival; `?prefix=KEY…` some of them
    GET  /_control/health       204, without a token

`time` is in seconds since the epoch, when the call arrived. Behaviours and calls are in memory: a restart forgets them.
"""

import hmac
import json
import os
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

MAX_BODY = 4 * 2**20
MAX_DELAY = 300
CONTROL = "/_control/"


class Stub:
    """Behaviours and calls; safe for many threads."""

    def __init__(self, max_calls: int) -> None:
        self._lock = Lock()
        self._behaviours: dict[str, dict[str, Any]] = {}
        self._calls: deque[dict[str, Any]] = deque(maxlen=max_calls)

    def behave(self, wanted: dict[str, dict[str, Any] | None]) -> None:
        """Takes the behaviours of `wanted`, all or none. Raises ValueError for one that makes no sense."""
        checked = {key: _checked(behaviour) for key, behaviour in wanted.items()}
        with self._lock:
            for key, behaviour in checked.items():
                if behaviour is None:
                    self._behaviours.pop(key, None)
                else:
                    self._behaviours[key] = behaviour

    def call(self, key: str, method: str, path: str) -> tuple[int, float]:
        """Notes a call; its status and for how many seconds the answer is held back."""
        now = time.time()
        with self._lock:
            behaviour = self._behaviours.get(key, {})
            status, left = behaviour.get("status", 200), behaviour.get("times")
            if left is not None:
                status = status if left > 0 else 200
                behaviour["times"] = max(0, left - 1)
            self._calls.append({"key": key, "method": method, "path": path, "status": status, "time": now})
        return status, behaviour.get("delay", 0)

    def calls(self, prefix: str) -> list[dict[str, Any]]:
        """Calls whose key begins with `prefix`."""
        with self._lock:
            return [call for call in self._calls if call["key"].startswith(prefix)]


def _checked(behaviour: dict[str, Any] | None) -> dict[str, Any] | None:
    if behaviour is None:
        return None
    status, times, delay = behaviour.get("status", 200), behaviour.get("times"), behaviour.get("delay", 0)
    if unknown := set(behaviour) - {"status", "times", "delay"}:
        raise ValueError(f"a behaviour has status, times and delay, not {', '.join(sorted(unknown))}")
    if type(status) is not int or not 200 <= status <= 599:
        raise ValueError(f"status: write a number from 200 to 599, not {status!r}")
    if times is not None and (type(times) is not int or times < 0):
        raise ValueError(f"times: write a whole number, or leave it out for always, not {times!r}")
    if type(delay) not in (int, float) or not 0 <= delay <= MAX_DELAY:
        raise ValueError(f"delay: write seconds from 0 to {MAX_DELAY}, not {delay!r}")
    return {"status": status, "times": times, "delay": delay}


class Handler(BaseHTTPRequestHandler):
    """One request. `stub` and `token` are set on the class by `serve`."""

    stub: Stub
    token: str
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a silent connection is kept

    def do_GET(self) -> None:
        """A client's call, or a question of whoever controls the stub."""
        body = self._body()
        url = urlsplit(self.path)
        if not url.path.startswith(CONTROL):
            self._serve_client(url.path)
        elif url.path == f"{CONTROL}health":
            self._answer(204)
        elif not hmac.compare_digest(self.headers.get("Authorization", "").encode(), f"Bearer {self.token}".encode()):
            self._answer(401, {"error": "the control API wants its token"})
        elif url.path == f"{CONTROL}calls" and self.command == "GET":
            self._answer(200, self.stub.calls(parse_qs(url.query).get("prefix", [""])[0]))
        elif url.path == f"{CONTROL}behaviours" and self.command == "PUT":
            self._take(body)
        else:
            self._answer(404)

    do_DELETE = do_HEAD = do_PATCH = do_POST = do_PUT = do_GET  # noqa: N815 (names that http.server calls)

    def _serve_client(self, path: str) -> None:
        key = unquote(path.rstrip("/").rsplit("/", 1)[-1])
        status, delay = self.stub.call(key, self.command, path)
        time.sleep(delay)
        self._answer(status, {"key": key, "status": status})

    def _take(self, body: bytes) -> None:
        try:
            wanted = json.loads(body)
            if not isinstance(wanted, dict) or not all(isinstance(value, dict | None) for value in wanted.values()):
                raise ValueError("write an object of keys and their behaviours")
            self.stub.behave(wanted)
        except ValueError as error:
            self._answer(400, {"error": str(error)})
        else:
            self._answer(204)

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length", 0))
        if length > MAX_BODY:
            self.close_connection = True
            return b""
        return self.rfile.read(length)

    def _answer(self, status: int, value: Any = None) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: calls are read through the control API."""


class Server(ThreadingHTTPServer):
    """A server for bursts: many clients connect at the same moment."""

    daemon_threads = True
    request_queue_size = 128


def serve(address: str, port: int, token: str, max_calls: int) -> None:
    """Serves until it is told to stop."""
    Handler.stub, Handler.token = Stub(max_calls), token
    Server((address, port), Handler).serve_forever()


if __name__ == "__main__":
    serve(
        os.environ["HTTP_STUB_ADDRESS"],
        int(os.environ["HTTP_STUB_PORT"]),
        Path(os.environ["HTTP_STUB_TOKEN_FILE"]).read_text(encoding="utf-8").strip(),
        int(os.environ["HTTP_STUB_MAX_CALLS"]),
    )
