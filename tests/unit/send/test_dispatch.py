"""The dispatcher over a real lane: what is due goes, what came of it is recorded, once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fakes.queue import items_in
from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.letter import Event, Item, Letter, Outcome, Recipient, Result, State, StoreError
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_open import Refused
from posthouse.net.smtp_work import Carried
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.deliver import dispatch as module
from posthouse.send.deliver import pool as pools
from posthouse.send.deliver import recorder, room
from posthouse.send.deliver.dispatch import Dispatcher
from posthouse.send.deliver.transaction import Task
from posthouse.send.hop import Action, Choice, Hop, Target
from posthouse.send.queue import batch
from posthouse.send.queue import lane as lanes
from posthouse.send.queue.ids import number_of, text_of
from posthouse.send.queue.lane import Lane

START = 1_764_000_000.0


@dataclass
class FakeCarrier:
    """A connection that says what ``world`` tells it to."""

    world: World
    extensions: Mapping[str, str] = field(default_factory=dict)
    failure: None = None
    carried: int = 0
    opened: float = 0.0
    used: float = 0.0
    deadline: float = float("inf")
    vanished: bool = False

    def carry(
        self, mail: Any, recipients: Sequence[Any], content: bytes
    ) -> asyncio.Future[Carried]:
        done: asyncio.Future[Carried] = asyncio.get_running_loop().create_future()
        names = [one.recipient for one in recipients]
        self.world.begun += 1
        replies = {name: (Stage.RCPT, self.world.reply(name)) for name in names}
        self.world.sent += [name for name in names if replies[name][1].is_success]
        self.carried += 1
        asyncio.get_running_loop().call_later(self.world.delay, done.set_result, Carried(replies))
        return done

    def quit(self) -> None: ...

    def __hash__(self) -> int:
        return id(self)


@dataclass
class World:
    """The clock, the far end, the routes."""

    now: float = START
    delay: float = 0.0
    replies: dict[str, list[int]] = field(default_factory=dict)  # codes to say, the last for good
    routes: dict[str, Action] = field(default_factory=dict)
    down: bool | tuple[str, ...] = False  # nobody answers, or not at these hops
    login: str = ""  # the hop that refuses our password
    went: list[str] = field(default_factory=list)  # the hops that were connected to, in order
    sent: list[str] = field(default_factory=list)
    bounced: list[tuple[str, str, list[str]]] = field(default_factory=list)
    said: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    opened: int = 0
    begun: int = 0

    def reply(self, name: str) -> Reply:
        codes = self.replies.get(name, [250])
        code = codes.pop(0) if len(codes) > 1 else codes[0]
        return Reply.make(code, "so", f"{code // 100}.0.0")

    async def connect(self, hop: Hop, domain: str, _: object) -> Carrier:
        self.opened += 1
        await asyncio.sleep(0)
        if self.down is True or (self.down and hop.name in self.down):
            raise NetworkFailure(Failure.REFUSED, Stage.CONNECT)
        if hop.name == self.login:
            raise Refused(Stage.AUTH, Reply.make(535, "no", "5.7.8"))
        self.went.append(hop.name)
        return FakeCarrier(self)  # type: ignore[return-value]

    def choose(self, letter: Letter, item: Item) -> Choice:
        action = self.routes.get(item.recipient.address, Action.DELIVER)
        return Choice(action, "hop" if action is Action.DELIVER else "", "rule")

    def judge(self, task: Task, carried: Carried, carrier: Carrier | None) -> list[Outcome]:
        found = []
        for name in task.recipients:
            if name not in carried.replies:
                found.append(Outcome(name, Result.DEFERRED, text=str(carried.failure)))
                continue
            stage, reply = carried.replies[name]
            if stage is Stage.AUTH or reply.code == 552:
                cause = "auth.credentials" if stage is Stage.AUTH else "sender.quota"
                found.append(Outcome(name, Result.DEFERRED, reply.code, stage=stage, cause=cause))
                continue
            kinds = {2: Result.DELIVERED, 4: Result.DEFERRED, 5: Result.REFUSED}
            found.append(Outcome(name, kinds[reply.code // 100], reply.code, stage=stage))
        return found

    def next_try(self, item: Item, outcome: Outcome, accepted: float, now: float) -> float | None:
        return now + 60 if now + 60 < accepted + 300 else None

    def warn_due(self, item: Item, accepted: float, now: float) -> bool:
        return now >= accepted + 120

    def bounce(
        self, letter: Letter, told: Sequence[tuple[Item, Outcome]], kind: str, now: float
    ) -> Letter | None:
        if kind == "delivered" or not letter.sender:
            return None
        names = [item.recipient.address for item, _ in told]
        self.bounced.append((letter.id, kind, names))
        name = text_of((1 << 61) + len(self.bounced))
        return Letter(name, "", (Recipient(letter.sender),), b"Subject: no\r\n\r\n", now)


def letter(number: int, *recipients: str) -> Letter:
    people = tuple(Recipient(name) for name in recipients or ("bob@e.example",))
    return Letter(text_of((1 << 60) + number), "alice@d.example", people, b"x\r\n", START)


def _hops(fallbacks: Sequence[str]) -> dict[str, Hop]:
    """The hop, and those that stand in for it one after the other; ``mx...`` has no targets."""
    found: dict[str, Hop] = {}
    for name, spare in zip(("hop", *fallbacks), (*fallbacks, ""), strict=True):
        targets = () if name[:2] == "mx" else (Target(f"{name}.e.example", 25),)
        found[name] = Hop(name, targets, user="u", fallback=spare)
    return found


@asynccontextmanager
async def working(
    tmp_path: Path, world: World, *fallbacks: str
) -> AsyncIterator[tuple[Dispatcher, Lane, Callable[..., Any]]]:
    lane = Lane(tmp_path / "lane.sqlite", spare=0)
    await lane.open()
    dispatcher = Dispatcher(
        lane,
        _hops(fallbacks),
        choose=world.choose,
        connect=world.connect,
        judge=world.judge,
        schedule=world,
        bounce=world.bounce,
        now=lambda: world.now,
        monotonic=lambda: world.now,
        say=lambda kind, facts: world.said.append((kind, facts)),
    )
    await dispatcher.start()

    async def keep(*letters: Letter) -> None:
        # All are kept before the first goes: what became of it is in no transaction of theirs.
        kept = [await lane.put(one) for one in letters]
        for one, items in zip(letters, kept, strict=True):
            dispatcher.take(one, items)

    yield dispatcher, lane, keep
    await dispatcher.close()
    await lane.close()


def no_record_while(
    broken: list[bool], monkeypatch: pytest.MonkeyPatch, said: str = "disk I/O error"
) -> None:
    """What became of mail can't be written as long as ``broken`` says so; what comes in can."""
    real = batch.Tables.commit

    def commit(tables: batch.Tables, jobs: Sequence[batch.Job]) -> int:
        if broken[0] and any(isinstance(job, batch.Settle) for job in jobs):
            raise sqlite3.OperationalError(said)
        return real(tables, jobs)

    monkeypatch.setattr(batch.Tables, "commit", commit)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def told(tmp_path: Path) -> list[tuple[str, str]]:
    """The events, each with the hop it names."""
    db = sqlite3.connect(tmp_path / "lane.sqlite")
    rows = db.execute("SELECT kind, data FROM events ORDER BY id").fetchall()
    return [(kind, json.loads(data).get("hop", "")) for kind, data in rows]


