"""Keeps a program from burning a processor while it waits.

Pulumi's Python SDK (3.215) waits for outstanding outputs in a loop of `asyncio.sleep(0)`: while a host converges, the program takes a whole
processor, which on a machine with two of them doubles the time of what it waits for (measured: 9.9 of 12.8 s of CPU of an `up`). Inside that
one module a pause of two milliseconds replaces the zero.
"""

import asyncio
from typing import Any

from pulumi.runtime import stack

PAUSE_SECONDS = 0.002


class _PatientAsyncio:
    """The module asyncio, except that nobody sleeps for nothing."""

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds or PAUSE_SECONDS)

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


def wait_patiently() -> None:
    """Replaces the SDK's busy waiting by short pauses, in this process."""
    vars(stack)["asyncio"] = _PatientAsyncio()
