"""The queue from the command's side, on real lanes, also while their workers write."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from budget import soon
from fakes.queue import items_in
from posthouse.letter import Event, Item, Letter, Outcome, Recipient, Result, Settled, State
from posthouse.send.queue import desk as module
from posthouse.send.queue import files, rows
from posthouse.send.queue import lane as lane_module
from posthouse.send.queue.desk import Act, Desk
from posthouse.send.queue.files import LaneError
from posthouse.send.queue.ids import Ids, text_of
from posthouse.send.queue.lane import Lane
from posthouse.send.queue.query import Query

NOW = 1_764_000_000.0
HOUR = 3_600.0
BODY = b"Subject: hi\r\nX-Y: z\r\n\r\n..dot\r\n"


@asynccontextmanager
async def lanes(data: Path, count: int = 2):
    (data / "queue").mkdir(exist_ok=True)
    opened = [Lane(data / "queue" / f"lane-{n}.sqlite") for n in range(count)]
    for lane in opened:
        await lane.open()
    try:
        yield opened
    finally:
        for lane in opened:
            await lane.close()


def letter(
    name: str,
    *to: str,
    sender: str = "alice@d.example",
    at: float = NOW,
    message_id: str = "<1@d.example>",
) -> Letter:
    recipients = tuple(Recipient(one, {"NOTIFY": "NEVER"}) for one in to or ("bob@e.example",))
    return Letter(
        name, sender, recipients, BODY, at, {"RET": "HDRS"}, "alice", "192.0.2.1", message_id
    )


async def put(lane: Lane, ids: Ids, *to: str, at: float = NOW, **more: str) -> Letter:
    made = letter(text_of(ids.next(at)), *to, at=at, **more)
    await lane.put(made, events=[Event(at, "accepted", made.id)], now=at)
    return made


def deferred(item: Item, due: float, cause: str = "rate.greylisted") -> Settled:
    outcome = Outcome(
        item.recipient.address, Result.DEFERRED, 451, "4.7.1", "Try later", cause=cause
    )
    return Settled(item, outcome, due)


@pytest.fixture
async def filled(tmp_path: Path):
    """Two lanes, five letters: a filter each."""
    async with lanes(tmp_path) as (one, two):
        a, b = Ids(0), Ids(1)
        await put(one, a, "bob@qq.com", "eve@E.example", at=NOW - 5 * HOUR)
        await put(two, b, "bob@e.example", at=NOW - 4 * HOUR, sender="")
        await put(one, a, "carol@qq.com", at=NOW - 3 * HOUR, sender="News@Shop.example")
        await put(two, b, "x_y%z@e.example", at=NOW - 2 * HOUR, message_id="<2@d.example>")
        await put(one, a, "bob@xn--fsqu00a.example", "dan@qq.com", at=NOW - HOUR)
        items = {item.recipient.address: item for item in await items_in(one)}
        await one.settle(
            [
                deferred(items["bob@qq.com"], NOW + HOUR),
                deferred(items["carol@qq.com"], NOW + HOUR, "rcpt.mailbox_full"),
            ],
            [],
        )
        yield tmp_path, (one, two)


QUERIES = [
    # query, the hours the letters found have waited
    (Query(), [1, 2, 3, 4, 5]),
    (Query(sender="alice@d.example"), [1, 2, 5]),
    (Query(sender="ALICE@*"), [1, 2, 5]),
    (Query(sender="*@shop.example"), [3]),
    (Query(sender="<>"), [4]),
    (Query(recipient="bob@qq.com"), [5]),
    (Query(recipient="bob@*"), [1, 4, 5]),
    (Query(recipient="x_y%z@*"), [2]),
    (Query(recipient="b?b@e.example"), [4]),
    (Query(recipient="b_b@e.example"), []),
    (Query(recipient="%"), []),
    (Query(domain="qq.com"), [1, 3, 5]),
    (Query(domain="@QQ.com"), [1, 3, 5]),
    (Query(domain="q.com"), []),
    (Query(domain="e.example"), [2, 4, 5]),
    (Query(domain="例子.example"), [1]),
    (Query(domain="'; DROP TABLE letters; --"), []),
    (Query(message_id="2@d.example"), [2]),
    (Query(message_id="<2@d.example>"), [2]),
    (Query(state=State.DEFERRED), [3, 5]),
    (Query(state=State.HELD), []),
    (Query(cause="rate.greylisted"), [5]),
    (Query(cause="rcpt.*"), [3]),
    (Query(before=NOW - 3 * HOUR), [3, 4, 5]),
    (Query(domain="qq.com", state=State.READY), [1]),
    (Query(sender="*@d.example", cause="*", before=NOW - 4 * HOUR), [5]),
    (Query(ids=("nonsense!", "zzzzzzzzzzzzz", "", "1")), []),
]


def waited(entries: Sequence[module.Entry]) -> list[int]:
    return [round((NOW - entry.accepted) / HOUR) for entry in entries]


@pytest.mark.parametrize(("query", "hours"), QUERIES, ids=[str(q)[5:70] for q, _ in QUERIES])
async def test_filters(filled, query: Query, hours: list[int]) -> None:
    data, _ = filled
    with Desk(data) as desk:
        found = desk.list(query)
        assert waited(found.entries) == hours
        assert found.total == len(hours)
        assert waited(desk.list(query, oldest=True).entries) == hours[::-1]
        few = desk.list(query, limit=2)
        assert (waited(few.entries), few.total) == (hours[:2], len(hours))


async def test_ids_are_of_any_lane_and_case(filled) -> None:
    data, _ = filled
    with Desk(data) as desk:
        everything = desk.list(Query()).entries
        wanted = [everything[1].id, everything[2].id.upper()]
        assert waited(desk.list(Query(ids=tuple(wanted))).entries) == [2, 3]
        assert desk.has(wanted[1])
        assert not desk.has("1")


async def test_a_list_shows_the_recipients_that_fit(filled) -> None:
    data, _ = filled
    with Desk(data) as desk:
        (entry,) = desk.list(Query(cause="rate.*")).entries
        (item,) = entry.items
        assert item.recipient == Recipient("bob@qq.com", {"NOTIFY": "NEVER"})
        assert (item.state, item.attempts, item.due) == (State.DEFERRED, 1, NOW + HOUR)
        assert (item.last, item.cause) == ("451 4.7.1 Try later", "rate.greylisted")
        assert (entry.sender, entry.user, entry.client, entry.size) == (
            "alice@d.example", "alice", "192.0.2.1", len(BODY)
        )  # fmt: skip


async def test_all_of_one_letter(filled) -> None:
    data, _ = filled
    with Desk(data) as desk:
        (entry,) = desk.list(Query(recipient="bob@qq.com")).entries
        shown = desk.show(entry.id)
        assert shown is not None
        assert shown.entry is not None
        assert [i.recipient.address for i in shown.entry.items] == ["bob@qq.com", "eve@E.example"]
        assert shown.params == {"RET": "HDRS"}
        assert shown.header.startswith(b"Subject: hi\r\nX-Y: z\r\n\r\n.dot")
        assert [event.kind for event in shown.events] == ["accepted"]
        assert desk.content(entry.id) == BODY.replace(b"..", b".")
        assert desk.show("1") is desk.content("1") is desk.show("!") is None


async def test_a_letter_that_is_gone_still_has_its_events(filled) -> None:
    data, (_, two) = filled
    items = [item for item in await items_in(two) if item.recipient.address == "bob@e.example"]
    (item,) = items
    done = Settled(item, Outcome("bob@e.example", Result.DELIVERED, 250))
    await two.settle([done], [Event(NOW, "delivered", item.letter, "bob@e.example", {"code": 250})])
    with Desk(data) as desk:
        shown = desk.show(item.letter)
        assert shown is not None
        assert shown.entry is None
        assert [(e.kind, dict(e.data)) for e in shown.events] == [
            ("accepted", {}), ("delivered", {"code": 250})
        ]  # fmt: skip


STATES = {
    "bob@qq.com": State.DEFERRED,
    "eve@E.example": State.READY,
    "carol@qq.com": State.DEFERRED,
    "dan@qq.com": State.READY,
    "bob@xn--fsqu00a.example": State.READY,
}
ACTS = [
    # first, act, what fits, what is changed, the state then, the event
    (None, Act.HOLD, Query(domain="qq.com"), {"bob@qq.com", "carol@qq.com", "dan@qq.com"},
     State.HELD, "held"),
    (None, Act.RELEASE, Query(), set(), None, ""),
    (Act.HOLD, Act.RELEASE, Query(recipient="eve@*"), {"eve@E.example"}, State.READY, "released"),
    (None, Act.RETRY, Query(domain="qq.com"), {"bob@qq.com", "carol@qq.com"}, State.READY,
     "retried"),
    (Act.HOLD, Act.RETRY, Query(), set(), None, ""),
    (None, Act.DELETE, Query(domain="qq.com"), {"bob@qq.com", "carol@qq.com", "dan@qq.com"}, None,
     "deleted"),
    (Act.HOLD, Act.DELETE, Query(cause="rcpt.mailbox_full"), {"carol@qq.com"}, None, "deleted"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "act", "query", "changed", "state", "event"), ACTS)
async def test_changes(filled, first, act, query, changed, state, event) -> None:
    data, (one, two) = filled
    with Desk(data) as desk:
        if first is not None:
            desk.do(desk.pick(Query(), first), NOW)
        for lane in (one, two):
            await items_in(lane)
        before = states_of(await items_in(one))
        done = desk.do(desk.pick(query, act), NOW + 1, "root")
        assert done.recipients == len(changed)
        after = {item.recipient.address: item for item in await_items(data)}
        for address, old in before.items():
            if address not in changed:
                assert after[address].state is old
            elif state is None:
                assert address not in after
            else:
                assert (after[address].state, after[address].due) == (state, NOW + 1)
        events = events_of(data, event)
        assert {address for address, _ in events} == changed
        assert all(told == '{"by":"root"}' for _, told in events)
    assert one.changed() is bool(changed)
    assert not two.changed()  # nothing of its letters fits


async def test_whom_a_person_let_go_the_lane_knows_whatever_came_since(filled) -> None:
    data, (one, _) = filled
    with Desk(data) as desk:
        for act in (Act.HOLD, Act.RELEASE):
            desk.do(desk.pick(Query(recipient="eve@*"), act), NOW)
    (item,) = [item for item in await items_in(one) if item.released]
    assert item.recipient.address == "eve@E.example"
    await one.settle([deferred(item, NOW + HOUR)], [])
    assert [item.key for item in await items_in(one) if item.released] == [item.key]


@pytest.mark.parametrize("oldest", [True, False])
async def test_one_after_the_other_is_the_same_as_all_at_once(
    filled, oldest: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEP", 1)
    data, _ = filled
    with Desk(data) as desk:
        for query, _hours in QUERIES:
            assert tuple(desk.each(query, oldest=oldest)) == desk.list(query, oldest=oldest).entries


def states_of(items: Sequence[Item]) -> dict[str, State]:
    return {item.recipient.address: item.state for item in items}


def await_items(data: Path) -> list[Item]:
    with Desk(data) as desk:
        return [item for entry in desk.list(Query()).entries for item in entry.items]


def events_of(data: Path, kind: str) -> list[tuple[str, str]]:
    db = sqlite3.connect(data / "queue" / "lane-0.sqlite")
    try:
        sql = "SELECT recipient, data FROM events WHERE kind = ? AND at > ?"
        return db.execute(sql, (kind, NOW)).fetchall()
    finally:
        db.close()


async def test_a_letter_goes_with_its_last_recipient(filled) -> None:
    data, (one, _) = filled
    with Desk(data) as desk:
        desk.do(desk.pick(Query(recipient="bob@qq.com"), Act.DELETE), NOW)
        assert desk.list(Query()).total == 5
        desk.do(desk.pick(Query(recipient="eve@*"), Act.DELETE), NOW)
        assert desk.list(Query()).total == 4
    await items_in(one)
    assert one.count == 2


async def test_what_was_delivered_meanwhile_is_not_changed(filled) -> None:
    """Between the question and the answer the relay goes on."""
    data, (_, two) = filled
    with Desk(data) as desk:
        picked = desk.pick(Query(domain="e.example", sender="<>"), Act.DELETE)
        assert picked.recipients == 1
        (item,) = [i for i in await items_in(two) if i.recipient.address == "bob@e.example"]
        await two.settle([Settled(item, Outcome("bob@e.example", Result.DELIVERED, 250))], [])
        assert desk.do(picked, NOW).recipients == 0
    assert not two.changed()


@pytest.mark.parametrize("part", [1, 500])
async def test_the_lane_tells_once_what_people_did(
    filled, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """Nothing that the relay itself records, nor what was done before its start."""
    data, (one, _) = filled
    monkeypatch.setattr(lane_module, "PART", part)

    async def told() -> list[tuple[str, str, str]]:
        return [(e.kind, e.recipient, e.data["by"]) async for es in one.told() for e in es]

    with Desk(data) as desk:
        desk.do(desk.pick(Query(recipient="dan@*"), Act.HOLD), NOW, "before")
        await one.close()
        await one.open()
        assert await told() == []
        for act in (Act.RELEASE, Act.HOLD, Act.DELETE):
            desk.do(desk.pick(Query(recipient="dan@*"), act), NOW, "alice")
        (item, *_) = await items_in(one)
        by_rule = Event(NOW, "held", item.letter, item.recipient.address, {"rule": "x"})
        await one.settle([deferred(item, NOW + HOUR)], [by_rule])
        expected = ["released", "held", "deleted"]
        assert await told() == [(kind, "dan@qq.com", "alice") for kind in expected]
        assert await told() == []
        desk.do(desk.pick(Query(recipient="bob@qq.com"), Act.RETRY), NOW, "bob")
        assert {kind for kind, _, by in await told() if by == "bob"} == {"retried"}


async def test_a_hold_wins_over_an_attempt_that_was_under_way(filled) -> None:
    data, (one, _) = filled
    items = {item.recipient.address: item for item in await items_in(one)}
    with Desk(data) as desk:
        desk.do(desk.pick(Query(recipient="dan@qq.com"), Act.HOLD), NOW)
    await one.settle([deferred(items["dan@qq.com"], NOW + HOUR)], [])
    states = states_of(await items_in(one))
    assert states["dan@qq.com"] is State.HELD


async def test_beside_a_lane_that_writes(tmp_path: Path) -> None:
    """A relay takes in and delivers; somebody lists, holds, releases, deletes meanwhile."""
    async with lanes(tmp_path, 1) as (lane,):
        ids, going = Ids(0), True
        for n in range(100):
            await put(lane, ids, f"r{n}@e.example")

        async def relay() -> int:
            sent = 0
            while going:
                await put(lane, ids, "new@e.example")
                items = [i for i in await items_in(lane) if i.state is State.READY][:5]
                done = [Settled(i, Outcome(i.recipient.address, Result.DELIVERED)) for i in items]
                await lane.settle(done, [Event(NOW, "delivered", i.letter) for i in items])
                sent += len(done)
            return sent

        def people() -> int:
            deleted = 0
            with Desk(tmp_path) as desk:
                for n in range(40):
                    desk.do(desk.pick(Query(recipient=f"r{2 * n}@*"), Act.HOLD), NOW)
                    desk.list(Query(), limit=10)
                    gone = desk.pick(Query(recipient=f"r{2 * n}@*", state=State.HELD), Act.DELETE)
                    deleted += desk.do(gone, NOW).recipients
            return deleted

        working = asyncio.create_task(relay())
        deleted = await asyncio.to_thread(people)
        going = False
        sent = await working
        # Each letter is over or waits, none both. What was deleted in the relay's hands may be
        # delivered, too: then both are told.
        assert count(tmp_path, "deleted") == deleted
        assert count(tmp_path, "delivered") == sent
        over = letters_of(tmp_path, "deleted") | letters_of(tmp_path, "delivered")
        waiting = {item.letter for item in await items_in(lane)}
        assert over | waiting == letters_of(tmp_path, "accepted")
        assert not over & waiting
        assert lane.count == len(waiting)


def count(data: Path, kind: str) -> int:
    return len(_events(data, kind))


def letters_of(data: Path, kind: str) -> set[str]:
    return {text_of(number) for (number,) in _events(data, kind)}


def _events(data: Path, kind: str) -> list[tuple[int]]:
    db = sqlite3.connect(data / "queue" / "lane-0.sqlite")
    try:
        return db.execute("SELECT letter FROM events WHERE kind = ?", (kind,)).fetchall()
    finally:
        db.close()


async def test_ten_thousand_messages(tmp_path: Path) -> None:
    async with lanes(tmp_path, 1) as (lane,):
        ids = Ids(0)
        await asyncio.gather(
            *(
                lane.put(letter(text_of(ids.next(NOW + n / 100)), f"r{n}@e.example"), now=NOW)
                for n in range(10_000)
            )
        )
        with Desk(tmp_path) as desk:
            with soon(0.5):
                assert len(desk.list(Query()).entries) == 10_000
            with soon(0.2):
                page = desk.list(Query(domain="e.example", recipient="r99*"), limit=100)
            assert (len(page.entries), page.total) == (100, 111)
            with soon(1.0):
                done = desk.do(desk.pick(Query(), Act.HOLD), NOW)
            assert done.recipients == 10_000


# -- what can fail


def reason(data: Path) -> str:
    with pytest.raises(LaneError) as caught:
        Desk(data)
    return caught.value.reason


async def test_a_folder_without_a_queue(tmp_path: Path) -> None:
    assert reason(tmp_path) == "no_queue"
    assert reason(tmp_path / "nowhere") == "no_queue"
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_is_no_lane(tmp_path: Path) -> None:
    (tmp_path / "queue").mkdir()
    path = tmp_path / "queue" / "lane-0.sqlite"
    path.write_bytes(b"not a database, but long enough to look like one" * 40)
    assert reason(tmp_path) == "damaged"
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 7")
    db.close()
    assert reason(tmp_path) == "version"
    path.write_bytes(b"")
    assert reason(tmp_path) == "empty"
    path.unlink()
    path.mkdir()
    assert reason(tmp_path) == "denied"


@pytest.mark.parametrize(("table", "column"), [("letters", "accepted"), ("recipients", "address")])
async def test_a_row_whose_page_is_lost_is_damage(filled, table: str, column: str) -> None:
    data, _ = filled
    path = data / "queue" / "lane-0.sqlite"
    with sqlite3.connect(path) as db:  # as zeros in the middle of the file read
        db.execute("PRAGMA writable_schema = 1")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '')")
        db.execute("PRAGMA writable_schema = RESET")
        db.execute(f"UPDATE {table} SET {column} = NULL")
    with Desk(data) as desk, pytest.raises(LaneError, match=r"damaged.*values are missing"):
        desk.list(Query())


async def test_a_lane_that_is_never_free(filled, monkeypatch: pytest.MonkeyPatch) -> None:
    data, (one, _) = filled
    monkeypatch.setattr(files, "BUSY", 0.05)
    other = sqlite3.connect(data / "queue" / "lane-0.sqlite", isolation_level=None)
    with Desk(data) as desk:
        picked = desk.pick(Query(), Act.HOLD)
        other.execute("BEGIN IMMEDIATE")
        assert desk.list(Query()).total == 5  # to look is always possible
        with pytest.raises(LaneError) as caught:
            desk.do(picked, NOW)
        assert caught.value.reason == "busy"
        other.execute("ROLLBACK")
        assert not one.changed()
        assert desk.do(picked, NOW).recipients == picked.recipients
    other.close()


async def test_a_change_is_whole_or_not_at_all(filled, monkeypatch: pytest.MonkeyPatch) -> None:
    data, (one, _) = filled
    monkeypatch.setattr(rows, "_EVENT", "INSERT INTO nowhere VALUES (?)")
    with Desk(data) as desk:
        with pytest.raises(LaneError, match="damaged"):
            desk.do(desk.pick(Query(), Act.DELETE), NOW)
        assert desk.list(Query()).total == 5
    assert not one.changed()


async def test_what_is_read_together_is_of_one_moment(filled, monkeypatch) -> None:
    """A letter that is delivered between two statements is there as a whole, or not at all."""
    data, (one, _) = filled
    real = module._items
    items = [item for item in await items_in(one) if item.letter == (await items_in(one))[0].letter]

    def settled_meanwhile(db: sqlite3.Connection, *more) -> object:
        other = sqlite3.connect(data / "queue" / "lane-0.sqlite")
        with other:
            other.execute("DELETE FROM recipients")
            other.execute("DELETE FROM letters")
        other.close()
        return real(db, *more)

    monkeypatch.setattr(module, "_items", settled_meanwhile)
    with Desk(data) as desk:
        shown = desk.show(items[0].letter)
        assert shown is not None
        assert shown.entry is not None
        assert len(shown.entry.items) == len(items)


@pytest.mark.parametrize("each", [True, False])
async def test_no_message_is_listed_without_its_recipients(filled, monkeypatch, each) -> None:
    data, _ = filled
    real = module._items

    def settled_meanwhile(db: sqlite3.Connection, *more) -> object:
        for lane in (data / "queue").glob("*.sqlite"):
            other = sqlite3.connect(lane)
            with other:
                other.execute("DELETE FROM recipients")
                other.execute("DELETE FROM letters")
            other.close()
        return real(db, *more)

    monkeypatch.setattr(module, "_items", settled_meanwhile)
    with Desk(data) as desk:
        entries = tuple(desk.each(Query()) if each else desk.list(Query()).entries)
    assert entries
    assert all(entry.items for entry in entries)
