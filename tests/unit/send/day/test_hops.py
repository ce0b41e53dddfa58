"""What next hops see of us: gaps, connections, who of several gets how much."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from posthouse.protocol.smtp.reply import Reply
from unit.send.day.loop import live
from unit.send.day.server import CROWDED, OK, UNKNOWN, Server, silence
from unit.send.day.world import DAY, HOUR, MINUTE, world

PACED = {"name": "paced", "hosts": ["paced"], "interval": "30s"}
OTHER = {"name": "other", "hosts": ["other"]}


def gaps(times: list[float]) -> list[float]:
    """To a microsecond: floating point has less than that to give away."""
    return [round(later - earlier, 6) for earlier, later in pairwise(times)]


# Pacing


def test_messages_to_a_paced_hop_are_spaced_and_others_do_not_wait(tmp_path: Path) -> None:
    async def day() -> None:
        paced, other = Server("paced"), Server("other")
        async with world(tmp_path, [paced, other], [PACED, OTHER]) as w:
            begin = w.now
            for n in range(10):
                await w.send(f"p{n}@paced.example")
                await w.send(f"o{n}@other.example")
            await w.until(lambda: len(other.taken) == 10, 10)
            assert w.now - begin < 10
            await w.empty(HOUR)
            w.check_ends()
        assert len(paced.begun) == 10
        assert min(gaps(paced.begun)) >= 30.0
        assert max(gaps(paced.begun)) <= 32.0  # and no slower than asked

    live(day())


def test_the_gap_holds_through_failures_and_restarts(tmp_path: Path) -> None:
    """Every try counts: what the server sees are MAIL commands, whatever became of the last one."""

    async def day() -> None:
        paced = Server("paced", rcpt=lambda _s, address: UNKNOWN if address[1] == "3" else OK)
        cuts = iter([False, True])
        paced.cut = lambda _server: next(cuts, False)
        async with world(tmp_path, [paced], [PACED]) as w:
            for n in range(8):
                await w.send(f"p{n}@paced.example")
            await w.pass_(100)
            async with paced.off():
                await w.pass_(100)
            await w.until(lambda: len(paced.taken) >= 4, DAY)
            await w.stop()
            await w.start()
            await w.until(lambda: len(paced.taken) >= 6, DAY)
            await w.stop()
            await w.pass_(3)
            await w.start()
            await w.empty(DAY)
            w.check_ends()
            await w.pass_(7 * MINUTE)  # long enough for an unused way to be forgotten
            for n in range(8, 11):
                await w.send(f"p{n}@paced.example")
                await w.pass_(12)
            await w.empty(HOUR)
        assert len(paced.begun) >= 11
        assert min(gaps(paced.begun)) >= 30.0

    live(day())


def test_a_gap_is_counted_from_the_answer(tmp_path: Path) -> None:
    """Whatever the way there takes from one of two messages, the server sees all of the gap."""

    async def day() -> None:
        paced = Server("paced", work=4.0)
        async with world(tmp_path, [paced], [PACED]) as w:
            for n in range(5):
                await w.send(f"p{n}@paced.example")
            await w.empty(HOUR)
        answered = [taken.at for taken in paced.taken]
        assert min(gaps(paced.begun)) >= 34.0
        assert [n for n in range(4) if paced.begun[n + 1] - answered[n] < 30.0] == []

    live(day())


def test_the_gap_holds_when_a_quiet_way_was_forgotten(tmp_path: Path) -> None:
    async def day() -> None:
        paced = Server("paced")
        hop = PACED | {"interval": "150s"}
        async with world(tmp_path, [paced], [hop]) as w:
            for n in range(6):
                await w.send(f"p{n}@paced.example")
                await w.pass_(100)
            await w.empty(HOUR)
        assert min(gaps(paced.begun)) >= 150.0

    live(day())


def test_a_letter_that_cannot_go_does_not_stop_a_paced_way(tmp_path: Path) -> None:
    """Too large for the server's SIZE: never said to it, so the next one goes at once."""

    async def day() -> None:
        paced = Server("paced", extensions=("SIZE 1000", "PIPELINING"))
        async with world(tmp_path, [paced], [PACED]) as w:
            await w.send("p0@paced.example")
            for n in range(1, 4):
                await w.send(f"p{n}@paced.example", text="x" * 900 + "\r\n" + "y" * 900)
            await w.send("p4@paced.example")
            await w.empty(10 * MINUTE)
            w.check_ends()
            assert list(w.ends().values()).count(["refused"]) == 3
        assert len(paced.begun) == 2

    live(day())


# Recipients