def kinds(tmp_path: Path) -> list[str]:
    return [kind for kind, _ in told(tmp_path)]


async def test_what_is_delivered_leaves_the_queue(tmp_path: Path) -> None:
    world = World()
    async with working(tmp_path, world) as (_, lane, keep):
        await keep(*(letter(n) for n in range(30)))
        await until(lambda: lane.count == 0)
    assert len(world.sent) == 30
    assert kinds(tmp_path) == ["delivered"] * 30


async def test_what_is_put_off_is_tried_when_it_is_due(tmp_path: Path) -> None:
    world = World(replies={"bob@e.example": [451, 451, 250]})
    async with working(tmp_path, world) as (dispatcher, lane, keep):
        await keep(letter(1))
        for _ in range(2):
            await until(lambda: dispatcher.waiting == 1)
            dispatcher.look()  # not due yet
            assert dispatcher.waiting == 1
            world.now += 60
            dispatcher.look()
        await until(lambda: lane.count == 0)
    assert world.sent == ["bob@e.example"]
    assert kinds(tmp_path) == ["deferred", "deferred", "delivered"]


async def test_each_recipient_has_its_own_fate_and_one_report_tells_of_all(tmp_path: Path) -> None:
    world = World(
        replies={"no1@e.example": [550], "no2@e.example": [550], "later@e.example": [451, 250]}
    )
    names = ("no1@e.example", "yes@e.example", "later@e.example", "no2@e.example")
    async with working(tmp_path, world) as (dispatcher, lane, keep):
        await keep(letter(1, *names))
        await until(lambda: dispatcher.waiting == 1 and "alice@d.example" in world.sent)
        world.now += 60
        dispatcher.look()
        await until(lambda: lane.count == 0)
    assert world.bounced == [(letter(1).id, "failed", ["no1@e.example", "no2@e.example"])]
    assert sorted(world.sent) == ["alice@d.example", "later@e.example", "yes@e.example"]


