"""What becomes of each recipient, whatever happens meanwhile: walks by chance.

Letters come; servers say yes, no, later, or break; the store fails; a person holds, releases,
retries and deletes; clocks jump; the relay ends in good order or is killed. Each recipient that was
accepted ends once: delivered, sent back or deleted. Nobody gets a message twice but where an answer
or a record was lost, and what is held or deleted does not go.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.letter import Item, Letter, Outcome, QueueFull, Recipient, Result, StoreError
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_work import Carried
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.deliver import dispatch, recorder
from posthouse.send.deliver.dispatch import Dispatcher
from posthouse.send.deliver.transaction import Task
from posthouse.send.hop import Action, Choice, Hop, Target
from posthouse.send.queue import batch
from posthouse.send.queue.desk import Act, Desk
from posthouse.send.queue.files import file_of
from posthouse.send.queue.ids import Ids, text_of
from posthouse.send.queue.lane import Lane
from posthouse.send.queue.query import Query

START = 1_764_000_000.0
HOPS = {
    "one": Hop("one", (Target("one.e.example", 25),), pool=2, fallback="spare"),
    "spare": Hop("spare", (Target("spare.e.example", 25),), pool=2),
    "other": Hop("other", (Target("other.e.example", 25),), pool=3, reuse=2),
}
DELAYS = (0.0, 0.001, 0.005, 0.03)  # seconds a server takes; the dispatcher looks each 0.004
LOST, BROKEN = 0, 1  # beside codes of replies: taken, and the answer lost; not taken
ENDS = {"delivered", "refused", "expired", "deleted", "discarded"}


@dataclass
class World:
    """Clocks, servers and the disk, and what they saw."""

    passed: float = START  # of the monotonic clock
    off: float = 0.0  # of the wall clock beside it
    moods: tuple[int, ...] = (250,)  # what is said to one recipient after the other
    down: tuple[str, ...] = ()
    fails: str = ""  # of the store: "records", "all"
    letters: int = 0
    turn: int = 0
    sent: Counter[str] = field(default_factory=Counter)  # whom a server has taken a message for
    excused: set[str] = field(default_factory=set)  # who may get it twice
    barred: set[str] = field(default_factory=set)  # held or deleted
    wrong: list[str] = field(default_factory=list)  # those who got it all the same
    reports: dict[str, tuple[str, list[str]]] = field(default_factory=dict)  # kind, about whom

    def now(self) -> float:
        return self.passed + self.off

    def mood(self) -> int:
        self.turn += 1
        return self.moods[self.turn % len(self.moods)]

    async def connect(self, hop: Hop, domain: str, _: object) -> Carrier:
        await asyncio.sleep(0)
        if hop.name in self.down:
            raise NetworkFailure(Failure.REFUSED, Stage.CONNECT)
        return _Carrier(self)  # type: ignore[return-value]

    def choose(self, letter: Letter, item: Item) -> Choice:
        name = item.recipient.address
        if name.startswith("held") and item.attempts == 0:
            return Choice(Action.HOLD, rule="held")
        if name.startswith("gone"):
            return Choice(Action.DISCARD, rule="gone")
        return Choice(Action.DELIVER, "other" if name.startswith("other") else "one")

    def judge(self, task: Task, carried: Carried, carrier: Carrier | None) -> list[Outcome]:
        kinds = {2: Result.DELIVERED, 4: Result.DEFERRED, 5: Result.REFUSED}
        found = []
        for name in task.recipients:
            said = carried.replies.get(name)
            result = kinds[said[1].code // 100] if said else Result.DEFERRED
            found.append(Outcome(name, result, said[1].code if said else 0))
        return found

    def next_try(self, item: Item, outcome: Outcome, accepted: float, now: float) -> float | None:
        return now + 60 if now + 60 < accepted + 600 else None

    def warn_due(self, item: Item, accepted: float, now: float) -> bool:
        return now >= accepted + 120

    def bounce(
        self, letter: Letter, told: Sequence[tuple[Item, Outcome]], kind: str, now: float
    ) -> Letter | None:
        if kind == "delivered" or not letter.sender:
            return None
        id_ = text_of(self.ids.next(now))
        self.reports[id_] = (kind, [item.recipient.address for item, _ in told])
        return Letter(id_, "", (Recipient(f"{id_}@d.example"),), b"Subject: no\r\n\r\n", now)

    def __post_init__(self) -> None:
        self.ids = Ids(0)


class _Carrier:
    """A connection."""

    vanished = False

    def __init__(self, world: World) -> None:
        self.world = world
        self.extensions: Mapping[str, str] = {}
        self.failure: NetworkFailure | None = None
        self.carried = 0
        self.opened = self.used = world.passed
        self.deadline = float("inf")

    def carry(self, mail: Any, recipients: Sequence[Any], _: bytes) -> asyncio.Future[Carried]:
        world, loop = self.world, asyncio.get_running_loop()
        names = [one.recipient for one in recipients]
        world.wrong += [name for name in names if name in world.barred]
        moods = {name: world.mood() for name in names}
        self.carried += 1
        if {LOST, BROKEN} & set(moods.values()):
            unsure = LOST in moods.values()
            if unsure:
                world.sent.update(names)
                world.excused.update(names)
            self.failure = NetworkFailure(Failure.RESET, Stage.ANY)
            carried = Carried({}, self.failure, unsure)
        else:
            world.sent.update(name for name, code in moods.items() if code == 250)
            said = {name: (Stage.RCPT, Reply.make(code, "so")) for name, code in moods.items()}
            carried = Carried(said)
        done: asyncio.Future[Carried] = loop.create_future()
        loop.call_later(DELAYS[world.turn % len(DELAYS)], done.set_result, carried)
        return done

    def quit(self) -> None: ...


class Walk:
    """One relay after the other over one lane."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.world = World()
        self.accepted: list[str] = []
        self.to_bar: dict[str, tuple[str, int]] = {}  # once they are out of our hands

    async def start(self) -> None:
        self.lane = Lane(file_of(self.data, 0), spare=0)
        await self.lane.open()
        world = self.world
        world.ids = self.lane.ids(0)
        self.dispatcher = Dispatcher(
            self.lane,
            HOPS,
            choose=world.choose,
            connect=world.connect,
            judge=world.judge,
            schedule=world,
            bounce=world.bounce,
            now=world.now,
            monotonic=lambda: world.passed,
        )
        await self.dispatcher.start()

    async def end(self, *, kill: bool) -> None:
        """In good order; or nothing more is written, and nothing begun."""
        dispatcher, well = self.dispatcher, not (kill or self.world.fails)
        if kill:
            self.world.fails = "all"
            dispatcher._closing = True
            for pool in dispatcher.pools.values():
                pool.pause()
            if dispatcher._looking is not None:
                dispatcher._looking.cancel()
        await dispatcher.close()
        await self.lane.close()
        if kill:
            self.world.fails = ""
        recorded = self.names_of({"delivered"})
        unrecorded = {name for name in self.world.sent if name not in recorded}
        assert not well or unrecorded <= self.world.excused
        self.world.excused |= unrecorded

    # -- the steps

    async def accept(self, kinds: Sequence[str]) -> None:
        world = self.world
        world.letters += 1
        names = [f"{kind}{n}.{world.letters}@e.example" for n, kind in enumerate(kinds)]
        id_ = text_of(world.ids.next(world.now()))
        people = tuple(map(Recipient, names))
        one = Letter(id_, "alice@d.example", people, b"x\r\n", world.now())
        try:
            items = await self.lane.put(one)
        except (StoreError, QueueFull):
            return
        self.accepted += names
        self.dispatcher.take(one, items)

    async def moods(self, moods: tuple[int, ...]) -> None:
        self.world.moods = moods

    async def down(self, names: tuple[str, ...]) -> None:
        self.world.down = names

    async def store(self, fails: str) -> None:
        self.world.fails = fails

    async def clock(self, by: float) -> None:
        self.world.off += by

    async def time(self, seconds: float) -> None:
        self.world.passed += seconds

    async def restart(self, kill: bool) -> None:
        await self.end(kill=kill)
        await self.start()

    async def command(self, act: Act, pattern: str) -> None:
        with Desk(self.data) as desk:
            picked = desk.pick(Query(recipient=pattern), act)
            names = self.addresses(picked.keys[0][1])
            if act is Act.RELEASE:
                self.world.barred -= names.keys()
                self.to_bar = {n: key for n, key in self.to_bar.items() if n not in names}
            done = set(desk.do(picked, self.world.now()).keys[0][1])
        if act in (Act.HOLD, Act.DELETE):
            number = {key: (text_of(key[0]), key[1]) for key in done}
            self.to_bar |= {n: number[key] for n, key in names.items() if key in done}

    def bar(self) -> None:
        """A change counts from when it was looked at; a try that was under way ends."""
        if not self.lane.changed():
            out = {n for n, key in self.to_bar.items() if key not in self.dispatcher._hands}
            self.world.barred |= out
            self.to_bar = {n: key for n, key in self.to_bar.items() if n not in out}

    # -- what is on the disk

    def asked(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(file_of(self.data, 0))) as db:
            return db.execute(sql).fetchall()

    def addresses(self, keys: Sequence[tuple[int, int]]) -> dict[str, tuple[int, int]]:
        rows = self.asked("SELECT address, letter, n FROM recipients")
        return {address: (letter, n) for address, letter, n in rows if (letter, n) in set(keys)}

    def names_of(self, kinds: set[str]) -> Counter[str]:
        rows = self.asked("SELECT kind, recipient FROM events")
        return Counter(name for kind, name in rows if kind in kinds)

    # -- the end

    async def finish(self) -> None:
        """All is well again: nothing may stay."""
        world = self.world
        world.moods, world.down, world.fails = (250,), (), ""
        others = "SELECT 1 FROM recipients WHERE state <> 'held' LIMIT 1"
        await self.until(lambda: not (self.dispatcher._hands or self.asked(others)))
        await self.command(Act.RELEASE, "*")
        dispatcher, room = self.dispatcher, self.dispatcher._room
        # A letter is out of the count when it is off the disk, and of our hands a moment later.
        await self.until(lambda: not (dispatcher._hands or self.lane.count or room._letters))
        await self.until(lambda: dispatcher.waiting == 0)
        assert (room.octets, room._ways, room._aside, room._count) == (0, {}, {}, 0)
        assert (dispatcher._hands, list(dispatcher._ready)) == (set(), [])
        await self.end(kill=False)
        assert self.asked("SELECT * FROM recipients") == self.asked("SELECT id FROM letters") == []

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)
                self.world.passed += 1_000

    def check(self) -> None:
        world = self.world
        assert world.wrong == []
        assert {n for n, times in world.sent.items() if times > 1} <= world.excused
        ends = {kind: self.names_of({kind}) for kind in ENDS}
        kept = [json.loads(data)["report"] for (data,) in self.asked(_REPORTS)]
        about = Counter(
            name
            for (id_,) in self.asked("SELECT DISTINCT letter FROM events WHERE kind = 'bounced'")
            for name in world.reports[text_of(id_)][1]
            if world.reports[text_of(id_)][0] == "failed"
        )
        for name in self.accepted:
            had = [kind for kind in sorted(ENDS) for _ in range(ends[kind][name])]
            others = [kind for kind in had if kind != "deleted"]
            assert len(others) == 1 or had == ["deleted"] or (name in world.excused and others)
            if "delivered" in others:
                assert world.sent[name]
            failed = ends["refused"][name] + ends["expired"][name]
            assert about[name] == failed
            if world.sent[name] and name not in world.excused:
                assert "delivered" in others
        assert len(kept) == len(world.reports.keys() & {text_of(i) for (i,) in self.asked(_IDS)})


