"""Capacity over processes: not one too many, whatever they do at once, and whoever dies."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import sqlite3
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.forked import Forked
from fakes.queue import items_in
from posthouse.daemon.common import Common
from posthouse.letter import QueueFull, Settled
from posthouse.send import shared
from posthouse.send.queue.files import LaneError, counted, file_of, lanes_in
from posthouse.send.queue.ids import LANES, number_of
from posthouse.send.queue.lane import Lane
from posthouse.send.queue.places import Places
from posthouse.send.shared import Shared
from unit.send.test_lane import letter, outcome

PROCESSES = 4


def test_the_last_place_is_taken_once() -> None:
    places = Places()
    assert [places.take(lane, 3) for lane in (0, 1, 63, 2)] == [True, True, True, False]
    places.add(1, -1)
    assert places.take(2, 3)
    assert (places.taken, places.of(1), places.of(2)) == (3, 0, 1)


@given(
    st.integers(0, 20),
    st.lists(
        st.tuples(st.integers(0, LANES - 1), st.sampled_from(["take", "give", "report", "count"]))
    ),
)
def test_it_is_a_sum_with_a_bound(capacity: int, steps: list[tuple[int, str]]) -> None:
    places, model = Places(), [0] * LANES
    for lane, step in steps:
        if step == "take":
            assert places.take(lane, capacity) == (sum(model) < capacity)
            model[lane] += sum(model) < capacity
        elif step == "give" and model[lane]:
            places.add(lane, -1)
            model[lane] -= 1
        elif step == "report":  # a report needs no place
            places.add(lane, 1)
            model[lane] += 1
        elif step == "count":
            model[lane] = len(steps) % 7
            places.put(lane, model[lane])
    assert places.taken == sum(model)


def hammer(places: Places, lane: int, capacity: int) -> int:
    """Take and give back, at last take all there is; 1 where there ever were too many."""
    rng = random.Random(lane)
    for _ in range(2_000):
        if places.take(lane, capacity):
            if places.taken > capacity:
                return 1
            places.add(lane, -(rng.random() < 0.9))
    while places.taken < capacity:
        places.take(lane, capacity)
    return 0


def test_many_processes_take_exactly_the_capacity() -> None:
    capacity, places, forked = 20_000, Places(forks=True), Forked()
    for lane in range(PROCESSES):
        forked.start(lambda lane=lane: hammer(places, lane, capacity))
    assert forked.results() == [0] * PROCESSES
    assert places.taken == capacity
    assert len([lane for lane in range(PROCESSES) if places.of(lane)]) > 1  # at the same time


def test_who_dies_in_its_turn_keeps_nobody_waiting() -> None:
    places, forked = Places(forks=True), Forked()

    def die() -> int:
        places._shared.take()
        places.add(1, 1)
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    forked.start(die)
    assert forked.results() == [-signal.SIGKILL]
    assert places.take(0, 2)
    assert not places.take(0, 2)  # what it took counts until its lane is counted again
    places.put(1, 0)
    assert places.take(0, 2)


def test_killed_again_and_again_it_never_takes_too_many() -> None:
    capacity, places, forked = 10, Places(forks=True), Forked()

    def work(lane: int) -> int:
        while True:
            if places.take(lane, capacity):
                assert places.taken <= capacity
                places.add(lane, -1)

    for _ in range(30):
        pids = [forked.start(lambda lane=lane: work(lane)) for lane in range(3)]
        time.sleep(0.01)
        for pid in pids:
            forked.kill(pid)  # an assertion that failed would have ended it before
        for lane in range(3):
            assert places.of(lane) in (0, 1)
            places.put(lane, 0)  # as its next owner counts
        assert places.take(9, capacity)
        places.add(9, -1)


def test_who_is_stopped_in_its_turn_makes_the_others_refuse_and_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "TRIES", 20)
    places, forked = Places(forks=True), Forked()

    def stand_still() -> int:
        places._shared.take()
        os.kill(os.getpid(), signal.SIGSTOP)
        places._shared.give()
        return 0

    pid = forked.start(stand_still)
    os.waitpid(pid, os.WUNTRACED)
    began = time.monotonic()
    assert not places.take(0, 10)
    assert time.monotonic() - began < 1.0
    assert places.taken == 0
    os.kill(pid, signal.SIGCONT)
    assert forked.results() == [0]
    assert places.take(0, 10)


def test_parts_have_turns_of_their_own() -> None:
    both, forked = Shared(8, forks=True), Forked()
    assert both.take(1)
    forked.start(lambda: 10 * both.take(2) + both.take(2))  # one's own turn is no obstacle
    assert forked.results() == [11]
    both.give(1)


# Lanes


async def test_two_lanes_hold_the_capacity_together(tmp_path: Path) -> None:
    places = Places()
    lanes = [Lane(file_of(tmp_path, n), n, capacity=3, places=places) for n in range(2)]
    file_of(tmp_path, 0).parent.mkdir()
    for lane in lanes:
        await lane.open()
    first = (await lanes[0].put(letter(1)))[0]
    await lanes[1].put(letter(2))
    await lanes[1].put(letter(3))
    for n, lane in enumerate(lanes):
        with pytest.raises(QueueFull, match="3 messages"):
            await lane.put(letter(4 + n))
    await lanes[0].settle([Settled(first, outcome("bob@e.example"))], [])
    await lanes[1].put(letter(6))
    assert [lane.count for lane in lanes] == [0, 3]
    for lane in lanes:
        await lane.close()
    assert {n: counted(path) for n, path in lanes_in(tmp_path).items()} == {0: 0, 1: 3}


async def test_what_the_command_deletes_makes_room_also_while_outcomes_are_under_way(
    tmp_path: Path,
) -> None:
    """Counted while letters go: none is taken off twice."""
    lane = Lane(tmp_path / "lane.db", capacity=100)
    await lane.open()
    items = [(await lane.put(letter(n)))[0] for n in range(1, 61)]
    other = sqlite3.connect(tmp_path / "lane.db", isolation_level=None)
    for n in range(0, 40, 2):
        going = lane.settle([Settled(items[n], outcome("bob@e.example"))], [])
        coming = lane.put(letter(100 + n))
        await asyncio.sleep(n / 40 * 0.02)  # before, while and after it is written
        gone = (number_of(items[n + 1].letter),)
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM recipients WHERE letter = ?", gone)
        other.execute("DELETE FROM letters WHERE id = ?", gone)
        other.execute("UPDATE changes SET n = n + 1")
        other.execute("COMMIT")
        await items_in(lane)
        await asyncio.gather(going, coming)
        assert lane.count == counted(tmp_path / "lane.db")
    other.close()
    await lane.close()


def test_only_lanes_are_found(tmp_path: Path) -> None:
    (tmp_path / "queue").mkdir()
    for name in ("lane-10", "lane-2", "lane-x", "lane-64", "lane-²", "other"):
        (tmp_path / "queue" / f"{name}.sqlite").write_bytes(b"x" * 4096)
    assert list(lanes_in(tmp_path)) == [2, 10]
    with pytest.raises(LaneError, match="damaged"):
        counted(file_of(tmp_path, 2))
    Common().begin(tmp_path)  # a lane that can't be read is none of its business


def test_memory_that_nobody_has_any_more_leaves_no_file_open() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Shared(64, forks=True)
        gc.collect()
    assert [str(one.message) for one in told] == []
