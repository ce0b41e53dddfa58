"""A server that lets us in and breaks then: the next try meets another one."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from fakes.behaviour import Action, Behaviour
from fakes.smtp import FakeSmtpServer
from posthouse.letter import Item, Letter, Recipient, State
from posthouse.net import smtp_carry
from posthouse.net.resolver import FixtureResolver
from posthouse.net.smtp_work import Carried
from posthouse.send.deliver.connect import Connect
from posthouse.send.deliver.pool import Pool
from posthouse.send.deliver.transaction import Task, Way
from posthouse.send.hop import Hop, Target

BOB = Item(0, "", Recipient("bob@e.example"), State.READY)
LETTER = Letter("1", "alice@d.example", (BOB.recipient,), b"Subject: x\r\n\r\nhi\r\n", 0.0)


async def twice(hop: Hop) -> list[Carried]:
    """What came of a task, and of its next try."""
    loop = asyncio.get_running_loop()
    resolver = FixtureResolver({("mail.test", "A"): ["127.0.0.1"]})
    connect = Connect(resolver, ehlo="relay.d.example", now=loop.time, rng=random.Random(1))
    done: list[Carried] = []
    pool = Pool(Way(hop), connect, lambda _t, told, _c: done.append(told), now=loop.time)
    for count in (1, 2):
        pool.add(Task(LETTER, (BOB,)))
        async with asyncio.timeout(10):
            while len(done) < count:
                await asyncio.sleep(0.01)
    await pool.close()
    return done


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize(
    ("ill", "unsure"),
    [
        ({"replies": ((r"MAIL.*", "421 4.3.2 Not now"),)}, False),
        ({"replies": ((r"MAIL.*", "451 4.3.0 Trouble"),)}, False),
        ({"replies": ((r"MAIL.*", Action.CLOSE),)}, False),
        ({"replies": ((r"MAIL.*", Action.SILENT),)}, False),
        ({"replies": ((r"RCPT.*", "421 4.3.2 Not now"),)}, False),
        ({"lost_reply": True}, True),
        ({"final": "421 4.3.2 Not now"}, False),
    ],
)
async def test_another_server_gets_the_next_try(
    monkeypatch: pytest.MonkeyPatch, ill: dict[str, Any], unsure: bool, equal: bool
) -> None:
    monkeypatch.setattr(smtp_carry, "COMMAND", 0.5)
    async with FakeSmtpServer(Behaviour(**ill)) as one, FakeSmtpServer() as two:
        targets = (Target("mail.test", one.port, 1, 99), Target("mail.test", two.port, 2, 1))
        if equal:
            targets = (targets[0], Target("mail.test", two.port, 1, 1))
        first, second = await twice(Hop("x", targets))
        assert (len(one.seen), len(two.messages)) == (1, 1)
        assert first.unsure is unsure
        assert second.failure is None


@pytest.mark.parametrize(
    "well",
    [
        {"replies": ((r"RCPT.*", "450 4.2.0 Greylisted"),)},
        {"final": "451 4.7.1 This message not now"},
        {"replies": ((r"MAIL.*", "550 5.7.1 Not you"),)},
    ],
)
async def test_what_is_said_of_a_message_says_nothing_of_the_server(well: dict[str, Any]) -> None:
    async with FakeSmtpServer(Behaviour(**well)) as one, FakeSmtpServer() as two:
        await twice(Hop("x", (Target("mail.test", one.port, 1), Target("mail.test", two.port, 2))))
        assert sum(line.startswith("MAIL") for seen in one.seen for line in seen.lines) == 2
        assert two.seen == []