async def test_the_sender_is_told_once_of_the_delay_and_of_the_end(tmp_path: Path) -> None:
    world = World(replies={"bob@e.example": [451]})
    async with working(tmp_path, world) as (dispatcher, lane, keep):
        await keep(letter(1))
        for _ in range(5):
            await until(lambda: dispatcher.waiting == 1 or lane.count == 0)
            world.now += 60
            dispatcher.look()
            await until(lambda: dispatcher.waiting == 1 or lane.count == 0)
        await until(lambda: lane.count == 0)
    assert [kind for _, kind, _ in world.bounced] == ["delayed", "failed"]
    assert kinds(tmp_path).count("expired") == 1


async def test_rules_hold_and_discard(tmp_path: Path) -> None:
    world = World(routes={"held@e.example": Action.HOLD, "gone@e.example": Action.DISCARD})
    async with working(tmp_path, world) as (_, lane, keep):
        await keep(letter(1, "held@e.example", "gone@e.example", "bob@e.example"))
        await until(lambda: len(kinds(tmp_path)) == 3)
        (item,) = await items_in(lane)
        assert (item.recipient.address, item.state) == ("held@e.example", State.HELD)
    assert sorted(kinds(tmp_path)) == ["delivered", "discarded", "held"]


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    world = World(down=True)
    async with working(tmp_path, world) as (dispatcher, _, keep):
        await keep(letter(1), letter(2, "a@e.example", "b@e.example"))
        await until(lambda: dispatcher.waiting == 3)
    world.down = False
    world.now += 3600
    world.next_try = lambda *_: None  # type: ignore[method-assign]
    async with working(tmp_path, world) as (dispatcher, lane, _):
        dispatcher.look()
        await until(lambda: lane.count == 0)
    assert sorted(world.sent) == ["a@e.example", "b@e.example", "bob@e.example"]


async def test_a_store_that_fails_stops_delivery_and_nothing_is_sent_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", 0.02)
    world = World(delay=0.05)
    broken = [False]
    async with working(tmp_path, world) as (dispatcher, lane, keep):
        no_record_while(broken, monkeypatch)
        await keep(*(letter(n) for n in range(5)))
        broken[0] = True
        for number in range(5, 20):
            kept = False
            while not kept:  # refused where it met a failing record in one batch: it comes again
                with contextlib.suppress(StoreError):
                    await keep(letter(number))
                    kept = True
        await until(lambda: dispatcher.stopped)
        await asyncio.sleep(0.1)
        sent = len(world.sent)
        await asyncio.sleep(0.1)
        assert len(world.sent) == sent  # nothing new is begun
        broken[0] = False
        await until(lambda: lane.count == 0)
        assert not dispatcher.stopped
    assert world.said == [
        ("delivery_stopped", {"error": "disk I/O error"}),
        ("delivery_resumed", {}),
    ]
    assert len(world.sent) == 20
    assert kinds(tmp_path) == ["delivered"] * 20


async def test_what_is_delivered_is_recorded_when_we_end_though_the_store_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", 0.02)
    monkeypatch.setattr(recorder, "AGAIN", 0.01)
    world = World(delay=0.05)
    broken = [True]
    async with working(tmp_path, world) as (dispatcher, lane, keep):
        no_record_while(broken, monkeypatch, "database or disk is full")
        await keep(*(letter(n) for n in range(3)))
        await until(lambda: dispatcher.stopped)
        asyncio.get_running_loop().call_later(0.1, broken.__setitem__, 0, False)
        await dispatcher.close()
        assert world.sent  # not all of them, where the store failed before the last was begun
        assert lane.count == 3 - len(world.sent)
    assert len(kinds(tmp_path)) == len(world.sent)


