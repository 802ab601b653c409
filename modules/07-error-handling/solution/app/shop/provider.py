"""Client of the payment provider. It charges a customer's card for an order, over HTTP."""

import json
import os
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 5
TRY_LATER = {408, 425, 429, 500, 502, 503, 504}  # what the provider says when the same request may work in a moment


class ProviderError(Exception):
    """The provider did not charge. The message says for which order, and why."""


class Unavailable(ProviderError):
    """The provider cannot answer now. The same request may work later."""


class Refused(ProviderError):
    """The provider understood and said no. The same request will never work."""


def charge(order_id, cents):
    """Charge `cents` for an order. Returns what the provider answered; raises Unavailable or Refused."""
    url = f"{os.environ['LAB_STUB_URL']}/v1/charges/{order_id}"
    body = json.dumps({"order_id": order_id, "cents": cents}).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        kind = Unavailable if error.code in TRY_LATER else Refused
        raise kind(f"order {order_id}: the provider answered {error.code}") from error
    except OSError as error:  # no connection, or no answer in time
        raise Unavailable(f"order {order_id}: the provider cannot be reached: {error}") from error
