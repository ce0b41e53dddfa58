"""Servers as good as each other that differ: what one lacks for a letter, another may have."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from fakes.behaviour import EXTENSIONS, Behaviour
from fakes.smtp import FakeSmtpServer
from posthouse.letter import Item, Letter, Outcome, Recipient, Result, State
from posthouse.net.resolver import FixtureResolver
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_work import Carried
from posthouse.send.deliver.connect import Connect
from posthouse.send.deliver.keys import Keys
from posthouse.send.deliver.outcome import outcomes
from posthouse.send.deliver.places import Ourselves
from posthouse.send.deliver.pool import Pool
from posthouse.send.deliver.prepare import Prepare
from posthouse.send.deliver.transaction import Task, Way
from posthouse.send.hop import Hop, Target

PLAIN = b"Subject: x\r\n\r\nhi\r\n"
LONG = b"Subject: x\r\n\r\n" + b"All work and no play.\r\n" * 100
# Signed, so its 8 bits stay.
EIGHT = b"DKIM-Signature: v=1; d=d.example\r\nSubject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n"
LIMIT = 500
SMALL = Behaviour(size=LIMIT)
SEVEN = Behaviour(extensions=tuple(one for one in EXTENSIONS if one != "8BITMIME"))
NO_UTF8 = Behaviour(extensions=tuple(one for one in EXTENSIONS if one != "SMTPUTF8"))
GOOD = Behaviour()


class World:
    """A pool with its connector, over fake servers on one host's ports."""

    def __init__(self) -> None:
        self.told: dict[str, Outcome] = {}
        self.pool: Pool
        self.servers: list[FakeSmtpServer] = []

    def start(self, hop: Hop, zone: dict[tuple[str, str], list[str]], port: int) -> None:
        loop = asyncio.get_running_loop()
        connect = Connect(
            FixtureResolver(zone),
            ehlo="relay.d.example",
            now=loop.time,
            rng=random.Random(1),
            us=Ourselves(loopback=False),
            mx_port=port,
        )
        prepare = Prepare(Keys(()), lambda: 1_700_000_000.0)
        way = Way(hop, "" if hop.targets else "e.example")
        self.pool = Pool(way, connect, self._report, now=loop.time, prepare=prepare)

    def _report(self, task: Task, carried: Carried, carrier: Carrier | None) -> None:
        for one in outcomes(task, carried, carrier):
            assert task.letter.id not in self.told
            self.told[task.letter.id] = one

    async def send(self, *contents: bytes, to: str = "bob@e.example") -> list[Outcome]:
        """What became of these, in their order."""
        first = len(self.told)
        for number, content in enumerate(contents, first):
            item = Item(0, str(number), Recipient(to), State.READY)
            letter = Letter(str(number), "alice@d.example", (item.recipient,), content, 0.0)
            self.pool.add(Task(letter, (item,)))
        async with asyncio.timeout(10):
            while len(self.told) < first + len(contents):
                await asyncio.sleep(0.01)
        return [self.told[str(number)] for number in range(first, first + len(contents))]

    @property
    def took(self) -> list[int]:
        """How many messages each server has."""
        return [len(server.messages) for server in self.servers]

    @property
    def met(self) -> list[int]:
        """How many connections each server saw."""
        return [len(server.seen) for server in self.servers]


class Running(AsyncExitStack):
    """Servers that behave so (None: nobody is there), with these priorities, and the pool."""

    def __init__(
        self, *behaviours: Behaviour | None, priorities: Sequence[int] = (), **more: Any
    ) -> None:
        super().__init__()
        self._behaviours = behaviours
        self._priorities = priorities or [0] * len(behaviours)
        self._more = more

    async def __aenter__(self) -> World:  # type: ignore[override]
        world, ports = World(), []
        for behaviour in self._behaviours:
            server = FakeSmtpServer(behaviour or GOOD)
            if behaviour is None:
                async with server:
                    pass
            else:
                await self.enter_async_context(server)
            world.servers.append(server)
            ports.append(server.port)
        targets = [
            Target("mail.test", port, priority)
            for port, priority in zip(ports, self._priorities, strict=True)
        ]
        world.start(Hop("x", tuple(targets), **self._more), {("mail.test", "A"): ["127.0.0.1"]}, 1)
        self.push_async_callback(world.pool.close)
        return world


@pytest.mark.parametrize(
    ("lacking", "content", "to"),
    [
        (SMALL, LONG, "bob@e.example"),
        (NO_UTF8, PLAIN, "grüße@e.example"),
        (SEVEN, EIGHT, "bob@e.example"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"pool": 1}, {"interval": 0.01}, {"reuse": 1}])
async def test_an_equal_has_what_the_chosen_one_lacks(
    lacking: Behaviour, content: bytes, to: str, more: dict[str, Any]
) -> None:
    async with Running(lacking, GOOD, **more) as world:
        [told] = await world.send(content, to=to)
        assert told.result is Result.DELIVERED
        assert world.took == [0, 1]
        assert world.met == [1, 1]