_REPORTS = "SELECT data FROM events WHERE kind = 'bounced'"
_IDS = "SELECT DISTINCT letter FROM events WHERE kind = 'bounced'"

ACCEPT = st.tuples(
    st.just("accept"),
    st.lists(st.sampled_from(["one", "one", "other", "held", "gone"]), min_size=1, max_size=4),
)
COMMAND = st.tuples(st.sampled_from(list(Act)), st.sampled_from(["*", "one*", "other*", "*0.*"]))
WORLD = st.one_of(
    st.tuples(
        st.just("moods"),
        st.sampled_from([(250,), (451,), (250, 451, 550), (BROKEN, 250, 451), (LOST, 250, 550)]),
    ),
    st.tuples(st.just("down"), st.sampled_from([(), ("one",), ("one", "spare"), ("other",)])),
    st.tuples(st.just("store"), st.sampled_from(["", "", "records", "all"])),
    st.tuples(st.just("clock"), st.sampled_from([-3_600.0, -2.0, 2.0, 3_600.0])),
    st.tuples(st.just("time"), st.sampled_from([20.0, 61.0, 150.0])),
    st.tuples(st.just("restart"), st.booleans()),
)
STEP = st.tuples(st.one_of(ACCEPT, COMMAND, WORLD), st.sampled_from([0, 0, 6, 20]))  # and ms after


