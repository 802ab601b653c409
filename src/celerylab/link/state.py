"""What a running link says of itself."""

import json
from typing import Any

from celerylab.errors import EngineError
from celerylab.providers.engine import engine, engine_errors

PROGRAM = "/usr/local/lib/link.py"  # router.py in the link's container


def link_state(container: str) -> dict[str, dict[str, Any]]:
    """How each direction of a link is at present, such as `eu>us`: `seconds`, `bits`, `lost`, and the `packets` that it has carried.

    Raises EngineError where it does not say so.
    """
    with engine_errors("asking the link"):
        code, said = engine().containers.get(container).exec_run(["python3", PROGRAM, "show"])
    if code != 0:
        raise EngineError(f"the link does not say how it is: {said.decode().strip()[-200:]}")
    found: dict[str, dict[str, Any]] = json.loads(said)
    return found