@pytest.mark.parametrize("more", [{}, {"pool": 1}])
async def test_what_all_of_them_lack_is_refused_with_the_words_of_the_first(
    more: dict[str, Any],
) -> None:
    wide, wider = (Behaviour(size=LIMIT + n) for n in (1, 2))
    async with Running(SMALL, wide, wider, **more) as world:
        [told] = await world.send(LONG)
        assert (told.result, told.cause, told.heard) == (Result.REFUSED, "msg.too_big", False)
        assert f"the limit of {LIMIT} octets" in told.text
        assert world.met == [1, 1, 1]


async def test_who_cannot_be_reached_is_not_waited_for() -> None:
    async with Running(SMALL, None) as world:
        for _ in range(2):
            [told] = await world.send(LONG)
            assert told.result is Result.REFUSED
        [told] = await world.send(PLAIN)
        assert told.result is Result.DELIVERED


async def test_where_nobody_can_be_reached_any_more_it_waits() -> None:
    async with Running(SMALL, None, pool=1) as world:
        await world.send(PLAIN)
        server = world.servers[0]
        server.hang_up()
        server.behaviour = Behaviour(first="421 4.3.2 Not now")
        [told] = await world.send(LONG)
        assert told.result is Result.DEFERRED


async def test_who_only_stands_in_is_not_asked() -> None:
    async with Running(SMALL, GOOD, priorities=(0, 1)) as world:
        [told] = await world.send(LONG)
        assert told.result is Result.REFUSED
        assert world.met == [1, 0]


async def test_what_the_stand_in_lacks_waits_for_the_first() -> None:
    async with Running(None, None, SMALL, priorities=(0, 0, 1)) as world:
        [told] = await world.send(LONG)
        assert told.result is Result.DEFERRED


@pytest.mark.parametrize("more", [{}, {"pool": 1}, {"pool": 2}])
async def test_many_of_both_kinds_go(more: dict[str, Any]) -> None:
    async with Running(SMALL, GOOD, **more) as world:
        told = await world.send(*[LONG, PLAIN, PLAIN, LONG, PLAIN] * 20)
        assert {one.result for one in told} == {Result.DELIVERED}
        assert sum(world.took) == 100
        assert world.took[1] >= 40


async def test_each_kind_of_need_finds_its_server() -> None:
    """One is too small, the other has no 8BITMIME: no letter goes round between them."""
    async with Running(SMALL, SEVEN) as world:
        told = await world.send(LONG, EIGHT, LONG, EIGHT, EIGHT * 20)
        kinds = [one.result for one in told]
        assert kinds == [Result.DELIVERED] * 4 + [Result.REFUSED]


async def test_mail_that_needs_nothing_meets_one_server() -> None:
    async with Running(SMALL, GOOD, pool=1) as world:
        for _ in range(5):
            await world.send(PLAIN)
        assert sum(world.met) == 1


CLOSED = Behaviour(replies=((r"MAIL.*", "521 5.3.2 mail.test does not accept mail"),))


@pytest.mark.parametrize("priorities", [(0, 0), (0, 1)])
@pytest.mark.parametrize("more", [{}, {"pool": 1}])
async def test_who_says_521_to_mail_is_left_for_another(
    priorities: Sequence[int], more: dict[str, Any]
) -> None:
    """RFC 7504: it takes no mail; who stands in may."""
    async with Running(CLOSED, GOOD, priorities=priorities, **more) as world:
        told = await world.send(PLAIN, PLAIN, PLAIN)
        assert {one.result for one in told} == {Result.DELIVERED}
        assert world.took == [0, 3]


@pytest.mark.parametrize("count", [1, 3])
async def test_where_all_say_521_it_is_final(count: int) -> None:
    async with Running(*[CLOSED] * count) as world:
        [told] = await world.send(PLAIN)
        assert (told.result, told.cause, told.code) == (Result.REFUSED, "rcpt.domain", 521)
        assert world.met == [1] * count


async def test_521_of_the_stand_in_waits_for_the_first() -> None:
    async with Running(None, CLOSED, priorities=(0, 1)) as world:
        [told] = await world.send(PLAIN)
        assert told.result is Result.DEFERRED


@pytest.mark.parametrize("size", [LIMIT, None])
async def test_exchangers_of_one_preference(size: int | None) -> None:
    """Whichever comes first by chance; the third, of a worse preference, is not asked."""
    zone = {
        ("e.example", "MX"): ["10 one.test.", "10 two.test.", "20 spare.test."],
        **{(f"{name}.test", "A"): [f"127.0.0.{n}"] for n, name in enumerate(("one", "two"), 51)},
        ("spare.test", "A"): ["127.0.0.53"],
    }
    world = World()
    async with FakeSmtpServer(SMALL, host="127.0.0.51") as one:
        two = FakeSmtpServer(Behaviour(size=size), host="127.0.0.52", port=one.port)
        spare = FakeSmtpServer(GOOD, host="127.0.0.53", port=one.port)
        async with two, spare:
            world.start(Hop("direct"), zone, one.port)
            world.servers = [one, two, spare]
            for _ in range(6):
                [told] = await world.send(LONG)
                assert told.result is (Result.REFUSED if size else Result.DELIVERED)
            await world.pool.close()
            assert world.met[2] == 0
