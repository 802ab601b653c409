"""The link between the networks of two or more sites: the only way from one to another. It runs in a container that is on all of them.

    python3 router.py serve CONFIGURATION      carries, until it is ended
    python3 router.py change CHANGES           changes the link until standard input ends; `ready` on standard output says that it is so
    python3 router.py show                     what it does at present, as JSON

CONFIGURATION is JSON: {"seconds": 0.04, "sites": {"eu": {"address": "10.0.0.4/25", "hosts": [10, 11]}, "us": {...}}}. `address` is this
container's own in the site's network, `hosts` are its hosts' addresses, counted from the network's. No two sites have one in common, so a host of
another site has an address in each network: the link answers for it there, and writes the one address into the other. Both ends see each
other and no proxy, and TCP is theirs.

CHANGES is JSON: {"eu>us": {"lost": true}, "us>eu": {"seconds": 0.2, "bits": 1000000}}: packets of a direction are lost, take so long,
or so many bits pass in a second. It needs CAP_NET_RAW, and Python alone.
"""

import contextlib
import fcntl
import heapq
import itertools
import json
import select
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

CONTROL = Path("/run/link.sock")
BELIEVED_SECONDS = 10.0  # after which we ask again who has an address
QUEUE_SECONDS = 2.0  # what would wait longer behind a narrow link is lost
_HEADER = 10  # struct virtio_net_hdr before each frame: checksums and cutting into segments stay with the kernel
_NEEDS_CHECKSUM = 1  # its flag: the checksum field holds the sum of the pseudo header alone
_ETHERNET = 14
_ARP, _IPV4 = b"\x08\x06", b"\x08\x00"
_TCP, _UDP = 6, 17
_CHECKSUM_AT = {_TCP: 16, _UDP: 6}
# Of linux/if_packet.h and linux/if_ether.h; Python has no names for them.
_SOL_PACKET, _PACKET_VNET_HDR, _ETH_P_ALL, _OUTGOING = 263, 15, 3, 4
_BUFFER = 16 * 2**20  # bytes


@dataclass(frozen=True)
class Way:
    """How one direction is: all packets `lost`, or each takes `seconds`, and `bits` pass in one (0 for as many as come)."""

    seconds: float = 0.0
    bits: float = 0.0
    lost: bool = False


class Site:
    """One network that the link is on."""

    def __init__(self, name: str, address: str, hosts: list[int]) -> None:
        own, _, prefix = address.partition("/")
        self.name, self.hosts = name, frozenset(hosts)
        self.address = int.from_bytes(socket.inet_aton(own), "big")
        self.base = self.address & ~(2 ** (32 - int(prefix)) - 1)
        self.device = _device_of(own)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self.socket.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        self.socket.bind((self.device, _ETH_P_ALL))
        self.socket.setblocking(False)
        self.mac = self.socket.getsockname()[4]
        self.neighbours: dict[int, tuple[bytes, float]] = {}  # MAC of each address, and until when we believe it without asking
        self.waiting: dict[int, list[bytes]] = {}  # frames for a host whose MAC we have asked for

    def ask(self, address: int) -> None:
        """Asks the network who has `address`."""
        self._arp(1, b"\xff" * 6, b"\x00" * 6, address, self.address)

    def answer(self, mac: bytes, asker: int, address: int) -> None:
        """Tells `asker` that packets for `address` come to us."""
        self._arp(2, mac, mac, asker, address)

    def _arp(self, what: int, to: bytes, target_mac: bytes, target: int, sender: int) -> None:
        body = struct.pack("!HHBBH6sI6sI", 1, 0x0800, 6, 4, what, self.mac, sender, target_mac, target)
        self.socket.send(bytes(_HEADER) + to + self.mac + _ARP + body)

    def send(self, address: int, frame: bytes) -> None:
        """Sends a frame, whose MACs it fills in, to the host at `address`."""
        mac, until = self.neighbours.get(address, (None, 0.0))
        if until < time.monotonic():
            self.ask(address)  # a host that was made anew may have another MAC
        if mac is None:
            self.waiting.setdefault(address, []).append(frame)
            del self.waiting[address][:-100]
            return
        with contextlib.suppress(OSError):  # a full queue, or a network that is going: lost, as on any link
            self.socket.send(frame[:_HEADER] + mac + self.mac + frame[_HEADER + 12 :])

    def learn(self, address: int, mac: bytes) -> None:
        """Notes who has `address`, and sends what waited for it."""
        self.neighbours[address] = mac, time.monotonic() + BELIEVED_SECONDS
        for frame in self.waiting.pop(address, []):
            self.send(address, frame)


