"""Times and sizes: what people write, what they must not, and back."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.send import units

TIMES = {"30s": 30, "1m": 60, "90m": 5_400, "4h": 14_400, "5d": 432_000, "0s": 0, "1.5h": 5_400,
         " 2 H ": 7_200, "0.25s": 0.25}  # fmt: skip
SIZES = {"10M": 10 << 20, "512K": 512 << 10, "1g": 1 << 30, "10 MB": 10 << 20, "52428800": 52428800,
         52428800: 52428800, "0": 0, 0: 0}  # fmt: skip
NO_TIMES = ["", "30", 30, 1.5, True, None, "s", "-1s", "1w", "1h30m", "1e3s", "٣s", "9999999999s"]
NO_SIZES = ["", "M", "-1", -1, True, 1.5, None, "1.5M", "10T", "٣M", "999999999999G", [], "1 2"]


@pytest.mark.parametrize(("text", "seconds"), TIMES.items())
def test_times(text: str, seconds: float) -> None:
    assert units.seconds(text) == seconds


@pytest.mark.parametrize(("text", "octets"), SIZES.items())
def test_sizes(text: object, octets: int) -> None:
    assert units.octets(text) == octets


@pytest.mark.parametrize("value", NO_TIMES)
def test_no_times(value: object) -> None:
    with pytest.raises(ValueError, match="not a time"):
        units.seconds(value)


@pytest.mark.parametrize("value", NO_SIZES)
def test_no_sizes(value: object) -> None:
    with pytest.raises(ValueError, match="not a size"):
        units.octets(value)


@given(st.integers(0, 10_000_000))
def test_a_time_is_read_back_as_it_was_shown(seconds: int) -> None:
    assert units.seconds(units.time_text(float(seconds))) == seconds


@given(st.integers(0, units.MOST_OCTETS))
def test_a_size_is_read_back_as_it_was_shown(octets: int) -> None:
    assert units.octets(units.size_text(octets)) == octets


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_an_error(text: str) -> None:
    for read in (units.seconds, units.octets):
        with suppress(ValueError):
            assert read(text) >= 0
