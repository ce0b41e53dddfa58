"""The parts together, on a real queue: out to servers that answer so or so, and reports back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from fakes.behaviour import Behaviour
from fakes.smtp import FakeSmtpServer
from posthouse.explain.bounce import read_bounce
from posthouse.letter import Event, Letter, Recipient
from posthouse.net.resolver import FixtureResolver
from posthouse.send.deliver.bounce import Bounces
from posthouse.send.deliver.connect import Connect
from posthouse.send.deliver.dispatch import Dispatcher
from posthouse.send.deliver.keys import Keys
from posthouse.send.deliver.outcome import outcomes
from posthouse.send.deliver.places import Ourselves
from posthouse.send.deliver.prepare import Prepare
from posthouse.send.deliver.retry import Retry, Schedule
from posthouse.send.hop import Action, Choice, Hop
from posthouse.send.queue.lane import Lane

MESSAGE = b"From: alice@d.example\r\nMessage-ID: <1@d.example>\r\nSubject: x\r\n\r\nhi\r\n"
DAY = 86_400.0
START = 1_760_000_000.0


class World:
    """A relay that delivers directly; ``d.example`` is where its senders read their mail."""

    def __init__(self, lane: Lane, port: int) -> None:
        self.now = START
        self.events: list[Event] = []
        self.lane = lane
        loop = asyncio.get_running_loop()
        zone = {
            ("d.example", "MX"): ["10 mail.test."],
            ("e.example", "MX"): ["10 mail.test."],
            ("two.example", "MX"): ["10 down.test.", "20 mail.test."],
            ("null.example", "MX"): ["0 ."],
            ("mail.test", "A"): ["127.0.0.1"],
            ("down.test", "A"): ["127.0.0.3"],
        }
        ids = count(900)
        rng = random.Random(1)
        self.dispatcher = Dispatcher(
            lane,
            {"direct": Hop("direct")},
            choose=lambda _letter, _recipient: Choice(Action.DELIVER, "direct"),
            connect=Connect(
                FixtureResolver(zone),
                ehlo="relay.d.example",
                now=loop.time,
                rng=rng,
                us=Ourselves(loopback=False),
                mx_port=port,
            ),
            judge=outcomes,
            schedule=Schedule(Retry(), rng),
            bounce=Bounces("relay.d.example", lambda: str(next(ids))),
            now=lambda: self.now,
            monotonic=lambda: loop.time() + self.now - START,  # both clocks go on together
            prepare=Prepare(Keys(()), lambda: self.now),
            watch=self.events.append,
        )

    async def send(
        self,
        *to: str,
        params: Mapping[str, str | None] | None = None,
        sender: str = "",
        content: bytes = MESSAGE,
        mail: Mapping[str, str | None] | None = None,
    ) -> None:
        recipients = tuple(Recipient(address, params or {}) for address in to)
        sender = sender or "alice@d.example"
        letter = Letter(
            *("1", sender, recipients, content, self.now, mail or {}), message_id="<1@d.example>"
        )
        self.dispatcher.take(letter, await self.lane.put(letter))

    async def until(self, *kinds: str) -> list[Event]:
        """Wait for these events, in any order."""
        async with asyncio.timeout(10):
            while sorted(event.kind for event in self.events) != sorted(kinds):
                await asyncio.sleep(0.01)
        return self.events


@asynccontextmanager
async def world(folder: Path, behaviour: Behaviour) -> AsyncIterator[tuple[World, FakeSmtpServer]]:
    folder.mkdir(exist_ok=True)
    lane = Lane(folder / "lane.db")
    await lane.open()
    async with FakeSmtpServer(behaviour) as server:
        made = World(lane, server.port)
        await made.dispatcher.start()
        try:
            yield made, server
        finally:
            await made.dispatcher.close()
            await lane.close()


UNKNOWN = ((r"RCPT TO:<bob@.*", "550 5.1.1 User unknown"),)


async def test_a_refused_recipient_comes_back_to_the_sender(tmp_path: Path) -> None:
    async with world(tmp_path, Behaviour(replies=UNKNOWN)) as (relay, server):
        await relay.send("bob@e.example", "carol@e.example")
        await relay.until("refused", "delivered", "bounced", "delivered")
        to_carol, back = server.messages
        assert to_carol.content == MESSAGE
        assert (back.mail.sender, [r.recipient for r in back.recipients]) == (
            "",
            ["alice@d.example"],
        )
        found = read_bounce(back.content)
        assert found is not None
        assert found.about("<1@d.example>")
        assert [one.recipient for one in found.recipients] == ["bob@e.example"]
        assert found.recipients[0].explanation is not None
        assert found.recipients[0].explanation.cause.id == "rcpt.unknown"
        assert relay.lane.count == 0


async def test_a_report_that_cannot_be_delivered_is_dropped(tmp_path: Path) -> None:
    refuse = ((r"RCPT.*", "550 5.1.1 User unknown"),)
    async with world(tmp_path, Behaviour(replies=refuse)) as (relay, server):
        await relay.send("bob@e.example")
        await relay.until("refused", "bounced", "refused")
        assert server.messages == []
        assert relay.lane.count == 0


async def test_a_report_of_eight_bits_comes_home_in_seven(tmp_path: Path) -> None:
    """Nobody may recode the signed message in it, and the sender's server takes no 8 bits."""
    content = b"DKIM-Signature: v=1; d=d.example\r\n" + MESSAGE + "Grüße\r\n".encode()
    async with world(tmp_path, Behaviour(extensions=("PIPELINING",))) as (relay, server):
        await relay.send("bob@null.example", content=content, mail={"RET": "FULL"})
        await relay.until("refused", "bounced", "refused", "bounced", "delivered")
        (back,) = server.messages
        assert back.content.isascii()
        assert back.mail.sender == ""
        found = read_bounce(back.content)
        assert found is not None
        assert found.about("<1@d.example>")
        assert relay.lane.count == 0


