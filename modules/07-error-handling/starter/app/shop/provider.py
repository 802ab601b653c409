"""Client of the payment provider. It charges a customer's card for an order, over HTTP."""

import json
import os
import urllib.request

TIMEOUT_SECONDS = 5


def charge(order_id, cents):
    """Charge `cents` for an order. Returns what the provider answered."""
    url = f"{os.environ['LAB_STUB_URL']}/v1/charges/{order_id}"
    body = json.dumps({"order_id": order_id, "cents": cents}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=TIMEOUT_SECONDS) as answer:
        return json.load(answer)
