"""Amounts of memory and disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celerylab.topology.units import format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "amount"), [("384MiB", 384 * 2**20), ("1.5GiB", 3 * 2**29), ("10 KiB", 10240), ("7", 7), (4096, 4096), ("2TiB", 2**41)]
)
def test_amounts_are_read(text: str | int, amount: int) -> None:
    assert parse_bytes(text) == amount


@pytest.mark.parametrize("text", ["384MB", "much", "", "-1GiB", True, None, 1.5])
def test_anything_else_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="write an amount such as 384MiB"):
        parse_bytes(text)


@given(st.integers(min_value=0, max_value=2**50))
def test_a_printed_amount_is_within_half_a_percent(amount: int) -> None:
    assert parse_bytes(format_bytes(amount).removesuffix(" B")) == pytest.approx(amount, rel=0.005)
