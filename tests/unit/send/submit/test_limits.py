"""How much: never more than the rate in any window, and when to come back."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from posthouse.send.submit.limits import SLICES, Rate, Rates


def test_fifty_in_a_second_and_not_one_more() -> None:
    rates = Rates([Rate(50, 1.0)])
    assert all(rates.refusal("alice", 100.0 + n / 1000) is None for n in range(50))
    refused = rates.refusal("alice", 100.06)
    assert refused is not None
    assert 0.9 < refused.wait <= 1.0 + 2 / SLICES
    assert rates.refusal("bob", 100.06) is None
    assert rates.refusal("alice", 100.06 + refused.wait) is None


def test_the_longest_wait_is_told() -> None:
    rates = Rates([Rate(2, 1.0), Rate(2, 3600.0)])
    assert [rates.refusal("a", 0.0), rates.refusal("a", 0.1)] == [None, None]
    refused = rates.refusal("a", 0.2)
    assert refused is not None
    assert (refused.rate.seconds, 3500 < refused.wait < 3800) == (3600.0, True)


def test_zero_is_no_limit() -> None:
    rates = Rates([Rate(0, 1.0), Rate(0, 3600.0)])
    assert all(rates.refusal("a", 0.0) is None for _ in range(1000))
    assert len(rates) == 0


def test_what_is_refused_is_not_counted() -> None:
    rates = Rates([Rate(1, 1.0)])
    assert rates.refusal("a", 0.0) is None
    for step in range(1, 20):
        assert rates.refusal("a", step * 0.05) is not None
    assert rates.refusal("a", 1.06) is None


def test_memory_is_bounded_and_the_unseen_go_first() -> None:
    rates = Rates([Rate(1, 1e9)], keys=3)
    for key in ("a", "b", "c"):
        rates.count(key, 0.0)
    rates.count("a", 1.0)
    rates.count("d", 2.0)
    assert len(rates) == 3
    assert rates.blocked("b", 2.0) is None  # forgotten
    assert rates.blocked("a", 2.0) is not None


@given(
    st.integers(1, 5),
    st.floats(0.5, 100.0),
    st.lists(st.floats(0.0, 30.0), min_size=1, max_size=80),
)
def test_never_more_than_the_rate_in_any_window(
    most: int, seconds: float, steps: list[float]
) -> None:
    rates = Rates([Rate(most, seconds)])
    now, taken = 0.0, []
    for step in steps:
        now += step
        refused = rates.refusal("x", now)
        if refused is None:
            taken.append(now)
        else:
            # Told to wait for so long: then it is true.
            later = deepcopy(rates)
            assert later.blocked("x", now + refused.wait + 1e-6) is None
            assert refused.wait <= seconds * (1 + 2 / SLICES)
    for first, at in enumerate(taken):
        assert sum(at <= other < at + seconds for other in taken[first:]) <= most
