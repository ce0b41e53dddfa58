"""Lines to a real Postfix with Dovecot: encrypted, resumed, signed in, used many times."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from fakes.certs import Authority, Kind
from peers import dovecot, postfix
from posthouse.flow import Failure, NetworkFailure, Secret, Security, Stage
from posthouse.letter import Item, Letter, Recipient, State
from posthouse.net.resolver import FixtureResolver
from posthouse.net.smtp_open import Refused
from posthouse.send.deliver.connect import Connect, Line
from posthouse.send.deliver.keys import Keys
from posthouse.send.deliver.outcome import outcomes
from posthouse.send.deliver.places import Ourselves
from posthouse.send.deliver.prepare import Prepare
from posthouse.send.deliver.transaction import Task
from posthouse.send.hop import Hop, Target, TlsPolicy

pytestmark = [pytest.mark.netns, pytest.mark.peer("postfix", "dovecot")]
HOST = "127.0.7.1"
ALICE, SECRET = "alice@d.example", Secret("c0rrect-canary-horse")
EIGHT = "From: alice@d.example\r\nSubject: x\r\n\r\nGrüße\r\n..dot\r\n".encode()


def hop(port: int, ca_file: Path, secret: Secret | None = SECRET) -> Hop:
    security = Security.TLS if port == 465 else Security.STARTTLS
    user = ALICE if secret else ""
    ca = str(ca_file)
    targets = (Target("mail.test", port),)
    return Hop("smart", targets, security, TlsPolicy.VERIFIED, ca, user, secret)


async def deliver(line: Line, *to: str) -> list[tuple[str, int]]:
    recipients = tuple(Recipient(address) for address in to)
    items = tuple(Item(n, "1", r, State.READY) for n, r in enumerate(recipients))
    task = Task(Letter("1", ALICE, recipients, EIGHT, 0.0), items)
    ready = Prepare(Keys(()), lambda: 0.0)(task, line.extensions)
    async with asyncio.timeout(20):
        carried = await line.carry(ready.mail, ready.recipients, ready.content)
    return [(str(one.result), one.code) for one in outcomes(task, carried, line)]


async def test_lines_to_postfix(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue(Kind.GOOD, ["mail.test"])
    loop = asyncio.get_running_loop()
    connect = Connect(
        FixtureResolver({("mail.test", "A"): [HOST]}),
        ehlo="relay.d.example",
        now=loop.time,
        rng=random.Random(1),
        us=Ourselves(loopback=False),
    )
    with (
        dovecot.running(HOST, {ALICE: SECRET.reveal()}, certificate) as store,
        postfix.running(HOST, certificate, domains=["d.example"], lmtp=store),
    ):
        for port in (587, 465):
            reused = []
            for _ in range(3):
                line = await connect(hop(port, authority.ca_file))
                reused.append(line.tls.session_reused)
                assert await deliver(line, ALICE) == [("delivered", 250)]
                both = await deliver(line, "nobody@d.example", ALICE)
                assert both[1] == ("delivered", 250)
                line.quit()
            assert reused == [port == 465, True, True]  # one session for one name
        with pytest.raises(Refused) as refused:
            await connect(hop(587, authority.ca_file, Secret("wrong-canary-password")))
        assert (refused.value.stage, refused.value.reply.code) == (Stage.AUTH, 535)
        with pytest.raises(NetworkFailure) as failed:
            await connect(Hop("x", (Target("mail.test", 587),), tls=TlsPolicy.VERIFIED))
        assert failed.value.failure is Failure.CERTIFICATE