@pytest.mark.parametrize("domain", ["null.example", "nowhere.example"])
async def test_domains_without_mail_come_back_at_once(tmp_path: Path, domain: str) -> None:
    async with world(tmp_path, Behaviour()) as (relay, server):
        await relay.send(f"bob@{domain}")
        events = await relay.until("refused", "bounced", "delivered")
        assert events[0].data["cause"] == "rcpt.domain"
        assert len(server.messages) == 1


async def test_delayed_then_warned_then_given_up(tmp_path: Path) -> None:
    later = ((r"RCPT TO:<bob@.*", "451 4.7.1 Greylisted, see you in 300 seconds"),)
    async with world(tmp_path, Behaviour(replies=later)) as (relay, server):
        begin = relay.now
        await relay.send("bob@e.example")
        events = await relay.until("deferred")
        assert events[0].data["cause"] == "rate.greylisted"
        assert 300 <= float(str(events[0].data["due"])) - begin <= 375

        relay.now += 5 * 3_600
        relay.dispatcher.look()
        await relay.until("deferred", "deferred", "bounced", "delivered")
        warning = read_bounce(server.messages[-1].content)
        assert warning is not None
        assert warning.kind == "delayed"

        relay.now = begin + 5 * DAY
        relay.dispatcher.look()
        kinds = ("deferred", "deferred", "bounced", "delivered", "expired", "bounced", "delivered")
        await relay.until(*kinds)
        end = read_bounce(server.messages[-1].content)
        assert end is not None
        assert end.kind == "failed"
        assert end.recipients[0].status == "4.4.7"
        assert relay.lane.count == 0


async def test_what_a_stand_in_lacks_waits_for_the_first(tmp_path: Path) -> None:
    async with world(tmp_path, Behaviour(size=20)) as (relay, _):
        await relay.send("bob@two.example")
        (event,) = await relay.until("deferred")
        assert event.data["cause"] == "msg.too_big"
        assert str(event.data["host"]).startswith("mail.test ")
    async with world(tmp_path / "first", Behaviour(size=20)) as (relay, _):
        await relay.send("bob@e.example")  # of the first it is the last word
        await relay.until("refused", "bounced", "refused")


async def test_what_was_put_off_together_goes_together_again(tmp_path: Path) -> None:
    later = ((r"RCPT.*", ("450 4.2.0 Not now",) * 3 + ("250 2.1.5 Ok",)),)
    async with world(tmp_path, Behaviour(replies=later)) as (relay, server):
        await relay.send("bob@e.example", "carol@e.example", "dave@e.example")
        events = await relay.until(*["deferred"] * 3)
        assert len({event.data["due"] for event in events}) == 1
        relay.now += 61
        relay.dispatcher.look()
        await relay.until(*["deferred"] * 3, *["delivered"] * 3)
        assert [len(message.recipients) for message in server.messages] == [3]


