"""Prometheus as a check asks it: one number for a query, at this moment."""

from celerylab.errors import EngineError
from celerylab.prometheus import ask_prometheus
from celerylab.verify.expect import NotObservedError
from celerylab.verify.stack import Stack

TIMEOUT_SECONDS = 5


class Prometheus:
    """The stack's Prometheus, through the gateway's endpoint `prometheus`."""

    def __init__(self, stack: Stack) -> None:
        self._url = f"http://{stack.endpoint('prometheus')}"

    def value(self, query: str) -> float | None:
        """What `query` gives now, of its first series; None where there is no series.

        Raises NotObservedError where Prometheus does not answer, or does not understand the query.
        """
        try:
            found = ask_prometheus(self._url, "query", {"query": query}, TIMEOUT_SECONDS)["result"]
        except EngineError as error:
            raise NotObservedError(f"Prometheus does not answer `{query}`: {error}") from None
        return float(found[0]["value"][1]) if found else None