async def test_what_does_not_fit_in_memory_stays_on_the_disk_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LITTLE", 0)
    monkeypatch.setattr(room, "IN_HAND", 20)
    world = World(delay=0.002)
    most = 0
    async with working(tmp_path, world) as (dispatcher, lane, keep):
        await keep(*(letter(n) for n in range(60)))
        while lane.count:
            most = max(most, dispatcher._room.octets)
            await asyncio.sleep(0.001)
    assert len(world.sent) == 60
    assert most <= 20 + 3


@pytest.mark.parametrize("again", [False, True], ids=["just accepted", "after a start"])
async def test_a_hop_that_hangs_leaves_room_for_the_mail_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """Two long letters for a slow hop, and nothing went anywhere until they were through."""
    monkeypatch.setattr(room, "IN_HAND", 40)
    monkeypatch.setattr(room, "SHARE", 10)
    monkeypatch.setattr(room, "LITTLE", 5)
    monkeypatch.setattr(module, "LOOK", 0.01)
    world, open_up = World(), asyncio.Event()
    connect = world.connect

    async def hangs(hop: Hop, domain: str, first: object) -> Carrier:
        if hop.name == "spare":
            await open_up.wait()
        return await connect(hop, domain, first)

    def choose(_: Letter, item: Item) -> Choice:
        slow = item.recipient.address.startswith("slow")
        return Choice(Action.DELIVER, "spare" if slow else "hop", "rule")

    monkeypatch.setattr(world, "connect", hangs)
    monkeypatch.setattr(world, "choose", choose)
    slow = [letter(n, f"slow{n}@e.example") for n in range(30)]
    long = letter(30, "slow30@e.example")._replace(content=b"x" * 38 + b"\r\n")
    quick = [letter(n, f"quick{n}@e.example") for n in range(31, 61)]
    if again:
        lane = Lane(tmp_path / "lane.sqlite")
        await lane.open()
        for one in (*slow, long, *quick):
            await lane.put(one)
        await lane.close()
    async with working(tmp_path, world, "spare") as (dispatcher, lane, keep):
        if not again:
            await keep(*slow, long)
            await keep(*quick)
        await until(lambda: len(world.sent) == len(quick))
        assert all(name.startswith("quick") for name in world.sent)
        assert dispatcher._room.octets <= 2 * 40 + 5
        with contextlib.closing(sqlite3.connect(tmp_path / "lane.sqlite", timeout=5)) as other:
            other.execute("UPDATE changes SET n = n + 1")  # by the command: all is looked at anew
            other.commit()
        await asyncio.sleep(0.05)
        open_up.set()
        await until(lambda: lane.count == 0)
        assert dispatcher._room.octets == 0
    assert len(world.sent) == len(set(world.sent)) == 61


async def test_the_command_changes_the_queue_beside_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry asked for by a person goes now; what is on its way is not sent again."""
    monkeypatch.setattr(module, "LOOK", 0.01)
    world = World(replies={"late@e.example": [451, 250]}, delay=0.15)
    async with working(tmp_path, world) as (dispatcher, lane, keep):
        await keep(letter(1, "late@e.example"))
        await until(lambda: dispatcher.waiting == 1)
        other = sqlite3.connect(tmp_path / "lane.sqlite", isolation_level=None, timeout=5)
        await keep(letter(2))
        other.execute("UPDATE recipients SET due = 0 WHERE address = 'late@e.example'")
        other.execute("UPDATE changes SET n = n + 1")
        await until(lambda: lane.count == 0)
    assert sorted(world.sent) == ["bob@e.example", "late@e.example"]


async def test_what_only_waits_for_a_connection_can_be_held_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told as held and as deleted, and went all the same."""
    monkeypatch.setattr(module, "LOOK", 0.01)
    world = World(delay=0.3)
    names = [f"u{n}@e.example" for n in range(40)]
    async with working(tmp_path, world) as (_, lane, keep):
        await keep(*[letter(n, name) for n, name in enumerate(names)])
        await until(lambda: world.begun > 0)
        begun = world.begun
        assert begun < 10  # a slow start; the others wait for a connection
        other = sqlite3.connect(tmp_path / "lane.sqlite", isolation_level=None, timeout=5)
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE recipients SET state = 'held' WHERE address <> 'u39@e.example'")
        other.execute("UPDATE changes SET n = n + 1")
        other.execute("COMMIT")
        await until(lambda: "u39@e.example" in world.sent)
        await asyncio.sleep(0.2)
        assert world.begun == begun + 1
        other.execute("UPDATE recipients SET state = 'ready'")
        other.execute("UPDATE changes SET n = n + 1")
        await until(lambda: lane.count == 0)
    assert sorted(world.sent) == sorted(names)


