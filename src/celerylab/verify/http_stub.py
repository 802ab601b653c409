"""The HTTP stub (role http_stub) as a check uses it: says how a key is answered, and reads who called when."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from celerylab.verify.expect import NotObservedError
from celerylab.verify.stack import Stack

TIMEOUT_SECONDS = 5


@dataclass(frozen=True)
class Behaviour:
    """How a key is answered: with `status`, `times` times (None: always) and 200 after that, each time after `delay` seconds."""

    status: int = 200
    times: int | None = None
    delay: float = 0


@dataclass(frozen=True)
class Call:
    """One call that arrived at the stub, at `time` seconds since the epoch by the stub's clock."""

    key: str
    method: str
    path: str
    status: int
    time: float


class HttpStub:
    """The control API of a stack's stub, through the gateway's endpoint `stub`, with the stack's secret `stub_token`."""

    def __init__(self, stack: Stack) -> None:
        self._url = f"http://{stack.endpoint('stub')}/_control"
        self._headers = {"Authorization": f"Bearer {stack.secrets['stub_token']}"}

    def behave(self, keys: Iterable[str], behaviour: Behaviour) -> None:
        """From now on each of `keys` is answered so. Raises NotObservedError where the stub does not take it."""
        wanted = {key: {"status": behaviour.status, "times": behaviour.times, "delay": behaviour.delay} for key in keys}
        self._ask("PUT", "/behaviours", json.dumps(wanted).encode())

    def heal(self, keys: Iterable[str]) -> None:
        """From now on each of `keys` is answered 200."""
        self._ask("PUT", "/behaviours", json.dumps(dict.fromkeys(keys)).encode())

    def calls(self, prefix: str) -> dict[str, list[Call]]:
        """Calls whose key begins with `prefix`, by key, each key's in the order of their arrival. Raises NotObservedError."""
        found: dict[str, list[Call]] = {}
        for call in json.loads(self._ask("GET", f"/calls?prefix={prefix}")):
            found.setdefault(call["key"], []).append(Call(**call))
        return found

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(self._url + path, body, self._headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                return answer.read()
        except (urllib.error.URLError, OSError) as error:
            raise NotObservedError(f"the HTTP stub does not answer: {error}") from None
