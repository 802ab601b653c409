"""Reads the ledger through the gateway, and notices what never arrived."""

import json
import urllib.error
import urllib.request
from collections import defaultdict
from typing import Any

from celerylab.verify.expect import NotObservedError
from celerylab.verify.stack import Stack

TIMEOUT_SECONDS = 5
QUESTIONS = 3  # a ledger that tasks keep busy may answer too late, once and twice


class LedgerReader:
    """Entries that tasks recorded on this stack."""

    def __init__(self, stack: Stack) -> None:
        self._url = f"http://{stack.endpoint('ledger')}/entries"
        self._headers = {"Authorization": f"Bearer {stack.secrets['ledger_token']}"}

    def entries(self, key: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
        """Entries in the order of their arrival, of one key and one kind where given.

        Raises NotObservedError where the ledger does not answer, or where a stream has a gap: something was lost, so nothing can be counted.
        """
        entries = self._ask()
        lost = gaps(entries)
        if lost:
            raise NotObservedError(f"the ledger has gaps: {', '.join(f'{client} lacks {missing}' for client, missing in lost.items())}")
        return [entry for entry in entries if (key is None or entry["key"] == key) and (kind is None or entry["kind"] == kind)]

    def _ask(self, questions: int = QUESTIONS) -> list[dict[str, Any]]:
        try:
            with urllib.request.urlopen(urllib.request.Request(self._url, headers=self._headers), timeout=TIMEOUT_SECONDS) as answer:
                entries: list[dict[str, Any]] = json.load(answer)
        except (urllib.error.URLError, OSError, ValueError) as error:
            late = isinstance(getattr(error, "reason", error), TimeoutError)
            if late and questions > 1:
                return self._ask(questions - 1)
            raise NotObservedError(f"the ledger does not answer: {error}") from None
        return entries


def gaps(entries: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Numbers that each client must have written and that are not among `entries`."""
    seen: dict[str, set[int]] = defaultdict(set)
    for entry in entries:
        seen[entry["client"]].add(entry["seq"])
    missing = {client: sorted(set(range(1, max(numbers) + 1)) - numbers) for client, numbers in seen.items()}
    return {client: numbers for client, numbers in missing.items() if numbers}
