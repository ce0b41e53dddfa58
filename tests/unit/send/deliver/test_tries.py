"""One login at a time until it is taken, in all pools of all workers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from fakes.smtp import FakeSmtpServer
from posthouse.flow import Failure, NetworkFailure, Secret, Stage
from posthouse.letter import Item, Letter, Recipient, State
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_open import Refused
from posthouse.net.smtp_work import Carried
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.deliver import pool as pool_module
from posthouse.send.deliver import tries
from posthouse.send.deliver.pool import Pool
from posthouse.send.deliver.transaction import Task, Way
from posthouse.send.deliver.tries import FRESH, LOGIN_SORE, Login, Replies
from posthouse.send.hop import Hop
from posthouse.send.submit.limits import Ledger, Rate, Rates

HOP = Hop("ses", user="u", secret=Secret("canary-secret"))
WRONG = Refused(Stage.AUTH, Reply.make(535, "No", "5.7.8"))
GONE = NetworkFailure(Failure.REFUSED, Stage.CONNECT)


class World:
    """The clock, and the memory that workers share."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.ledger = Ledger(1, 64)
        self.replies = Replies(64)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def login(self, hop: Hop = HOP) -> Login:
        """What another worker knows."""
        shared = Rates([Rate(1, LOGIN_SORE)], ledger=self.ledger)
        return Login(hop, shared, self.replies, now=lambda: self.now, sleep=self.sleep)


async def refused(login: Login) -> bool:
    try:
        await login.turn()
    except Refused as error:
        return (error.stage, error.reply.code) == (Stage.AUTH, 535)
    return False


async def test_whoever_comes_while_it_is_tried_waits_for_the_outcome() -> None:
    world = World()
    one, two = world.login(), world.login()
    await one.turn()
    waiting = asyncio.create_task(two.turn())
    await asyncio.sleep(0)
    assert not waiting.done()
    one.worked()
    await waiting
    assert one.taken
    assert not two.taken  # what holds for one connection, another worker proves for itself


async def test_after_a_refusal_nobody_tries_for_five_minutes() -> None:
    world = World()
    one, two = world.login(), world.login()
    await one.turn()
    one.failed(WRONG)
    assert await refused(two)
    assert world.now == 1_000.0  # known at once
    assert await refused(world.login())  # a worker that was started anew
    world.now += LOGIN_SORE / 2
    with pytest.raises(Refused) as known:
        await two.turn()
    assert not known.value.heard  # no server says it this time
    two.failed(known.value)  # being told of it is no try, and makes nothing longer
    world.now = 1_000.0 + LOGIN_SORE + 20
    assert not await refused(two)


async def test_who_did_not_hear_the_refusal_knows_its_words() -> None:
    world = World()
    blocked = Reply.make(535, "账号 is blocked " + "é" * 600, "5.7.0")
    await (one := world.login()).turn()
    one.failed(Refused(Stage.AUTH, blocked))
    with pytest.raises(Refused) as known:
        await world.login().turn()
    assert not known.value.heard
    assert str(known.value.reply).startswith("535 5.7.0 账号 is blocked ééé")
    world.replies.put("somebody else's", Reply.make(535, "No"))
    assert world.replies.get("nobody's") is None


async def test_a_server_that_cannot_judge_it_now_refuses_nothing() -> None:
    world = World()
    one = world.login()
    await one.turn()
    one.failed(Refused(Stage.AUTH, Reply.make(454, "Temporary failure", "4.7.0")))
    assert not await refused(world.login())


async def test_a_try_that_never_ends_bars_nobody_for_long() -> None:
    """Its worker was killed, or the server takes its time: that is no refusal."""
    world = World()
    await world.login().turn()
    assert not await refused(world.login())
    assert 0 <= world.now - 1_000.0 - tries.PATIENCE <= tries.LOOK


async def test_a_new_password_is_tried_at_once() -> None:
    world = World()
    await (one := world.login()).turn()
    one.failed(WRONG)
    assert await refused(world.login())
    assert not await refused(world.login(Hop("ses", user="u", secret=Secret("another"))))
    assert not await refused(world.login(Hop("other", user="u", secret=HOP.secret)))


@pytest.mark.parametrize("error", [GONE, None], ids=["nobody there", "cancelled"])
async def test_what_says_nothing_of_the_login_bars_nobody(error: NetworkFailure | None) -> None:
    world = World()
    await (one := world.login()).turn()
    one.failed(error)
    assert not await refused(world.login())


async def test_a_login_that_is_refused_later_is_proved_anew() -> None:
    world = World()
    await (one := world.login()).turn()
    one.worked()
    assert not await refused(one)  # no turn is needed any more
    one.failed(WRONG)
    assert not one.taken


