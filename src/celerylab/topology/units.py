"""Amounts as people write them: `400MiB`, `1.5GiB`."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def parse_bytes(value: Any) -> int:
    """Bytes in `value`: an integer, or a number with KiB, MiB, GiB or TiB. Raises ValueError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]iB)\s*|(\d+)", str(value))
    if match is None:
        raise ValueError("write an amount such as 384MiB or 1.5GiB")
    return int(match[3]) if match[3] else round(float(match[1]) * _UNITS[match[2]])


def format_bytes(amount: int) -> str:
    """`amount` bytes in the largest unit that keeps it above one, such as `1.5 GiB`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if abs(amount) >= _UNITS[unit]:
            shown = amount / _UNITS[unit]
            return f"{shown:.0f} {unit}" if shown >= 100 else f"{shown:.3g} {unit}"
    return f"{amount} B"


Bytes = Annotated[int, BeforeValidator(parse_bytes)]