class Link:
    """Carries packets between `sites`. `changes` are those in force, by the connection that asked for them."""

    def __init__(self, sites: list[Site], seconds: float) -> None:
        self.sites = sites
        self.usual = {f"{one.name}>{other.name}": Way(seconds) for one, other in itertools.permutations(sites, 2)}
        self.changes: dict[int, dict[str, Way]] = {}
        self.ways = dict(self.usual)
        self.carried = dict.fromkeys(self.usual, 0)  # packets
        self._free = dict.fromkeys(self.usual, 0.0)  # when a narrow way has passed what it was given
        self._queue: list[tuple[float, int, Site, int, bytes]] = []
        self._number = itertools.count()

    def change(self, holder: int, wanted: dict[str, dict[str, object]]) -> None:
        """Changes directions until `release`. Raises ValueError that says what is wrong."""
        held = {way for changes in self.changes.values() for way in changes}
        found = {}
        for way, fields in wanted.items():
            if way not in self.usual:
                raise ValueError(f"there is no way {way}; there are {', '.join(self.usual)}")
            if way in held:
                raise ValueError(f"another fault is at work on {way}")
            found[way] = replace(self.usual[way], **fields)  # type: ignore[arg-type]
        self.changes[holder] = found
        self._apply()

    def release(self, holder: int) -> None:
        """Takes back what `holder` changed."""
        if self.changes.pop(holder, None):
            self._apply()

    def _apply(self) -> None:
        self.ways = {**self.usual, **{way: value for changes in self.changes.values() for way, value in changes.items()}}

    def state(self) -> dict[str, object]:
        """Every direction, and how many packets it has carried."""
        return {way: {**asdict(value), "packets": self.carried[way]} for way, value in self.ways.items()}

    def pause(self) -> float | None:
        """Seconds until the next packet is due; None where none waits."""
        return max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else None

    def deliver(self) -> None:
        """Sends what is due."""
        while self._queue and self._queue[0][0] <= time.monotonic():
            _, _, site, address, frame = heapq.heappop(self._queue)
            site.send(address, frame)

    def read(self, site: Site) -> None:
        """Takes what has come in `site`."""
        for _ in range(64):
            try:
                frame, source = site.socket.recvfrom(2**17)
            except OSError:  # nothing is left, or the network is going
                return
            if source[2] == _OUTGOING or len(frame) < _HEADER + _ETHERNET + 20:
                continue
            kind = frame[_HEADER + 12 : _HEADER + 14]
            if kind == _ARP:
                self._hear(site, frame[_HEADER + _ETHERNET :])
            elif kind == _IPV4 and frame[_HEADER : _HEADER + 6] == site.mac:
                self._carry(site, bytearray(frame))

    def _hear(self, site: Site, body: bytes) -> None:
        what, mac, sender, _, target = struct.unpack("!6xH6sI6sI", body[:28])
        if sender - site.base in site.hosts:
            site.learn(sender, mac)
        if what == 1 and self._other(site, target - site.base):
            site.answer(mac, sender, target)

    def _other(self, site: Site, number: int) -> Site | None:
        """The other site whose host this is."""
        return next((other for other in self.sites if other is not site and number in other.hosts), None)

    def _carry(self, site: Site, frame: bytearray) -> None:
        source, target = struct.unpack_from("!II", frame, _HEADER + _ETHERNET + 12)
        there = self._other(site, target - site.base)
        if there is None or source - site.base not in site.hosts:
            return
        name = f"{site.name}>{there.name}"
        way, now = self.ways[name], time.monotonic()
        start = max(now, self._free[name]) if way.bits else now
        if way.lost or start - now > QUEUE_SECONDS:
            return
        if way.bits:
            start = self._free[name] = start + 8 * (len(frame) - _HEADER) / way.bits
        address = there.base + target - site.base
        rewrite(frame, there.base + source - site.base, address)
        self.carried[name] += 1
        heapq.heappush(self._queue, (start + way.seconds, next(self._number), there, address, bytes(frame)))