async def test_a_server_with_limits_gets_a_letter_in_parts(tmp_path: Path) -> None:
    behaviour = Behaviour(extensions=("PIPELINING", "LIMITS RCPTMAX=2"))
    async with world(tmp_path, behaviour) as (relay, server):
        await relay.send(*(f"{n}@e.example" for n in range(5)))
        await relay.until(*["delivered"] * 5)
        assert [len(message.recipients) for message in server.messages] == [2, 2, 1]
        assert relay.lane.count == 0
        assert relay.dispatcher._room.octets == 0


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()])
async def test_who_is_too_many_at_the_end_goes_in_smaller_parts(
    tmp_path: Path, extensions: tuple[str, ...]
) -> None:
    """As Amazon SES counts. Each gets it once, and the next letter knows."""
    people = [f"{n}@e.example" for n in range(11)]
    behaviour = Behaviour(max_at_end=3, extensions=extensions)
    async with world(tmp_path, behaviour) as (relay, server):
        await relay.send(*people)
        await relay.until(*["delivered"] * 11)
        got = [r.recipient for message in server.messages for r in message.recipients]
        assert sorted(got) == sorted(people)
        assert relay.lane.count == 0
        assert relay.dispatcher._room.octets == 0
        ends = sum(line == "DATA" for seen in server.seen for line in seen.lines)
        assert ends <= 2 * len(people)

        relay.events.clear()
        await relay.send(*people)
        await relay.until(*["delivered"] * 11)
        again = sum(line == "DATA" for seen in server.seen for line in seen.lines) - ends
        assert again == 6  # 2 at once: 11, 5 and then 2 were tried


async def test_who_does_not_exist_is_told_beside_those_who_were_too_many(tmp_path: Path) -> None:
    people = ["bob@e.example", *(f"{n}@e.example" for n in range(4))]
    async with world(tmp_path, Behaviour(max_at_end=2, replies=UNKNOWN)) as (relay, server):
        await relay.send(*people)
        await relay.until("refused", *["delivered"] * 4, "bounced", "delivered")
        got = [r.recipient for message in server.messages for r in message.recipients]
        assert sorted(got) == sorted([*people[1:], "alice@d.example"])


async def test_one_recipient_who_is_too_many_waits(tmp_path: Path) -> None:
    async with world(tmp_path, Behaviour(max_at_end=0)) as (relay, server):
        await relay.send("bob@e.example", "carol@e.example")
        for event in await relay.until("deferred", "deferred"):
            assert event.data["cause"] == "rate.recipients"
            assert "exceeds 0" in str(event.data["reply"])
        assert server.messages == []


async def test_success_is_reported_where_the_server_will_not(tmp_path: Path) -> None:
    for extensions, kinds in (
        (("PIPELINING",), ("delivered", "bounced", "delivered")),
        (("PIPELINING", "DSN"), ("delivered",)),
    ):
        folder = tmp_path / str(len(extensions))
        folder.mkdir()
        async with world(folder, Behaviour(extensions=extensions)) as (relay, server):
            await relay.send("bob@e.example", params={"NOTIFY": "SUCCESS"})
            await relay.until(*kinds)
            rcpt = next(line for line in server.seen[0].lines if line.startswith("RCPT"))
            assert ("NOTIFY=SUCCESS" in rcpt) is ("DSN" in extensions)


async def test_a_server_without_smtputf8_sends_the_letter_back(tmp_path: Path) -> None:
    async with world(tmp_path, Behaviour(extensions=("8BITMIME",))) as (relay, _):
        await relay.send("用户@e.example")
        events = await relay.until("refused", "bounced", "delivered")
        assert "5.6.7" in str(events[0].data["reply"])


async def test_the_same_letter_again_needs_no_second_look(tmp_path: Path) -> None:
    async with world(tmp_path, Behaviour()) as (relay, server):
        await relay.send("bob@e.example")
        await relay.until("delivered")
        one = Letter("2", "alice@d.example", (Recipient("bob@e.example"),), MESSAGE, relay.now)
        relay.dispatcher.take(one, await relay.lane.put(one._replace(client="x")))
        await relay.until("delivered", "delivered")
        assert len(server.seen) == 1  # the connection was used again
