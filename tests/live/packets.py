"""Watches a network interface for IPv4 packets. Needs root, as every capture does."""

import select
import socket
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

_ETH_P_ALL = 3
_ETH_P_IP = 0x0800


@dataclass(frozen=True)
class Packet:
    """One IPv4 packet."""

    source: str
    destination: str
    content: bytes


class Watch:
    """A context manager; `packets` are those that passed `interface`, either way, while it was open."""

    def __init__(self, interface: str) -> None:
        self.packets: list[Packet] = []
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(_ETH_P_ALL))
        self._socket.bind((interface, 0))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        while not self._stop.is_set():
            if not select.select([self._socket], [], [], 0.1)[0]:
                continue
            frame = self._socket.recv(65535)
            if len(frame) < 34 or struct.unpack("!H", frame[12:14])[0] != _ETH_P_IP:
                continue
            self.packets.append(Packet(socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34]), frame[34:]))


def uplink() -> str:
    """The interface that the machine's default route leads through. Skips the test where there is none."""
    for line in Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
        interface, destination, *_ = line.split()
        if destination == "00000000":
            return interface
    pytest.skip("this machine has no default route, so nothing could leave it")