def rewrite(frame: bytearray, source: int, target: int) -> None:
    """Writes both addresses into a frame that begins with virtio_net_hdr, and puts its checksums right."""
    packet = _HEADER + _ETHERNET
    before = frame[packet + 12 : packet + 20]
    struct.pack_into("!II", frame, packet + 12, source, target)
    after = frame[packet + 12 : packet + 20]
    _adjust(frame, packet + 10, before, after)
    offset = _CHECKSUM_AT.get(frame[packet + 9])
    later_fragment = struct.unpack_from("!H", frame, packet + 6)[0] & 0x1FFF
    if offset is None or later_fragment:
        return
    at = packet + 4 * (frame[packet] & 15) + offset
    none = frame[packet + 9] == _UDP and frame[at : at + 2] == b"\x00\x00"
    if not none and at + 2 <= len(frame):
        _adjust(frame, at, before, after, partial=bool(frame[0] & _NEEDS_CHECKSUM))


def _adjust(frame: bytearray, at: int, before: bytes | bytearray, after: bytes | bytearray, partial: bool = False) -> None:
    """The checksum at `at` after `before` became `after` (RFC 1624). A `partial` one is a sum that is not complemented yet."""
    (old,) = struct.unpack_from("!H", frame, at)
    total = old if partial else ~old & 0xFFFF
    total += sum(~word & 0xFFFF for word in struct.unpack("!4H", before)) + sum(struct.unpack("!4H", after))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", frame, at, total if partial else ~total & 0xFFFF)


def _device_of(address: str) -> str:
    """The interface that has `address`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, device in socket.if_nameindex():
            try:
                found = fcntl.ioctl(asking, 0x8915, struct.pack("256s", device.encode()))[20:24]  # SIOCGIFADDR
            except OSError:
                continue
            if found == socket.inet_aton(address):
                return device
    sys.exit(f"no interface has {address}")


def serve(configuration: str) -> None:
    """Carries, and takes changes on a socket of this container."""
    given = json.loads(configuration)
    link = Link([Site(name, **site) for name, site in given["sites"].items()], given["seconds"])
    CONTROL.unlink(missing_ok=True)  # of before the container was started again
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    control.bind(str(CONTROL))
    control.listen()
    held: list[socket.socket] = []
    while True:
        ready = select.select([*(site.socket for site in link.sites), control, *held], [], [], link.pause())[0]
        for site in link.sites:
            if site.socket in ready:
                link.read(site)
        for connection in [found for found in held if found in ready]:
            if not _obey(link, connection):
                link.release(connection.fileno())
                held.remove(connection)
                connection.close()
        if control in ready:
            held.append(control.accept()[0])
        link.deliver()


def _obey(link: Link, connection: socket.socket) -> bool:
    """Does what a line says; whether there may be more."""
    said = connection.recv(2**16).strip()
    if not said:
        return False
    try:
        wanted = json.loads(said)
        if wanted:
            link.change(connection.fileno(), wanted)
        answer = json.dumps(link.state())
    except (ValueError, TypeError) as error:
        answer = f"refused: {error}"
    connection.sendall(answer.encode() + b"\n")
    return True


def ask(changes: str) -> tuple[socket.socket, str]:
    """A connection to the running link that has taken `changes`, which hold until it is closed, and the link's state. Ends the program where
    they are refused."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(str(CONTROL))
    connection.sendall(changes.encode() + b"\n")
    answer = connection.makefile().readline()
    if answer.startswith("refused"):
        sys.exit(answer)
    return connection, answer


def main(command: str, given: str = "{}") -> None:
    """Runs one of the three commands."""
    if command == "serve":
        serve(given)
    connection, state = ask(given)
    if command == "change":
        print("ready", flush=True)  # noqa: T201 (whoever started this waits for it)
        sys.stdin.read()
    else:
        print(state, end="")  # noqa: T201
    connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
