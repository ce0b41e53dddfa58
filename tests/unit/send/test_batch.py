"""One batch of the queue's writer: whatever is in it, all of it or nothing, and counted exactly."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fakes.queue import items_in
from posthouse.letter import Event, Item, Letter, Outcome, Result, Settled, State, StoreError
from posthouse.net.loop import run
from posthouse.send.queue import batch, writer
from posthouse.send.queue import lane as lanes
from posthouse.send.queue.batch import Put, Settle, Tables
from posthouse.send.queue.ids import number_of
from unit.send.test_lane import NOW, letter, opened, outcome


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    made = Tables(lanes.connect(tmp_path / "lane.db"))
    yield made
    made.close()


def put(kept: Letter, *events: Event) -> Put:
    return Put(kept, lanes._items(kept), events)


def over(item: Item) -> Settled:
    return Settled(item, outcome(item.recipient.address))


def settle(*settled: Settled) -> Settle:
    return Settle(settled, [told(one) for one in settled])


def told(one: Settled) -> Event:
    return Event(NOW, one.outcome.result.value, one.item.letter, one.item.recipient.address)


def asked(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path / "lane.db")) as db:
        return db.execute(sql).fetchall()


async def test_all_there_is_goes_in_one_transaction(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    kept = [letter(n, "a@e.example", "b@e.example") for n in range(1, 5)]
    items = await asyncio.gather(*[lane.put(one) for one in kept])
    commits = lane.commits[0]
    later = Outcome("a@e.example", Result.DEFERRED, 452, "4.2.2", "full", cause="rcpt.full")
    (gone, half, held, _), fresh, bounce = items, letter(5), letter(6, "alice@d.example")
    settled = [
        over(gone[0]),
        over(gone[1]),
        over(half[0]),
        Settled(half[1], later, due=NOW + 300.25, warned=True),
        Settled(held[0], later, due=NOW, held=True),
    ]
    events = [told(one) for one in settled]
    events.insert(2, Event(NOW, "bounced", bounce.id, "alice@d.example", {"of": kept[0].id}))
    recorded = lane.settle(settled, events, [bounce])
    accepted = lane.put(fresh, events=[Event(NOW, "accepted", fresh.id)])
    ((report,), (item,)) = await asyncio.gather(recorded, accepted)
    assert (report.letter, item.letter) == (bounce.id, fresh.id)
    assert lane.commits[0] == commits + 1
    waiting = {(one.letter, one.key): one for one in await items_in(lane)}
    assert len(waiting) == 7
    tried = waiting[kept[1].id, 1]
    assert (tried.state, tried.attempts, tried.due) == (State.DEFERRED, 1, NOW + 300.25)
    assert (tried.last, tried.cause, tried.warned) == ("452 4.2.2 full", "rcpt.full", True)
    aside = waiting[kept[2].id, 0]
    assert (aside.state, aside.attempts, aside.warned) == (State.HELD, 1, False)
    assert waiting[kept[3].id, 0] == items[3][0]
    assert lane.count == 5
    kinds = [kind for (kind,) in asked(tmp_path, "SELECT kind FROM events ORDER BY id")]
    assert kinds == ["delivered"] * 2 + ["bounced", "delivered"] + ["deferred"] * 2 + ["accepted"]
    await lane.close()


def test_a_letter_is_written_before_its_outcome_in_one_batch(tables: Tables) -> None:
    kept = put(letter(1, "a@e.example", "b@e.example"))
    assert tables.commit([kept, settle(over(kept.items[1]), over(kept.items[0]))]) == 1
    assert tables.commit([kept, settle(over(kept.items[1]))]) == 0  # there is room for it again


def test_what_is_held_meanwhile_stays_held_and_was_tried(tmp_path: Path, tables: Tables) -> None:
    """Without the try the next one came too soon, when it had been released; without the warning
    there was a second one."""
    kept = put(letter(1))
    tables.commit([kept])
    with closing(sqlite3.connect(tmp_path / "lane.db")) as db, db:
        db.execute("UPDATE recipients SET state = 'held', due = 1")
    later = Outcome("bob@e.example", Result.DEFERRED, 452, "4.2.2", "full", cause="rcpt.full")
    tables.commit([settle(Settled(kept.items[0], later, due=NOW + 300, warned=True))])
    columns = "SELECT state, due, attempts, warned, last, cause FROM recipients"
    assert asked(tmp_path, columns) == [("held", 1.0, 1, 1, "452 4.2.2 full", "rcpt.full")]


RECIPIENTS = ("a@e.example", "b@e.example", "c@e.example")


@pytest.mark.parametrize(
    ("removed", "ends", "gone"),
    [
        ((), [(1, 0), (1, 1), (1, 2)], 1),
        ((), [(1, 0), (1, 2)], 0),
        ((), [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2)], 1),  # not one behind the other
        ((), [(1, 2), (2, 2), (1, 1), (2, 1), (1, 0), (2, 0)], 2),
        ((1,), [(1, 0), (1, 1), (1, 2)], 0),  # the command was there before
        ((1,), [(1, 0), (2, 0), (2, 1), (2, 2)], 1),
    ],
)
def test_it_tells_exactly_how_many_letters_went(
    tmp_path: Path,
    tables: Tables,
    removed: Sequence[int],
    ends: Sequence[tuple[int, int]],
    gone: int,
) -> None:
    kept = {n: put(letter(n, *RECIPIENTS)) for n in (1, 2, 3)}
    tables.commit(list(kept.values()))
    with closing(sqlite3.connect(tmp_path / "lane.db")) as db, db:
        for n in removed:
            db.execute("DELETE FROM recipients WHERE letter = ?", (number_of(kept[n].letter.id),))
            db.execute("DELETE FROM letters WHERE id = ?", (number_of(kept[n].letter.id),))
    job = settle(*(over(kept[n].items[key]) for n, key in ends))
    assert tables.commit([job]) == gone
    left = 3 - len(removed) - gone
    assert asked(tmp_path, "SELECT count(*) FROM letters") == [(left,)]


async def test_a_batch_that_fails_writes_nothing(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    before = [await lane.put(letter(n)) for n in (1, 2)]
    futures = [
        lane.settle([over(before[0][0])], [told(over(before[0][0]))], [letter(9)]),
        lane.put(letter(3)),
        lane.put(letter(2)),  # of which the store has one
        lane.put(letter(4)),
    ]
    ends = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(end) for end in ends] == [StoreError] * 4
    assert await items_in(lane) == before[0] + before[1]
    assert lane.count == 2
    assert asked(tmp_path, "SELECT count(*) FROM events") == [(0,)]
    await lane.settle([over(before[0][0])], [])  # and it goes on
    assert lane.count == 1
    await lane.close()


def test_more_rows_than_a_statement_has_are_all_or_nothing_too(
    tmp_path: Path, tables: Tables
) -> None:
    many = [put(letter(n)) for n in range(1, 3 * batch.MOST)]
    with pytest.raises(sqlite3.IntegrityError):
        tables.commit([*many, many[0]])
    assert asked(tmp_path, "SELECT count(*) FROM letters") == [(0,)]
    tables.commit(many)
    assert asked(tmp_path, "SELECT count(*) FROM letters") == [(len(many),)]
    assert tables.commit([settle(*(over(one.items[0]) for one in many))]) == len(many)
    assert asked(tmp_path, "SELECT count(*) FROM recipients") == [(0,)]


@pytest.mark.parametrize("rows", [*range(1, 70), batch.MOST - 1, batch.MOST, batch.MOST + 1])
def test_any_number_of_rows_is_written(tmp_path: Path, tables: Tables, rows: int) -> None:
    tables.commit([put(letter(n)) for n in range(1, rows + 1)])
    counts = "SELECT (SELECT count(*) FROM letters), (SELECT count(*) FROM recipients)"
    assert asked(tmp_path, counts) == [(rows, rows)]
    assert asked(tmp_path, "SELECT count(*) FROM events") == [(0,)]


def test_an_empty_batch_is_nothing(tables: Tables) -> None:
    assert tables.commit([settle()]) == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells how much there is")
def test_nothing_large_is_kept_in_memory(tables: Tables) -> None:
    """The statement of each number of rows has values of its own."""
    before = resident()
    for rows in range(1, 11):
        many = [put(letter(rows * 100 + n)) for n in range(rows)]
        many[0] = put(many[0].letter._replace(content=bytes(16 * 1024 * 1024)))
        tables.commit(many)
    assert resident() - before < 64 * 1024 * 1024


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_is_written_is_acknowledged_whoever_writes_next(tmp_path: Path) -> None:
    """A large letter was kept, and refused: nothing could be said to the file for a moment."""
    path = tmp_path / "lane.db"
    with closing(lanes.connect(path)) as mine, closing(sqlite3.connect(path)) as others:
        mine.execute("PRAGMA busy_timeout = 1")
        tables = Tables(_Overtaken(mine, others))  # type: ignore[arg-type]
        large = put(letter(1)._replace(content=bytes(batch.LARGE + 1)))
        assert tables.commit([large]) == 0
        others.rollback()
        assert tables.commit([settle(over(large.items[0]))]) == 1
    assert asked(tmp_path, "SELECT count(*) FROM letters") == [(0,)]


class _Overtaken:
    """A connection behind whose first transaction somebody else begins one."""

    def __init__(self, mine: sqlite3.Connection, others: sqlite3.Connection) -> None:
        self._mine = mine
        self._others: sqlite3.Connection | None = others

    def executemany(self, *asked: Any) -> None:
        self._mine.executemany(*asked)
        if self._others is not None:
            self._others.execute("BEGIN IMMEDIATE")
            self._others = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mine, name)


async def test_a_batch_is_bounded_in_octets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "OCTETS", 1000)
    lane = await opened(tmp_path)
    sizes = [400, 600, 400, 5000, 10, 10]
    kept = [letter(n)._replace(content=b"x" * size) for n, size in enumerate(sizes, 1)]
    await asyncio.gather(*[lane.put(one) for one in kept])
    assert lane.commits == (4, len(sizes))  # 400 + 600, 400, 5000, 10 + 10
    assert [await lane.load(one.id) for one in kept] == kept
    await lane.close()


@pytest.mark.parametrize(
    "content",
    [b"\0a\0\0b\0", b"'\"`'';--\r\n", bytes(range(256)), b"\xff\xfe\xed\xa0\x80", b"0", b""],
)
async def test_octets_are_octets(tmp_path: Path, content: bytes) -> None:
    lane = await opened(tmp_path)
    kept = [
        letter(n)._replace(content=content * n, accepted=NOW + n / 3, message_id="<'0\"é@x>")
        for n in (1, 2, 3)
    ]
    await asyncio.gather(*[lane.put(one) for one in kept])
    assert [await lane.load(one.id) for one in kept] == kept
    await lane.close()


async def test_what_nobody_waits_for_any_more_is_written_and_counted(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    (item,) = await lane.put(letter(1))
    for future in (lane.put(letter(2)), lane.settle([over(item)], [], [letter(3), letter(4)])):
        future.cancel()
    await lane.put(letter(5))
    assert lane.count == 4
    assert len(await items_in(lane)) == 4
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(Tables, "commit", None)
        lane.put(letter(6)).cancel()
        with pytest.raises(StoreError):
            await lane.put(letter(7))
    assert lane.count == 4
    await items_in(lane)
    assert lane.count == 4
    await lane.close()


async def test_nobody_else_sees_a_letter_before_whoever_put_it(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    known: set[str] = set()
    for n in range(1, 50):
        future = lane.put(letter(n))
        future.add_done_callback(lambda done: known.update(i.letter for i in done.result()))
        while not future.done():
            await asyncio.sleep(0)
            assert {item.letter for item in await items_in(lane)} <= known
    await asyncio.sleep(0)
    assert {item.letter for item in await items_in(lane)} == known
    await lane.close()


async def test_a_turn_of_the_loop_is_one_batch(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    await asyncio.gather(*[lane.put(letter(n)) for n in range(1, 51)])
    assert lane.commits == (1, 50)
    await lane.close()


async def test_what_nobody_waits_for_rides_with_the_next_or_goes_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "PATIENCE", 0.2)
    lane = await opened(tmp_path)
    loop = asyncio.get_running_loop()
    first, second, third = [(await lane.put(letter(n)))[0] for n in (1, 2, 3)]
    commits = lane.commits[0]
    began = loop.time()
    recorded = lane.settle([over(first)], [])
    await lane.put(letter(4))
    assert recorded.done()
    assert lane.commits[0] == commits + 1
    await asyncio.sleep(0.1)
    again = loop.time()
    recorded = lane.settle([over(second)], [])
    assert not recorded.done()
    await recorded  # by the time that ran already for the one before, and had to be set anew
    assert loop.time() - again >= 0.19
    assert loop.time() - began < 5
    last = lane.settle([over(third)], [])
    await lane.close()
    assert last.done()
    with pytest.raises(StoreError, match="closed"):
        await lane.put(letter(5))
    assert lane.count == 1


async def test_a_letter_waits_for_company_no_longer_than_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "PATIENCE", 5.0)
    monkeypatch.setattr(lanes, "COMPANY", 0.2)
    lane = await opened(tmp_path)
    loop = asyncio.get_running_loop()
    items = await lane.put(letter(1))
    began, commits = loop.time(), lane.commits[0]
    recorded = lane.settle([over(items[0])], [])
    first = lane.put(letter(2), company=True)  # sooner than what waited already
    await asyncio.sleep(0.1)
    second = lane.put(letter(3), company=True)
    await first
    assert 0.19 <= loop.time() - began < 2  # the second makes the first wait no longer
    assert (second.done(), recorded.done(), lane.commits[0]) == (True, True, commits + 1)
    third = lane.put(letter(4), company=True)
    await lane.put(letter(5))
    assert third.done()  # the last that comes takes all with it
    assert lane.commits[0] == commits + 2
    await lane.close()


def test_moments_of_any_length_under_the_loop_of_a_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop has a handle of another kind for a moment shorter than its clock can tell."""

    async def work() -> None:
        lane = await opened(tmp_path)
        last: tuple[Item, ...] = ()
        for n in range(1, 200):
            monkeypatch.setattr(lanes, "COMPANY", n % 7 * 0.000_3)
            monkeypatch.setattr(lanes, "PATIENCE", n % 5 * 0.000_7)
            recorded = [lane.settle([over(item)], []) for item in last]
            if n % 3:
                await asyncio.sleep(n % 4 * 0.000_2)
            last = await lane.put(letter(n), company=True)
            await asyncio.gather(*recorded)
        await lane.close()

    run(asyncio.wait_for(work(), 20))
