"""What a fault of a link runs in the network of one host: packets to a peer are lost, or arrive late. It is sent there by `link_faults`, alone.

    python3 carrier.py ADDRESS                 lost
    python3 carrier.py ADDRESS SECONDS MAC     late

Packets to the peer are addressed, on the second layer, to nobody. A packet socket sees them leave and sends each again, to the peer's own MAC,
when its time has come. `ready` on standard output says that it is so. When standard input ends, also because whoever held it was killed, the link
is as it was.
"""

import select
import socket
import subprocess
import sys
import time
from collections import deque

NOBODY = "02:00:00:00:00:01"  # an address of the second layer that no host has
_HEADER = (
    10  # struct virtio_net_hdr before each frame: what the kernel leaves to the card, checksums and cutting into segments, stays with it
)
_BUFFER = 32 * 2**20  # bytes; the kernel's default loses packets of a full window
# Of linux/if_packet.h, linux/if_ether.h and asm/socket.h; Python has no names for them.
_SOL_PACKET, _PACKET_VNET_HDR, _ETH_P_ALL, _SO_RCVBUFFORCE = 263, 15, 3, 33


def ip(*arguments: str) -> str:
    """What the command `ip` answers."""
    return subprocess.run(["ip", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def open_link(device: str) -> socket.socket:
    """A socket that sees every frame of `device`, those that leave it as well."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    link.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    link.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    link.bind((device, _ETH_P_ALL))
    return link


def carry(link: socket.socket, address: bytes, seconds: float, mac: bytes) -> None:
    """Sends what goes to nobody and to `address` on to `mac`, `seconds` late, until standard input ends."""
    nobody = bytes.fromhex(NOBODY.replace(":", ""))
    waiting: deque[tuple[float, bytes]] = deque()
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready = select.select([link, sys.stdin], [], [], pause)[0]
        if sys.stdin in ready:
            return  # what still waits is lost, and TCP sends it again
        if link in ready:
            frame = link.recv(2**17)
            # After the header: destination (6 bytes), source (6), type (2), and the IPv4 packet with its destination at byte 16.
            if frame[_HEADER : _HEADER + 6] == nobody and frame[_HEADER + 30 : _HEADER + 34] == address:
                waiting.append((time.monotonic() + seconds, frame[:_HEADER] + mac + frame[_HEADER + 6 :]))
        while waiting and waiting[0][0] <= time.monotonic():
            link.send(waiting.popleft()[1])


def main(address: str, seconds: str = "", mac: str = "") -> None:
    """Disturbs the link to `address` until standard input ends."""
    device = ip("-o", "route", "get", address).split()[2]
    if NOBODY in ip("neigh", "show", address, "dev", device):
        sys.exit("another fault is at work on this link")
    link = open_link(device) if seconds else None
    ip("neigh", "replace", address, "lladdr", NOBODY, "nud", "permanent", "dev", device)
    try:
        print("ready", flush=True)  # noqa: T201 (whoever started this waits for it)
        if link is None:
            sys.stdin.read()
        else:
            carry(link, socket.inet_aton(address), float(seconds), bytes.fromhex(mac.replace(":", "")))
    finally:
        ip("neigh", "del", address, "dev", device)


if __name__ == "__main__":
    main(*sys.argv[1:])
