"""The ledger's server. It runs from this one file inside the support image, so it needs the standard library alone.

    POST /entries   a JSON list of entries; the same (client, seq) again changes nothing
    GET  /entries   all entries in the order of their arrival, as a JSON list; `?after=N` those behind arrival N
    GET  /health    204 without a token

An entry: client (text), seq (from 1, without gaps), kind, key, time (seconds since the epoch), data (any JSON).
"""

import hmac
import json
import os
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

MAX_BODY = 4 * 2**20
COLUMNS = ("client", "seq", "kind", "key", "time", "data")
_SCHEMA = """
create table if not exists entries (
    arrival integer primary key autoincrement, client text not null, seq integer not null,
    kind text not null, key text not null, time real not null, data text not null, unique (client, seq))
"""


class Store:
    """Entries in one SQLite file; safe for many threads."""

    def __init__(self, path: str) -> None:
        self._lock = Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("pragma journal_mode = wal")
        self._database.execute(_SCHEMA)

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Adds entries, all or none. Raises KeyError or TypeError for one that lacks a column."""
        rows = [(*(entry[column] for column in COLUMNS[:-1]), json.dumps(entry["data"])) for entry in entries]
        with self._lock:
            self._database.execute("begin")
            self._database.executemany("insert or ignore into entries (client, seq, kind, key, time, data) values (?,?,?,?,?,?)", rows)
            self._database.execute("commit")

    def after(self, arrival: int) -> list[dict[str, Any]]:
        """Entries that arrived behind `arrival`."""
        with self._lock:
            rows = self._database.execute(
                "select arrival, client, seq, kind, key, time, data from entries where arrival > ? order by arrival", (arrival,)
            ).fetchall()
        return [{"arrival": row[0], **dict(zip(COLUMNS, (*row[1:-1], json.loads(row[-1])), strict=True))} for row in rows]


class Handler(BaseHTTPRequestHandler):
    """One request. `store` and `token` are set on the class by `serve`."""

    store: Store
    token: str
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Entries, or health."""
        url = urlsplit(self.path)
        if url.path == "/health":
            self._answer(204)
        elif self._allowed() and url.path == "/entries":
            after = parse_qs(url.query).get("after", ["0"])[0]
            self._answer(200, self.store.after(int(after))) if after.isdigit() else self._answer(400)
        else:
            self._answer(404)

    def do_POST(self) -> None:
        """New entries."""
        length = int(self.headers.get("Content-Length", 0))
        if length > MAX_BODY:
            self._answer(413)
            return
        body = self.rfile.read(length)
        if not self._allowed() or urlsplit(self.path).path != "/entries":
            self._answer(404)
            return
        try:
            self.store.add(json.loads(body))
        except (KeyError, TypeError, ValueError, sqlite3.IntegrityError):
            self._answer(400)
        else:
            self._answer(204)

    def _allowed(self) -> bool:
        return hmac.compare_digest(self.headers.get("Authorization", ""), f"Bearer {self.token}")

    def _answer(self, status: int, value: Any = None) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: a request a task makes is no event."""


def serve(port: int, database: str, token: str) -> None:
    """Serves until killed."""
    Handler.store, Handler.token = Store(database), token
    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)  # noqa: S104 (a network of two: the hosts and the gateway)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    os.umask(0o077)
    serve(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_text(encoding="utf-8").strip())
