"""Connections of an address: of all workers, never too few, and none of a worker that is gone."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.forked import Forked
from posthouse.send.crowd import WORKERS, Crowd, gone, memory


def test_all_workers_count_together_and_not_those_of_one_that_is_gone() -> None:
    shared = memory(forks=True)
    here, forked = Crowd(0, shared), Forked()

    def work() -> int:
        other = Crowd(WORKERS - 1, shared)
        return max(other.arrived("192.0.2.1") for _ in range(30))

    assert [here.arrived("192.0.2.1") for _ in range(3)] == [1, 2, 3]
    forked.start(work)
    assert forked.results() == [33]
    assert (
        here.arrived("192.0.2.1") == 34
    )  # they are still counted, until the supervisor says it is gone
    gone(shared, WORKERS - 1)
    assert here.arrived("192.0.2.1") == 5
    assert here.arrived("192.0.2.2") == 1


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30), st.booleans()), max_size=80))
def test_what_comes_goes_and_is_never_too_few(steps: list[tuple[int, int, bool]]) -> None:
    shared = memory()
    workers, there = [Crowd(n, shared) for n in range(4)], Counter[tuple[int, str]]()
    for worker, number, comes in steps:
        client = f"192.0.2.{number}"
        if comes:
            there[worker, client] += 1
            least = sum(count for (_, name), count in there.items() if name == client)
            assert workers[worker].arrived(client) >= least
        elif there[worker, client]:
            there[worker, client] -= 1
            workers[worker].left(client)
    for (worker, client), count in there.items():
        assert workers[worker].here.get(client, 0) == count
        for _ in range(count):
            workers[worker].left(client)
    assert not any(one.here for one in workers)
    assert bytes(shared.memory).count(0) == len(shared.memory)