@pytest.mark.parametrize("code", [452, 552])
def test_who_is_too_many_for_one_message_is_in_the_next_at_once(tmp_path: Path, code: int) -> None:
    """RFC 5321 section 4.5.3.1.10: 452, or 552 as of old; it passes with the transaction."""

    async def day() -> None:
        asked: Counter[int] = Counter()

        def rcpt(server: Server, _: str) -> Reply:
            asked[len(server.begun)] += 1
            return OK if asked[len(server.begun)] <= 10 else Reply.make(code, "Too many recipients")

        few = Server("few", rcpt=rcpt)
        async with world(tmp_path, [few], [{"name": "few", "hosts": ["few"]}]) as w:
            people = [f"u{n}@few.example" for n in range(24)]
            await w.send(*people)
            assert await w.empty(MINUTE) < 5.0
            w.check_ends()
            assert not w.reports()
        assert [len(one.recipients) for one in few.taken] == [10, 10, 4]
        assert sorted(r for one in few.taken for r in one.recipients) == sorted(people)

    live(day())


def test_a_server_that_takes_nobody_is_not_asked_again_at_once(tmp_path: Path) -> None:
    """It says so of the first recipient, too: that is no matter of how many there are."""

    async def day() -> None:
        no = Reply.make(452, "Too many recipients", "4.5.3")
        busy = Server("busy", rcpt=lambda _server, _address: no)
        async with world(tmp_path, [busy], [{"name": "busy", "hosts": ["busy"]}]) as w:
            await w.send("a@busy.example", "b@busy.example")
            await w.pass_(40)
            assert len(busy.begun) == 1
            busy.rcpt = lambda _server, _address: OK
            await w.empty(HOUR)

    live(day())


# Connections


@pytest.mark.parametrize(
    ("table", "most"), [({}, 50), *(({"pool": n}, n) for n in (1, 4, 20, 100))]
)
def test_there_are_never_more_connections_than_the_pool_allows(
    tmp_path: Path, table: dict[str, int], most: int
) -> None:
    async def day() -> None:
        slow = Server("slow", work=20.0)
        async with world(tmp_path, [slow], [{"name": "slow", "hosts": ["slow"], **table}]) as w:
            for n in range(most * 4):
                await w.send(f"u{n}@slow.example")
            await w.empty(HOUR)
            w.check_ends()
        assert slow.most_open == most
        assert slow.most_busy == most
        assert slow.opened == most  # each used again, none for nothing

    live(day())


def test_a_server_that_is_crowded_is_asked_for_less(tmp_path: Path) -> None:
    """It takes ten connections. What is refused beyond them is a probe now and then."""

    async def day() -> None:
        turned_away = 0

        def greet(server: Server) -> Reply:
            nonlocal turned_away
            if server.open > 10:
                turned_away += 1
                return CROWDED
            return Reply(220, ("crowded ESMTP",))

        crowded = Server("crowded", greet=greet, work=1.0)
        async with world(tmp_path, [crowded], [{"name": "crowded", "hosts": ["crowded"]}]) as w:
            for n in range(400):
                await w.send(f"u{n}@crowded.example")
            took = await w.empty(HOUR)
            w.check_ends()
            assert w.kinds()["deferred"] == 0  # to wait for a connection is no failed try
        assert took < 400 / 5 + 20  # at least half of what it would take
        assert turned_away < 100

    live(day())


def test_421_amid_mail_halves_what_goes_at_once(tmp_path: Path) -> None:
    async def day() -> None:
        ends = 0

        def end(server: Server) -> Reply:
            nonlocal ends
            ends += 1
            return CROWDED if 60 <= ends < 70 else OK

        tired = Server("tired", end=end, work=5.0)
        async with world(tmp_path, [tired], [{"name": "tired", "hosts": ["tired"]}]) as w:
            for n in range(300):
                await w.send(f"u{n}@tired.example")
            await w.until(lambda: ends >= 70, HOUR)
            assert tired.most_busy >= 40
            await w.pass_(5)
            assert tired.busy <= 26
            await w.empty(DAY)
            w.check_ends()
        assert tired.most_open <= 50

    live(day())


def test_a_hundred_mails_go_over_one_connection(tmp_path: Path) -> None:
    async def day() -> None:
        near = Server("near")
        async with world(tmp_path, [near], [{"name": "near", "hosts": ["near"]}]) as w:
            await w.send("warm@near.example")
            await w.empty(MINUTE)
            for n in range(100):
                await w.send(f"u{n}@near.example")
            await w.empty(MINUTE)
        assert len(near.taken) == 101
        assert near.opened <= 2

    live(day())


def test_a_hundred_at_once_go_over_two_and_slow_ones_over_more(tmp_path: Path) -> None:
    async def day() -> None:
        near, slow = Server("near"), Server("slow", work=0.5)
        hops = [{"name": name, "hosts": [name]} for name in ("near", "slow")]
        async with world(tmp_path, [near, slow], hops) as w:
            for n in range(100):
                await w.send(f"u{n}@near.example")
                await w.send(f"u{n}@slow.example")
            took = await w.empty(MINUTE)
            w.check_ends()
        assert near.opened <= 2
        assert slow.opened > 10
        assert took < 10  # 50 with one connection

    live(day())