async def test_an_address_beyond_ascii_takes_no_other_with_it(tmp_path: Path) -> None:
    """RFC 6531 section 3.2: a server without SMTPUTF8 can have the others."""
    world = World()
    async with working(tmp_path, world) as (_, lane, keep):
        await keep(letter(1, "a@e.example", "ü@e.example", "b@e.example"))
        await until(lambda: lane.count == 0)
    assert world.begun == 2
    assert sorted(world.sent) == ["a@e.example", "b@e.example", "ü@e.example"]


async def test_a_hop_that_refuses_the_login_is_left_alone_for_a_while(tmp_path: Path) -> None:
    world = World()

    async def refused(*_: object) -> Carrier:
        world.opened += 1
        raise Refused(Stage.AUTH, Reply.make(535, "no", "5.7.8"))

    world.connect = refused  # type: ignore[method-assign]
    world.judge = lambda task, carried, carrier: [  # type: ignore[method-assign]
        Outcome(name, Result.DEFERRED, 535) for name in task.recipients
    ]
    async with working(tmp_path, world) as (dispatcher, _, keep):
        await keep(*(letter(n) for n in range(1, 10)))  # they could go by several at once
        await until(lambda: dispatcher.waiting == 9)
        await keep(*(letter(n) for n in range(10, 30)))
        await until(lambda: dispatcher.waiting == 29)
        world.now += 60
        dispatcher.look()
        await until(lambda: dispatcher.waiting == 29)
        assert world.opened == 1


async def test_what_is_under_way_at_the_end_is_waited_for_and_recorded(tmp_path: Path) -> None:
    world = World(delay=0.2, replies={"c@e.example": [550]})
    async with working(tmp_path, world) as (_, _, keep):
        await keep(letter(1, "a@e.example", "b@e.example"), letter(2, "c@e.example"))
        await until(lambda: world.begun == 2)
    lane = Lane(tmp_path / "lane.sqlite", spare=0)
    await lane.open()
    # Nothing that arrived is sent again; the report waits for the next start.
    assert [item.recipient.address for item in await items_in(lane)] == ["alice@d.example"]
    await lane.close()


async def test_the_end_does_not_wait_for_ever(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pools, "ENDING", 0.1)
    world = World(delay=60.0)
    async with working(tmp_path, world) as (_, _, keep):
        await keep(letter(1))
        await until(lambda: bool(world.sent))
    lane = Lane(tmp_path / "lane.sqlite", spare=0)
    await lane.open()
    assert len(await items_in(lane)) == 1
    await lane.close()


@pytest.mark.parametrize("ill", ["down", "login"])
async def test_another_hop_stands_in(tmp_path: Path, ill: str) -> None:
    world = World(down=("hop",)) if ill == "down" else World(login="hop")
    async with working(tmp_path, world, "spare") as (dispatcher, lane, keep):
        await keep(*(letter(n) for n in range(20)))
        await until(lambda: lane.count == 0)
        assert dispatcher.waiting == 0
    assert len(world.sent) == 20
    assert set(world.went) == {"spare"}
    assert sorted(told(tmp_path)) == [("delivered", "")] * 20 + [("rerouted", "spare")] * 20


async def test_where_nobody_stands_in_any_more_mail_waits_for_the_first(tmp_path: Path) -> None:
    world = World(down=True)
    async with working(tmp_path, world, "spare", "last") as (dispatcher, lane, keep):
        await keep(letter(1))
        await until(lambda: dispatcher.waiting == 1)
        assert told(tmp_path) == [("rerouted", "spare"), ("rerouted", "last"), ("deferred", "")]
        world.down = False
        world.now += 61
        await until(lambda: lane.count == 0)
    assert world.went == ["hop"]


async def test_a_server_that_will_not_have_us_is_left_for_another(tmp_path: Path) -> None:
    world = World(replies={"bob@e.example": [552, 250], "carol@e.example": [451]})
    async with working(tmp_path, world, "spare") as (dispatcher, _, keep):
        await keep(letter(1, "bob@e.example", "carol@e.example"))
        await until(lambda: dispatcher.waiting == 1 and "bob@e.example" in world.sent)
    # The one whom a server put off is not: another server would only be asked for a favour.
    assert sorted(told(tmp_path)) == [("deferred", ""), ("delivered", ""), ("rerouted", "spare")]
    assert world.went == ["hop", "spare"]


