"""How much: never more than the rate in any window, and when to come back."""

from __future__ import annotations

import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.forked import Forked
from posthouse.send import shared
from posthouse.send.submit.limits import SLICES, Ledger, Rate, Rates


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
            assert rates.blocked("x", now + refused.wait + 1e-6) is None
            assert refused.wait <= seconds * (1 + 2 / SLICES)
    for first, at in enumerate(taken):
        assert sum(at <= other < at + seconds for other in taken[first:]) <= most


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0.0, 0.5)), max_size=60))
def test_keys_do_not_touch_each_other(steps: list[tuple[str, float]]) -> None:
    """Six keys in one bucket count as six ledgers of their own."""
    rates = [Rate(3, 1.0), Rate(0, 2.0), Rate(9, 10.0)]
    together, alone = Rates(rates, keys=8), {key: Rates(rates, keys=8) for key in "abcdef"}
    now = 0.0
    for key, step in steps:
        now += step
        assert together.refusal(key, now) == alone[key].refusal(key, now)


def test_a_rate_that_comes_back_in_the_configuration_has_its_window_still() -> None:
    ledger = Ledger(2)
    assert Rates([Rate(5, 1.0), Rate(1, 3600.0)], ledger=ledger).refusal("a", 10.0) is None
    assert Rates([Rate(5, 1.0), Rate(0, 3600.0)], ledger=ledger).refusal("a", 10.1) is None
    assert Rates([Rate(5, 1.0), Rate(1, 3600.0)], ledger=ledger).refusal("a", 10.2) is not None


# Over processes


def test_many_processes_let_exactly_the_rate_through() -> None:
    """Several users at once, some in one bucket; what is taken is written down by who took it."""
    most, users = 2_000, [f"user{n}" for n in range(12)]
    rates = Rates([Rate(most, 3600.0)], ledger=Ledger(1, 16, forks=True))
    receive, send = os.pipe()
    os.set_blocking(receive, False)
    forked = Forked()

    def work() -> int:
        taken = 0
        for _ in range(most):
            for user in users[:3]:
                taken += rates.refusal(user, 1.0) is None
        os.write(send, f"{taken}\n".encode())
        return 0

    for _ in range(3):
        forked.start(work)
    assert forked.results() == [0, 0, 0]
    taken = [int(line) for line in os.read(receive, 1_000).split()]
    os.close(receive)
    os.close(send)
    assert sum(taken) == 3 * most
    assert all(rates.blocked(user, 2.0) for user in users[:3])
    assert not any(rates.blocked(user, 2.0) for user in users[3:])


def test_a_worker_that_dies_in_its_turn_leaves_a_ledger_that_works() -> None:
    rates, forked = Rates([Rate(3, 3600.0)], ledger=Ledger(1, 8, forks=True)), Forked()

    def work() -> int:
        while True:
            rates.count("a", 1.0)
            rates.forget("a")

    for _ in range(20):
        pid = forked.start(work)
        time.sleep(0.005)
        forked.kill(pid)
        rates.forget("a")
        assert [rates.refusal("a", 2.0) is None for _ in range(4)] == [True, True, True, False]
        rates.forget("a")


def test_a_worker_that_is_stopped_in_its_turn_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "TRIES", 5)
    ledger, forked = Ledger(1, 8, forks=True), Forked()
    rates = Rates([Rate(2, 3600.0)], ledger=ledger)

    def work() -> int:
        ledger.shared.take(0)
        os.kill(os.getpid(), signal.SIGSTOP)
        return 0

    pid = forked.start(work)
    os.waitpid(pid, os.WUNTRACED)
    assert [rates.refusal("a", 1.0) is None for _ in range(3)] == [True, True, False]
    forked.kill(pid)
