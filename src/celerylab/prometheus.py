"""Prometheus' HTTP API, for whoever asks the one of a stack: the dashboard and the suites."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from celerylab.errors import EngineError


def ask_prometheus(prometheus: str, question: str, arguments: Mapping[str, Any], seconds: float = 10) -> dict[str, Any]:
    """The `data` of `GET /api/v1/<question>` at the base URL `prometheus`; no proxy is asked.

    Raises EngineError where Prometheus does not answer within `seconds`, or refuses the query.
    """
    url = f"{prometheus}/api/v1/{question}?{urllib.parse.urlencode(arguments)}"
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=seconds) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
            return data
    except urllib.error.HTTPError as error:
        said = json.loads(error.read() or b"{}").get("error", error.reason)
        raise EngineError(f"Prometheus refuses {arguments.get('query', question)!r}: {said}") from None
    except (OSError, ValueError, KeyError) as error:
        raise EngineError(f"Prometheus at {prometheus} does not answer: {error}") from None