def test_unused_connections_close_and_old_ones_are_replaced(tmp_path: Path) -> None:
    async def day() -> None:
        near = Server("near")
        hop = {"name": "near", "hosts": ["near"], "idle": "20s", "lifetime": "5m", "reuse": 40}
        async with world(tmp_path, [near], [hop]) as w:
            for n in range(50):  # a message each ten seconds: used up by its age
                await w.send(f"a{n}@near.example")
                await w.pass_(10)
            assert near.opened == 2
            await w.pass_(25)
            assert near.open == 0  # unused
            for n in range(60):  # three a second: used up by count
                await w.send(f"b{n}@near.example")
                await w.pass_(0.3)
            assert near.opened == 4
            await w.empty(MINUTE)
            w.check_ends()
        lengths = [end - begin for begin, end in near.lives]
        assert max(lengths) <= 310 + 1

    live(day())


def test_a_connection_the_server_closed_costs_no_try(tmp_path: Path) -> None:
    """It hangs up after 3 s of silence, we would keep it 5: nobody's mail waits for that."""

    async def day() -> None:
        hasty = Server("hasty")
        async with world(tmp_path, [hasty], [{"name": "hasty", "hosts": ["hasty"]}]) as w:
            await hasty.down()
            await hasty.up(wait=3.0)
            for n in range(100):
                await w.send(f"u{n}@hasty.example")
                await w.pass_(2.0 + n / 50)
            await w.empty(MINUTE)
            assert w.kinds()["deferred"] == 0

    live(day())


# Several servers


def pair(**second: int) -> dict[str, object]:
    return {"name": "pair", "hosts": [{"host": "one", "priority": 1}, {"host": "two", **second}]}


@pytest.mark.parametrize("trouble", ["refuses", "silent", "421", "dies"])
def test_the_next_server_takes_over_within_five_seconds(tmp_path: Path, trouble: str) -> None:
    async def day() -> None:
        one, two = Server("one"), Server("two")
        async with world(tmp_path, [one, two], [pair(priority=2)]) as w:
            await w.send("u0@pair.example")
            await w.empty(MINUTE)
            assert (len(one.taken), len(two.taken)) == (1, 0)
            if trouble == "silent":
                one.greet = lambda _server: silence()
            elif trouble == "421":
                one.greet = lambda _server: CROWDED
            if trouble == "dies":
                await one.down()  # with a connection that we hold
            else:
                await w.pass_(10)
                if trouble == "refuses":
                    await one.down()
            begin = w.now
            await w.send("u1@pair.example")
            await w.until(lambda: len(two.taken) == 1, 6)
            assert two.taken[0].at - begin <= 5.05
            for n in range(2, 20):  # and while it is known to be down nobody waits for it
                begin = w.now
                await w.send(f"u{n}@pair.example")
                await w.until(lambda n=n: len(two.taken) == n, 3)  # type: ignore[misc]
            assert w.kinds()["deferred"] == 0
            one.greet = Server("x").greet
            if one.listener is None:
                await one.up()
            await w.pass_(2 * MINUTE)
            await w.send("u20@pair.example")
            await w.empty(MINUTE)
            assert len(one.taken) == 2  # it is the first again

    live(day())


@pytest.mark.parametrize("at_once", [1, 1_000])
def test_equal_weights_share_equally_and_a_dead_one_gets_nothing(
    tmp_path: Path, at_once: int
) -> None:
    async def day() -> None:
        one, two = Server("one", work=0.2), Server("two", work=0.2)
        async with world(tmp_path, [one, two], [pair(priority=1)]) as w:
            for n in range(1_000):
                await w.send(f"u{n}@pair.example")
                if at_once == 1:
                    await w.pass_(0.3)
            await w.empty(HOUR)
            assert len(one.taken) + len(two.taken) == 1_000
            assert 450 <= len(one.taken) <= 550
            if at_once == 1:
                assert one.opened + two.opened <= 4
            await two.down()
            for n in range(1_000, 2_000):
                await w.send(f"u{n}@pair.example")
            await w.empty(HOUR)
            w.check_ends()
        assert 1_450 <= len(one.taken) <= 1_550

    live(day())


def test_weights_share_as_they_say(tmp_path: Path) -> None:
    async def day() -> None:
        one, two = Server("one"), Server("two")
        async with world(tmp_path, [one, two], [pair(priority=1, weight=3)]) as w:
            for n in range(400):
                await w.send(f"u{n}@pair.example")
                await w.pass_(0.1)
            await w.empty(HOUR)
        assert 280 <= len(two.taken) <= 320

    live(day())
