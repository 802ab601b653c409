"""Addresses of lab networks: a pool of our own, because Docker's default one ends near 31 networks and a cohort is 100 stacks."""

import ipaddress
import os
from collections.abc import Iterator

DEFAULT_POOL = "10.213.0.0/16"
SUBNET_PREFIX = 25  # 126 addresses: 99 hosts of a group, and the fixed ones below
FIRST_HOST = 10  # Docker's bridge takes .1; gateway, ledger and link stand before the hosts
FIXED = {"gateway": 2, "ledger": 3, "link": 4}


def pool() -> ipaddress.IPv4Network:
    """The range that lab networks are cut from: CELERYLAB_POOL, or 10.213.0.0/16. Raises ValueError for what is no private network."""
    network = ipaddress.IPv4Network(os.environ.get("CELERYLAB_POOL") or DEFAULT_POOL)
    if not network.is_private or network.prefixlen > SUBNET_PREFIX:
        raise ValueError(f"CELERYLAB_POOL must be a private network of at least /{SUBNET_PREFIX}, not {network}")
    return network


def subnets(seed: str) -> Iterator[ipaddress.IPv4Network]:
    """Every subnet of the pool once, beginning at a place that `seed` (hexadecimal) decides, so that stacks seldom try the same one."""
    count = 2 ** (SUBNET_PREFIX - pool().prefixlen)
    start = int(seed, 16) % count
    base = int(pool().network_address)
    size = 2 ** (32 - SUBNET_PREFIX)
    for step in range(count):
        yield ipaddress.IPv4Network((base + (start + step) % count * size, SUBNET_PREFIX))


def host_address(subnet: str, position: int) -> str:
    """Address of the host at `position` (from 0, over all hosts of the stack) in `subnet`."""
    return str(ipaddress.IPv4Network(subnet)[FIRST_HOST + position])


def fixed_address(subnet: str, name: str) -> str:
    """Address of the gateway, the ledger or the link in `subnet`."""
    return str(ipaddress.IPv4Network(subnet)[FIXED[name]])
