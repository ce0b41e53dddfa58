"""Names of letters: unique, growing, short, and read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.send.queue.ids import EPOCH, Ids, number_of, text_of

NOW = EPOCH + 90_000_000.0


def test_they_grow_while_the_clock_stands_still_or_goes_back() -> None:
    ids = Ids(3)
    given_ = [ids.next(now) for now in (NOW, NOW, NOW - 10, NOW + 0.001, NOW)]
    assert given_ == sorted(set(given_))


def test_a_full_counter_borrows_the_next_millisecond() -> None:
    ids = Ids(0)
    first = ids.next(NOW)
    numbers = [ids.next(NOW) for _ in range(70_000)]
    assert len(set(numbers)) == 70_000
    assert min(numbers) > first


def test_lanes_never_meet() -> None:
    one, two = Ids(1), Ids(2)
    assert not {one.next(NOW) for _ in range(100)} & {two.next(NOW) for _ in range(100)}


def test_a_restart_goes_on_above_the_last() -> None:
    last = Ids(0).next(NOW)
    assert Ids(0, last).next(NOW) > last


@given(st.integers(-5_000, 5_000), st.integers(0, 63), st.integers(0, 0xFFFF))
def test_what_is_in_another_lane_is_passed_by(seconds: int, lane: int, count: int) -> None:
    other = Ids(lane).next(NOW + seconds) + count
    ids = Ids(7)
    ids.pass_by(other)
    number = ids.next(NOW)
    assert number > other
    assert number >> 16 & 63 == 7


@given(st.integers(1, 2**63 - 1))
def test_text_is_read_back(number: int) -> None:
    assert number_of(text_of(number)) == number


@pytest.mark.parametrize("text", ["", "u", "A" * 14, "../etc", "1 2"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        number_of(text)