async def test_what_is_refused_is_not_tried_elsewhere(tmp_path: Path) -> None:
    world = World(replies={"bob@e.example": [550]})
    async with working(tmp_path, world, "spare") as (_, lane, keep):
        await keep(letter(1))
        await until(lambda: bool(world.bounced) and lane.count == 0)
    assert "rerouted" not in kinds(tmp_path)


async def test_each_domain_goes_its_own_way_behind_a_hop_of_ours(tmp_path: Path) -> None:
    world = World(down=("hop",))
    people = ("a@one.example", "b@two.example", "c@one.example")
    async with working(tmp_path, world, "mx") as (dispatcher, lane, keep):
        await keep(letter(1, *people))
        await until(lambda: lane.count == 0)
        ways = set(dispatcher.pools)
    assert ways == {("hop", ""), ("mx", "one.example"), ("mx", "two.example")}
    assert sorted(world.sent) == sorted(people)


async def test_a_store_that_fails_sends_nobody_elsewhere(tmp_path: Path) -> None:
    """What the other hop delivered could not be recorded either."""
    refused = Carried(failure=NetworkFailure(Failure.REFUSED, Stage.CONNECT))
    async with working(tmp_path, World(), "spare") as (dispatcher, lane, _):
        for stopped in (True, False):
            dispatcher._recorder.stopped = stopped
            one = letter(int(stopped))
            task = Task(one, await lane.put(one))
            dispatcher._room.take(("hop", ""), one)
            dispatcher._back(("hop", ""), task, refused, None)
            assert (("spare", "") in dispatcher.pools) is not stopped


def _command(tmp_path: Path, *changes: str) -> None:
    """What ``posthouse queue`` does: the change, and the sign to the worker."""
    other = sqlite3.connect(tmp_path / "lane.sqlite", isolation_level=None, timeout=5)
    other.execute("BEGIN IMMEDIATE")
    for change in (*changes, "UPDATE changes SET n = n + 1"):
        other.execute(change)
    other.execute("COMMIT")
    other.close()


async def test_what_is_held_while_it_is_tried_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The try under way can't be taken back; when it was put off, it went all the same."""
    monkeypatch.setattr(module, "LOOK", 0.01)
    world = World(replies={"bob@e.example": [451, 250]}, delay=0.2)
    async with working(tmp_path, world) as (_, lane, keep):
        await keep(letter(1))
        await until(lambda: world.begun == 1)
        _command(tmp_path, "UPDATE recipients SET state = 'held'")
        await asyncio.sleep(0.05)  # it is looked at: in our hands
        await until(lambda: "deferred" in kinds(tmp_path))
        world.now += 3600
        await asyncio.sleep(0.3)
        assert (world.begun, world.sent) == (1, [])
        _command(tmp_path, "UPDATE recipients SET state = 'ready'")
        await until(lambda: lane.count == 0)
    assert world.sent == ["bob@e.example"]


@pytest.mark.parametrize("what", ["changed", "waiting", "load"])
async def test_a_file_that_cannot_be_read_for_a_moment_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The look for what is due ended with it, for ever; what was to be loaded was forgotten."""
    monkeypatch.setattr(module, "LOOK", 0.01)
    world = World(replies={"bob@e.example": [451, 250]})
    async with working(tmp_path, world) as (dispatcher, lane, keep):
        await keep(letter(1))
        await until(lambda: dispatcher.waiting == 1)
        statements = {"changed": "FROM changes", "waiting": "warned FROM", "load": "content,"}
        reader = _Failing(lane._reader, statements[what])
        lane._reader = reader  # type: ignore[assignment]
        if what == "waiting":
            _command(tmp_path)
        world.now += 3600
        await until(lambda: reader.failed > 1)
        reader.statement = "never"
        await until(lambda: lane.count == 0)
    assert world.sent == ["bob@e.example"]


async def test_a_letter_that_cannot_be_read_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One damaged page, and all that lie behind it in the order of their time. It is told once."""
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: told.append(about["message"]))
    monkeypatch.setattr(module, "LOOK", 0.01)
    names = [f"u{n}@e.example" for n in range(5)]
    world = World(replies={name: [451, 250] for name in names})
    async with working(tmp_path, world) as (dispatcher, lane, keep):
        await keep(*[letter(n, name) for n, name in enumerate(names)])
        await until(lambda: dispatcher.waiting == 5)
        real, damaged, tries = lane.load, letter(0).id, 0

        async def load(name: str) -> Letter | None:
            nonlocal tries
            if name == damaged:
                tries += 1
                raise StoreError("database disk image is malformed")
            return await real(name)

        monkeypatch.setattr(lane, "load", load)
        world.now += 3600
        await until(lambda: lane.count == 1 and tries > 3)
    assert sorted(world.sent) == names[1:]
    assert told == [f"message {damaged} could not be read"]


