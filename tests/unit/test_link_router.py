"""The program of the link: what it writes into packets, and whose changes hold."""

import struct

import pytest

from celerylab.link.router import Link, rewrite

HERE, THERE = 0x0A000104, 0x0A000205  # 10.0.1.4, 10.0.2.5
TCP, UDP, ICMP = 6, 17, 1


def total(data: bytes) -> int:
    """The Internet checksum's sum, not complemented; 0xFFFF over data that has the right checksum in it."""
    padded = data + b"\0" * (len(data) % 2)
    found = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while found > 0xFFFF:
        found = (found & 0xFFFF) + (found >> 16)
    return found


def pseudo(packet: bytes) -> bytes:
    return packet[12:20] + struct.pack("!BBH", 0, packet[9], len(packet) - 20)


def frame(protocol: int, *, partial: bool = False, fragment: int = 0, checksum: bool = True) -> bytearray:
    """A packet of 10.0.1.4 to 10.0.1.5 as a packet socket gives it, with right checksums; `partial` leaves the payload's to the card."""
    at = {TCP: 16, UDP: 6, ICMP: 2}[protocol]
    payload = bytearray(b"\x12\x34\x56\x78" * 6 + b"odd")
    payload[at : at + 2] = b"\0\0"
    header = bytearray(struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(payload), 7, fragment, 64, protocol, 0, HERE, HERE + 1))
    header[10:12] = struct.pack("!H", ~total(header) & 0xFFFF)
    if checksum and not fragment:
        before = pseudo(bytes(header + payload)) if protocol != ICMP else b""
        value = total(before) if partial else ~total(before + payload) & 0xFFFF
        payload[at : at + 2] = struct.pack("!H", value)
    return bytearray(struct.pack("<BBHHHH", int(partial), 0, 0, 0, 34, at) + b"\x02" * 12 + b"\x08\x00" + header + payload)


@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_both_addresses_are_rewritten_and_checksums_are_right(protocol: int) -> None:
    sent = frame(protocol)
    assert total(bytes(pseudo(sent[24:]) + sent[44:])) == 0xFFFF  # the test's own sum
    rewrite(sent, THERE - 1, THERE)
    packet = bytes(sent[24:])
    assert struct.unpack("!II", packet[12:20]) == (THERE - 1, THERE)
    assert total(packet[:20]) == 0xFFFF
    assert total(pseudo(packet) + packet[20:]) == 0xFFFF


def test_a_checksum_that_the_kernel_still_completes_is_the_sum_of_the_new_pseudo_header() -> None:
    sent = frame(TCP, partial=True)
    rewrite(sent, THERE - 1, THERE)
    packet = bytes(sent[24:])
    assert struct.unpack_from("!H", packet, 36)[0] == total(pseudo(packet))
    assert total(packet[:20]) == 0xFFFF


@pytest.mark.parametrize("sent", [frame(ICMP), frame(TCP, fragment=100), frame(UDP, checksum=False)], ids=["icmp", "fragment", "none"])
def test_what_has_no_checksum_over_addresses_keeps_its_payload(sent: bytearray) -> None:
    before = bytes(sent[44:])
    rewrite(sent, THERE - 1, THERE)
    assert bytes(sent[44:]) == before
    assert total(bytes(sent[24:44])) == 0xFFFF


class Place:
    """A site without a network."""

    def __init__(self, name: str) -> None:
        self.name = name


@pytest.fixture
def link() -> Link:
    return Link([Place("eu"), Place("us")], 0.04)  # type: ignore[list-item]


def test_a_change_holds_until_its_holder_lets_go(link: Link) -> None:
    link.change(1, {"eu>us": {"lost": True}})
    link.change(2, {"us>eu": {"seconds": 0.2, "bits": 8000}})
    assert (link.ways["eu>us"].lost, link.ways["us>eu"].seconds) == (True, 0.2)
    link.release(1)
    assert (link.ways["eu>us"].lost, link.ways["eu>us"].seconds, link.ways["us>eu"].bits) == (False, 0.04, 8000)
    link.release(2)
    assert link.ways == link.usual


@pytest.mark.parametrize(
    ("wanted", "said"),
    [({"eu>ap": {"lost": True}}, "there is no way eu>ap; there are eu>us, us>eu"), ({"eu>us": {"lost": True}}, "another fault is at work")],
)
def test_a_change_that_cannot_be_is_refused_and_changes_nothing(link: Link, wanted: dict[str, dict[str, object]], said: str) -> None:
    link.change(1, {"eu>us": {"seconds": 1.0}})
    with pytest.raises(ValueError, match=said):
        link.change(2, {"us>eu": {"lost": True}, **wanted})
    assert link.ways["us>eu"] == link.usual["us>eu"]