@asynccontextmanager
async def walking() -> AsyncIterator[Walk]:
    with tempfile.TemporaryDirectory() as folder:
        file_of(Path(folder), 0).parent.mkdir()
        walk = Walk(Path(folder))
        await walk.start()
        yield walk


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEP, min_size=5, max_size=40))
def test_each_recipient_ends_once(
    monkeypatch: pytest.MonkeyPatch, steps: Sequence[tuple[tuple[Any, Any], int]]
) -> None:
    monkeypatch.setattr(dispatch, "LOOK", 0.004)
    monkeypatch.setattr(recorder, "LAST", 0.03)
    monkeypatch.setattr(recorder, "AGAIN", 0.005)

    async def go() -> None:
        async with walking() as walk:

            def commit(tables: batch.Tables, jobs: Sequence[batch.Job]) -> int:
                records = any(isinstance(job, batch.Settle) for job in jobs)
                if walk.world.fails == "all" or (walk.world.fails and records):
                    raise sqlite3.OperationalError("disk I/O error")
                return real(tables, jobs)

            with monkeypatch.context() as patched:
                patched.setattr(batch.Tables, "commit", commit)
                for (what, how), milliseconds in steps:
                    if isinstance(what, Act):
                        await walk.command(what, how)
                    else:
                        await getattr(walk, what)(how)
                    await asyncio.sleep(milliseconds / 1_000)
                    walk.bar()
                await walk.finish()
            walk.check()

    real = batch.Tables.commit
    asyncio.run(go())