async def test_what_people_do_goes_to_log_and_numbers_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", 0.01)
    world = World(routes={"held@e.example": Action.HOLD})
    async with working(tmp_path, world) as (dispatcher, lane, keep):
        told: list[Event] = []
        monkeypatch.setattr(dispatcher, "_watch", told.append)
        await keep(letter(1, "held@e.example"))
        await until(lambda: kinds(tmp_path) == ["held"])
        name = letter(1).id
        event = (
            f"VALUES (7.5, 'released', {number_of(name)}, 'held@e.example', '{{\"by\":\"al\"}}')"
        )
        _command(tmp_path, f"INSERT INTO events (at, kind, letter, recipient, data) {event}")
        await until(lambda: len(told) == 2)
        _command(tmp_path)
        await until(lambda: not lane.changed())
        await asyncio.sleep(0.05)
    assert told[1] == Event(7.5, "released", name, "held@e.example", {"by": "al"})
    assert [one.kind for one in told] == ["held", "released"]


class _Failing:
    """A connection that can't read what one kind of statement asks for."""

    def __init__(self, db: sqlite3.Connection, statement: str) -> None:
        self.db = db
        self.statement = statement
        self.failed = 0

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if self.statement in sql:
            self.failed += 1
            raise sqlite3.OperationalError("disk I/O error")
        return self.db.execute(sql, *values)

    def close(self) -> None:
        self.db.close()


async def test_letters_that_cannot_be_counted_are_acknowledged_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for that commit waited for ever."""
    monkeypatch.setattr(module, "LOOK", 0.01)
    world = World(delay=0.1)
    async with working(tmp_path, world) as (_, lane, keep):
        await keep(letter(1))
        await until(lambda: world.begun == 1)
        reader = _Failing(lane._reader, "count(*)")
        lane._reader = reader  # type: ignore[assignment]
        lane._recount = True
        await until(lambda: reader.failed > 0)
        async with asyncio.timeout(1):
            await keep(letter(2))
        reader.statement = "never"
        await until(lambda: lane.count == 0)
    assert len(world.sent) == 2


async def test_a_store_that_fails_stops_delivery_where_all_goes_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record of nothing but other ways counted as none: delivery went on, unrecorded."""
    monkeypatch.setattr(module, "LOOK", 0.02)
    world = World(down=("hop",), delay=0.3)

    def commit(tables: batch.Tables, jobs: Sequence[batch.Job]) -> int:
        if any(isinstance(job, batch.Settle) for job in jobs):
            raise sqlite3.OperationalError("disk I/O error")
        return real(tables, jobs)

    real = batch.Tables.commit
    async with working(tmp_path, world, "spare") as (dispatcher, _, keep):
        monkeypatch.setattr(batch.Tables, "commit", commit)
        await keep(letter(1))
        await until(lambda: dispatcher.stopped)
        await asyncio.sleep(0.1)
        assert dispatcher.stopped
        assert [kind for kind, _ in world.said] == ["delivery_stopped"]
        monkeypatch.setattr(batch.Tables, "commit", real)


