"""Old events go, and nothing else does, however long it takes and whoever writes meanwhile."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.daemon import pruning
from posthouse.daemon.pruning import Pruning
from posthouse.send.queue import prune as module
from posthouse.send.queue.files import file_of
from posthouse.send.queue.ids import Ids, first_at
from posthouse.send.queue.lane import connect
from posthouse.send.queue.prune import prune

NOW = 1_764_000_000.0
DAY = 86_400.0


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "lane.db")) as made:
        yield made


def add(db: sqlite3.Connection, number: int, *ats: float, waits: bool = False) -> None:
    """A letter's events, and the letter where it still waits."""
    for at in ats:
        db.execute(
            "INSERT INTO events (at, kind, letter, recipient, data) VALUES (?, ?, ?, ?, ?)",
            (at, "deferred", number, "bob@e.example", "{}"),
        )
    if waits:
        row = (number, "a@d.example", ats[0], 1, "", "", "", "{}", b"x")
        db.execute("INSERT INTO letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def left(db: sqlite3.Connection) -> set[int]:
    return {row[0] for row in db.execute("SELECT DISTINCT letter FROM events")}


def total(db: sqlite3.Connection, before: float, *, dry: bool = False) -> tuple[int, int]:
    steps = list(prune(db, before, NOW, dry=dry))
    return sum(step.letters for step in steps), sum(step.events for step in steps)


def test_what_is_old_and_over_goes_and_nothing_else(db: sqlite3.Connection) -> None:
    ids = Ids(0)
    old, long, waiting, young = (ids.next(NOW - days * DAY) for days in (40, 39, 38, 1))
    add(db, old, NOW - 40 * DAY, NOW - 36 * DAY)
    add(db, long, NOW - 39 * DAY, NOW - 29 * DAY)  # its last event is not old yet
    add(db, waiting, NOW - 38 * DAY, waits=True)
    add(db, young, NOW - DAY)
    assert total(db, NOW - 30 * DAY, dry=True) == (1, 2)
    assert left(db) == {old, long, waiting, young}
    assert total(db, NOW - 30 * DAY) == (1, 2)
    assert left(db) == {long, waiting, young}
    assert total(db, NOW - 30 * DAY) == (0, 0)
    assert total(db, NOW) == (2, 3)  # one second ago is old, too, where that is asked for
    assert left(db) == {waiting}


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.lists(st.integers(0, 20), min_size=1), st.booleans()),
        max_size=30,
    ),
    st.integers(0, 60),
    st.integers(1, 5),
)
def test_every_letter_is_judged_by_itself(
    letters: list[tuple[int, list[int], bool]], keep: int, most: int
) -> None:
    before, kept, gone = NOW - keep * DAY, set(), [0, 0]
    with (
        pytest.MonkeyPatch.context() as patch,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as db,
    ):
        schema = Path(module.__file__).with_name("schema.sql").read_text("utf-8")
        db.executescript(schema)
        patch.setattr(module, "LETTERS", most)
        patch.setattr(module, "EVENTS", most)
        ids = Ids(0)
        for days, later, waits in sorted(letters, reverse=True):
            number, begun = ids.next(NOW - days * DAY), NOW - days * DAY
            ats = [min(NOW, begun + hours * DAY / 2) for hours in later]
            add(db, number, *ats, waits=waits)
            if waits or max(ats) >= before:
                kept.add(number)
            elif number < first_at(before):
                gone = [gone[0] + 1, gone[1] + len(ats)]
        assert total(db, before, dry=True) == tuple(gone)
        assert total(db, before) == tuple(gone)
        assert left(db) == kept


def test_after_a_clock_that_ran_ahead_all_is_looked_at(db: sqlite3.Connection) -> None:
    ids = Ids(0)
    ahead = ids.next(NOW + 400 * DAY)
    add(db, ahead, NOW + 400 * DAY)
    later = ids.next(NOW - 50 * DAY)  # numbers never go back
    add(db, later, NOW - 50 * DAY)
    assert total(db, NOW - 30 * DAY) == (1, 1)
    assert left(db) == {ahead}


def test_one_letter_with_very_many_events_goes_in_portions(db: sqlite3.Connection) -> None:
    add(db, Ids(0).next(NOW - 9 * DAY), *[NOW - 9 * DAY] * 2_500)
    steps = list(prune(db, NOW - DAY, NOW))
    assert [step.events for step in steps] == [1_000, 1_000, 500, 0]
    assert [step.letters for step in steps] == [0, 0, 0, 1]


def test_the_writer_goes_on_meanwhile(db: sqlite3.Connection, tmp_path: Path) -> None:
    """It waits for one step at most."""
    ids = Ids(0)
    with closing(connect(tmp_path / "lane.db")) as other:
        other.execute("BEGIN")
        for n in range(6_000):
            add(other, ids.next(NOW - 9 * DAY + n / 1000), NOW - 9 * DAY, NOW - 9 * DAY)
        other.execute("COMMIT")
        longest, stop = 0.0, threading.Event()

        def write() -> None:
            nonlocal longest
            with closing(connect(tmp_path / "lane.db")) as mine:
                while not stop.is_set():
                    began = time.monotonic()
                    add(mine, ids.next(NOW), NOW)
                    longest = max(longest, time.monotonic() - began)

        thread = threading.Thread(target=write)
        thread.start()
        removed = 0
        try:
            for step in prune(db, NOW - DAY, NOW):
                removed += step.events
                time.sleep(0.002)
        finally:
            stop.set()
            thread.join()
        assert removed == 12_000
        assert longest < 2.0


def test_a_worker_does_it_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "REST", 0.05)
    said: list[tuple[str, dict[str, object]]] = []
    file_of(tmp_path, 0).parent.mkdir()
    paths = [file_of(tmp_path, n) for n in range(2)]
    paths[1].write_bytes(b"no database" * 999)
    ids, now = Ids(0), time.time()
    with closing(connect(paths[0])) as db:
        for _ in range(450):
            add(db, ids.next(now - 9 * DAY), now - 9 * DAY)
        add(db, ids.next(now), now)
        one = Pruning(paths, DAY, lambda kind, **facts: said.append((kind, facts)))
        until = time.monotonic() + 20
        while len(left(db)) > 1 and time.monotonic() < until:
            time.sleep(0.01)
        add(db, Ids(1).next(now - 8 * DAY), now - 8 * DAY)  # for a later round
        while len(left(db)) > 1 and time.monotonic() < until:
            time.sleep(0.01)
        one.close()
        assert len(left(db)) == 1
    told = [facts for kind, facts in said if kind == "pruned"]
    assert sum(int(str(facts["events"])) for facts in told) == 451
    assert ("prune_failed", "lane-1.sqlite") in [(kind, facts["lane"]) for kind, facts in said]
