"""Client of the ledger: numbers every entry and keeps it in a spool file until the ledger has it, so that loss shows as a gap.

What a busy ledger did not take is sent again each second, and once more when the process ends.

Configured by the environment: CELERYLAB_LEDGER_URL, CELERYLAB_LEDGER_TOKEN. The spool is in STATE_DIRECTORY (systemd sets it for a unit
with StateDirectory=), else in the temporary directory. Without a URL nothing is recorded.
"""

import atexit
import json
import os
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 3
AGAIN_SECONDS = 1
_PREFIX = "celerylab-ledger-"


class Ledger:
    """One numbered stream of entries: of this process since it began, or was forked."""

    def __init__(self, url: str, token: str, spool: Path) -> None:
        self._url, self._token, self._spool = url, token, spool
        self._sending_again = False
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def record(self, kind: str, key: str, data: Any = None) -> None:
        """Writes an entry to the spool, then sends all that is spooled. A ledger that does not answer raises nothing: it is sent again later."""
        with self._lock:
            self._sequence += 1
            entry = {"client": self._client, "seq": self._sequence, "kind": kind, "key": key, "time": time.time(), "data": data}
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            if not self._send(self._file) and not self._sending_again:
                self._sending_again = True
                threading.Thread(target=self._send_again, name="ledger", daemon=True).start()

    def flush(self) -> None:
        """Sends once more what this process has in the spool: it is about to end."""
        with self._lock:
            self._send(self._file)

    def flush_orphans(self) -> None:
        """Sends what processes that are gone have left in the spool."""
        for path in self._spool.glob(f"{_PREFIX}*"):
            process = path.name.removeprefix(_PREFIX).split("-")[0]
            if not Path("/proc", process).exists():
                self._send(path)

    def _begin(self) -> None:
        """Another process, another stream; the lock may have been another thread's at the moment of the fork."""
        self._lock = threading.Lock()
        self._client = f"{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._file = self._spool / f"{_PREFIX}{os.getpid()}-{self._client}"
        self._sequence = 0
        self._sending_again = False

    def _send_again(self) -> None:
        """The thread; it ends when the ledger has everything."""
        while True:
            time.sleep(AGAIN_SECONDS)
            with self._lock:
                if self._send(self._file):
                    self._sending_again = False
                    return

    def _send(self, path: Path) -> bool:
        """Whether the ledger has what was in `path`. What it has not stays there, and the numbering shows what never arrives."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            body = ("[" + ",".join(lines) + "]").encode()
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            request = urllib.request.Request(f"{self._url}/entries", body, headers, method="POST")
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
                path.unlink()
        except FileNotFoundError:
            return True
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False
        return True


def from_environment() -> Ledger | None:
    """The ledger that the environment names, or None."""
    url = os.environ.get("CELERYLAB_LEDGER_URL")
    if not url:
        return None
    spool = os.environ.get("STATE_DIRECTORY", "").split(":")[0] or tempfile.gettempdir()
    return Ledger(url.rstrip("/"), os.environ.get("CELERYLAB_LEDGER_TOKEN", ""), Path(spool))


_ledger = from_environment()
if _ledger is not None:
    atexit.register(_ledger.flush)


def record(kind: str, key: str, data: Any = None) -> None:
    """Records an entry of `kind` (start, end, effect) under `key`; `data` is anything JSON can say."""
    if _ledger is not None:
        _ledger.record(kind, key, data)


def flush() -> None:
    """Sends what this process has in the spool: for one that ends without Python's own end, as those of a pool do."""
    if _ledger is not None:
        _ledger.flush()


def flush_orphans() -> None:
    """Sends what a killed predecessor left in the spool."""
    if _ledger is not None:
        _ledger.flush_orphans()
