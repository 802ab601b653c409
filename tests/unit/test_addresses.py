"""Subnets of the pool, and the addresses in them."""

import ipaddress

import pytest

from celerylab.topology.addresses import fixed_address, host_address, pool, subnets


def test_every_subnet_is_offered_once_and_lies_in_the_pool() -> None:
    offered = list(subnets("0123456789"))
    assert len(offered) == len(set(offered)) == 512
    assert all(subnet.subnet_of(pool()) for subnet in offered)


def test_stacks_begin_at_different_places() -> None:
    assert len({next(subnets(f"{number:010x}")) for number in range(40)}) == 40


def test_ninety_nine_hosts_fit_beside_the_fixed_addresses() -> None:
    subnet = str(next(subnets("0")))
    addresses = [host_address(subnet, position) for position in range(99)] + [fixed_address(subnet, name) for name in ("gateway", "ledger")]
    bridge = str(ipaddress.IPv4Network(subnet)[1])
    assert len({*addresses, bridge}) == 102
    assert all(ipaddress.IPv4Address(address) in list(ipaddress.IPv4Network(subnet).hosts()) for address in addresses)


@pytest.mark.parametrize("text", ["8.8.0.0/16", "10.0.0.0/26"])
def test_a_pool_that_is_public_or_too_small_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CELERYLAB_POOL", text)
    with pytest.raises(ValueError, match="CELERYLAB_POOL must be a private network"):
        pool()