async def test_a_way_round_is_recorded_though_nothing_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came while another record was on its way, and nothing after it."""
    monkeypatch.setattr(pools, "ENDING", 0.05)
    world = World(down=("hop",), delay=20.0)
    async with working(tmp_path, world, "spare") as (_, lane, keep):
        slow, real = asyncio.get_running_loop().create_future(), lane.settle
        monkeypatch.setattr(lane, "settle", lambda *_: slow)
        await keep(letter(1))
        await until(lambda: world.went == ["spare"])
        await keep(letter(2))
        monkeypatch.setattr(lane, "settle", real)
        slow.set_result(())
        await until(lambda: kinds(tmp_path) == ["rerouted"])


async def test_what_was_held_while_nothing_could_be_recorded_does_not_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", 0.02)
    world = World(delay=0.1)
    broken = [True]
    async with working(tmp_path, world) as (dispatcher, lane, keep):
        no_record_while(broken, monkeypatch)
        await keep(*(letter(n, f"u{n}@e.example") for n in range(20)))
        await until(lambda: dispatcher.stopped)
        await asyncio.sleep(0.2)  # what was under way is over
        begun = world.begun
        assert begun < 20
        _command(tmp_path, "UPDATE recipients SET state = 'held'")
        broken[0] = False
        await until(lambda: not dispatcher.stopped)
        await asyncio.sleep(0.2)
        assert world.begun == begun
        assert lane.count == 20 - begun


async def test_a_rule_holds_once_whatever_the_command_changes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", 0.01)
    world = World(routes={"gone@e.example": Action.DISCARD, "held@e.example": Action.HOLD})
    async with working(tmp_path, world) as (_, lane, keep):
        real = lane.settle
        waits = [True]

        def settle(*record: Any) -> asyncio.Future[Any]:
            async def late() -> Any:
                while waits[0]:
                    await asyncio.sleep(0.01)
                return await real(*record)

            return asyncio.ensure_future(late())

        monkeypatch.setattr(lane, "settle", settle)
        await keep(letter(1, "gone@e.example", "held@e.example"))
        _command(tmp_path)
        await asyncio.sleep(0.1)
        waits[0] = False
        await until(lambda: len(kinds(tmp_path)) >= 2)
        await asyncio.sleep(0.1)
    assert kinds(tmp_path) == ["discarded", "held"]


async def test_a_bug_keeps_no_message_in_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken is over, what was not is tried again, and the log has it."""
    world, errors = World(replies={"no@e.example": [550]}), []

    def judge(*_: object) -> list[Outcome]:
        raise ZeroDivisionError

    monkeypatch.setattr(world, "judge", judge)
    asyncio.get_running_loop().set_exception_handler(lambda _, told: errors.append(told))
    async with working(tmp_path, world) as (dispatcher, lane, put):
        await put(letter(1, "yes@e.example", "no@e.example"))
        async with asyncio.timeout(5):
            while dispatcher.waiting == 0:
                await asyncio.sleep(0.005)
        (item,) = await items_in(lane)
        assert (item.recipient.address, item.attempts) == ("no@e.example", 1)
        assert dispatcher._hands == set()
    assert isinstance(errors[0]["exception"], ZeroDivisionError)


async def test_a_long_queue_is_read_while_all_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read, loaded and failed a little at a time, and each tried once: what is deferred between two
    parts is not there twice, what the command deletes is gone."""
    monkeypatch.setattr(lanes, "PART", 10)
    monkeypatch.setattr(module, "AHEAD", 30)
    monkeypatch.setattr(module, "LOOK", 0.02)
    monkeypatch.setattr(pools, "TURN", 5)
    most = [0]
    world = World(down=True)
    real = World.judge

    def judge(task: Task, carried: Carried, carrier: Carrier | None) -> list[Outcome]:
        most[0] += 1
        asyncio.get_running_loop().call_soon(most.__setitem__, 0, 0)
        assert most[0] <= module.TURN  # in one turn of the loop
        return real(world, task, carried, carrier)

    monkeypatch.setattr(world, "judge", judge)
    async with working(tmp_path, world) as (dispatcher, lane, keep):
        await keep(*(letter(n) for n in range(100)))
        await until(lambda: dispatcher.waiting == 100)
        other = sqlite3.connect(tmp_path / "lane.sqlite", isolation_level=None)
        for n in range(5):
            gone = (number_of(letter(n).id),)
            other.execute("BEGIN IMMEDIATE")
            other.execute("DELETE FROM recipients WHERE letter = ?", gone)
            other.execute("DELETE FROM letters WHERE id = ?", gone)
            other.execute("UPDATE changes SET n = n + 1")
            other.execute("COMMIT")
            await keep(letter(200 + n))
            await asyncio.sleep(0.01)
        await until(lambda: not lane.changed() and dispatcher.waiting == 100)
        assert lane.count == 100
        world.down = False
        world.now += 60
        await until(lambda: lane.count == 0)
        other.close()
    assert len(world.sent) == 100
    assert kinds(tmp_path).count("delivered") == 100