async def test_a_login_that_was_taken_long_ago_is_proved_by_one_for_all() -> None:
    """It was changed at the provider meanwhile."""
    world = World()
    one, two = world.login(), world.login()
    for login in (one, two):
        await login.turn()
        login.worked()
    assert (one.fresh, two.fresh) == (True, True)
    world.now += FRESH
    assert (one.fresh, one.taken) == (False, True)
    await one.turn()
    waiting = asyncio.create_task(two.turn())
    await asyncio.sleep(0)
    one.failed(WRONG)
    with pytest.raises(Refused) as known:
        await waiting
    assert not known.value.heard


async def test_who_works_late_takes_nobody_elses_turn() -> None:
    world = World()
    one, two, three = world.login(), world.login(), world.login()
    await one.turn()
    one.worked()
    await two.turn()
    one.worked()  # a second connection, begun while the login was fresh
    before = world.now
    await three.turn()
    assert world.now - before >= tries.PATIENCE


async def test_a_hop_without_a_login_asks_nobody() -> None:
    login = World().login(Hop("direct"))
    assert login.taken
    login.failed(GONE)
    assert login.taken


def test_nothing_kept_holds_the_password() -> None:
    login = World().login()
    assert "canary" not in repr(vars(login))


def task(number: int) -> Task:
    letter = Letter(str(number), "a@d.example", (Recipient("b@e.example"),), b"x\r\n", 0.0)
    return Task(letter, (Item(0, letter.id, letter.recipients[0], State.READY),))


async def test_two_workers_with_a_wrong_password_try_it_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tries, "PATIENCE", 0.2)
    monkeypatch.setattr(tries, "LOOK", 0.01)
    ledger, tried, done = Ledger(1, 64), [], []
    now = asyncio.get_running_loop().time

    async def connect(hop: Hop, *_: object) -> Carrier:
        tried.append(hop.name)
        await asyncio.sleep(0.05)
        raise WRONG

    def report(_task: Task, carried: Carried, _carrier: Carrier | None) -> None:
        done.append(carried)

    def pool(connect: Callable[[Hop, str], Awaitable[Carrier]]) -> Pool:
        shared = Rates([Rate(1, LOGIN_SORE)], ledger=ledger)
        return Pool(Way(HOP), connect, report, now=now, tries=shared)

    pools = [pool(connect), pool(connect)]
    for one in pools:
        for number in range(10):
            one.add(task(number))
    async with asyncio.timeout(5):
        while len(done) < 20:
            await asyncio.sleep(0.01)
    assert tried == ["ses"]
    assert {reply.code for one in done for _, reply in one.replies.values()} == {535}
    for one in pools:
        await one.close()


async def test_being_told_of_a_refusal_makes_it_no_longer() -> None:
    """Who heard of it late waited five minutes from then, while the others sent again."""
    world, tried, done = World(), [], []

    async def connect(hop: Hop, *_: object) -> Carrier:
        tried.append(world.now)
        raise WRONG

    def pool() -> Pool:
        shared = Rates([Rate(1, LOGIN_SORE)], ledger=world.ledger)
        return Pool(
            Way(HOP), connect, lambda *told: done.append(told), now=lambda: world.now, tries=shared
        )

    pools = [pool(), pool()]
    for one, later in ((pools[0], 0.0), (pools[1], LOGIN_SORE - 10), (pools[1], 40.0)):
        world.now += later
        before = len(done)
        one.add(task(before))
        async with asyncio.timeout(5):
            while len(done) == before:
                await asyncio.sleep(0.01)
    assert tried == [1_000.0, 1_000.0 + LOGIN_SORE + 30]
    for one in pools:
        await one.close()


@pytest.mark.parametrize("stands", [False, True])
async def test_a_password_that_was_changed_meanwhile_is_tried_once(
    monkeypatch: pytest.MonkeyPatch, stands: bool
) -> None:
    """``stands``: connections of before are there still, and go on carrying."""
    monkeypatch.setattr(tries, "FRESH", 0.1)
    monkeypatch.setattr(pool_module, "LATE", 0.0)  # as many connections as may be, at once
    tried: list[str] = []
    done: list[Carried] = []
    wrong = False
    now = asyncio.get_running_loop().time

    async def connect(hop: Hop, *_: object) -> Carrier:
        tried.append(hop.name)
        if wrong:
            await asyncio.sleep(0.01)
            raise WRONG
        carrier = Carrier()
        await carrier.open(server.host, server.port)
        await carrier.hello("relay.d.example")
        return carrier

    def report(_task: Task, carried: Carried, _carrier: Carrier | None) -> None:
        done.append(carried)

    async def burst() -> None:
        tried.clear()
        done.clear()
        for number in range(50):
            pool.add(task(number))
        async with asyncio.timeout(5):
            while len(done) < 50:
                await asyncio.sleep(0.01)

    async with FakeSmtpServer() as server:
        pool = Pool(Way(replace(HOP, idle=600.0 if stands else 0.0)), connect, report, now=now)
        await burst()
        assert len(tried) > 1
        await asyncio.sleep(1.2)  # the pool's sweep, and FRESH
        wrong = True
        await burst()
        assert len(tried) == 1
        codes = {reply.code for one in done for _, reply in one.replies.values()}
        assert codes == ({250} if stands else {535})
        await pool.close()
