"""Bounces that real mail servers write, read back.

Each server hands a message to a next hop that refuses the recipient (our own SMTP server, with a
given reply each), writes its bounce, and hands that to the same next hop, where it is read: the
recipients, their causes, and the message it is about.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from canaries import PASSWORD
from fakes import background
from fakes.certs import Authority, Issued
from fakes.smtp import Behaviour, FakeSmtpServer
from peers import dma, dovecot, exim, opensmtpd, postfix, process, sendmail
from posthouse.explain.bounce import Bounce, Failed, read_bounce

pytestmark = pytest.mark.netns

ALICE = "alice@sender.test"
MAIL, HOP = "127.0.0.10", "127.0.0.50"
ID = "<letter@sender.test>"

# recipient, the next hop's reply to its RCPT, and the cause
REFUSED = {
    "bob@else.test": (
        "550 5.1.1 <bob@else.test>: Recipient address rejected: User unknown",
        "rcpt.unknown",
    ),
    "eve@else.test": (
        "552 5.2.2 The mailbox you are writing to is over its quota",
        "rcpt.mailbox_full",
    ),
    "dan@else.test": (
        "554 5.7.1 Service unavailable; client host [192.0.2.9] blocked using list.test",
        "sender.reputation",
    ),
}
LETTER = (
    f"Message-ID: {ID}\r\nFrom: {ALICE}\r\nTo: {', '.join(REFUSED)}\r\nSubject: Plans\r\n"
    "Date: Tue, 3 Mar 2026 10:00:00 +0100\r\n\r\nHello.\r\n"
).encode()
HOP_BEHAVIOUR = Behaviour(
    name="hop.test",
    first="220 hop.test ESMTP",
    replies=tuple((f"^RCPT TO:<{who}>", reply) for who, (reply, _) in REFUSED.items()),
)


@dataclass
class World:
    """The next hop, and what the servers before it need."""

    hop: FakeSmtpServer
    certificate: Issued
    trust: ssl.SSLContext

    def forget(self) -> None:
        """Begin anew."""
        for seen in self.hop.seen:
            seen.messages.clear()

    def returned(self) -> list[Bounce]:
        """What came back to Alice, read."""
        found = []
        for message in self.hop.messages:
            if message.recipients[0].recipient == ALICE:
                bounce = read_bounce(message.content)
                assert bounce is not None, message.content.decode("utf-8", "replace")
                found.append(bounce)
        return found

    def told(self) -> dict[str, tuple[Failed, Bounce]]:
        """Each recipient of each bounce."""
        return {
            one.recipient: (one, bounce) for bounce in self.returned() for one in bounce.recipients
        }


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    authority = Authority(process.new_folder("ca"))
    certificate = authority.issue(hosts=["mail.test", MAIL])
    with background.running(FakeSmtpServer(HOP_BEHAVIOUR, host=HOP, port=25)) as hop:
        yield World(hop, certificate, authority.client_context())


def submit(world: World) -> None:
    """Hand in the letter, logged in."""
    with smtplib.SMTP(MAIL, 587, timeout=20) as client:
        client.starttls(context=world.trust)
        client.login(ALICE, PASSWORD)
        client.sendmail(ALICE, list(REFUSED), LETTER)


@contextmanager
def by_postfix(world: World) -> Iterator[Callable[[], None]]:
    settings = {"relayhost": f"[{HOP}]", "mynetworks": "127.0.0.0/8"}
    with postfix.running(MAIL, world.certificate, ports=(25,), settings=settings):

        def send() -> None:
            with smtplib.SMTP(MAIL, 25, timeout=20) as client:
                client.sendmail(ALICE, list(REFUSED), LETTER)

        yield send


@contextmanager
def by_exim(world: World) -> Iterator[Callable[[], None]]:
    # Exim takes no address of 127/8 for another host unless it is told to.
    hop = exim.Smarthost(HOP, transport="  allow_localhost\n  hosts_try_fastopen = :\n")
    with exim.running(MAIL, {ALICE: PASSWORD}, world.certificate, smarthost=hop):
        yield lambda: submit(world)


@contextmanager
def by_opensmtpd(world: World) -> Iterator[Callable[[], None]]:
    relay = f"smtp://{HOP}"
    with opensmtpd.running(MAIL, {ALICE: PASSWORD}, world.certificate, relay=relay):
        yield lambda: submit(world)


@contextmanager
def by_sendmail(world: World) -> Iterator[Callable[[], None]]:
    yield lambda: check(sendmail.send(LETTER, ALICE, list(REFUSED), relay=HOP))


@contextmanager
def by_dma(world: World) -> Iterator[Callable[[], None]]:
    yield lambda: check(dma.send(LETTER, ALICE, list(REFUSED), relay=HOP))


def check(ran: process.Ran) -> None:
    assert ran.code != -1, ran.output


WRITERS = {
    "postfix": by_postfix,
    "exim": by_exim,
    "opensmtpd": by_opensmtpd,
    "sendmail": by_sendmail,
    "dma": by_dma,
}


@pytest.mark.parametrize(
    "writer", [pytest.param(name, marks=pytest.mark.peer(name)) for name in WRITERS]
)
def test_each_refusal_of_the_next_hop_is_explained(world: World, writer: str) -> None:
    world.forget()
    with WRITERS[writer](world) as send:
        send()
        process.wait_until("bounces", lambda: len(world.told()) >= len(REFUSED))
    told = world.told()
    assert {
        who: one.explanation and one.explanation.cause.id for who, (one, _) in told.items()
    } == {who: cause for who, (_, cause) in REFUSED.items()}
    for who, (one, bounce) in told.items():
        assert (one.action, one.status) == ("failed", REFUSED[who][0][4:9])
        assert bounce.about(ID)
        assert bounce.subject == "Plans"


@pytest.mark.peer("postfix", "dovecot")
def test_an_unknown_local_user_is_explained(world: World) -> None:
    world.forget()
    settings = {"relayhost": f"[{HOP}]", "mynetworks": "127.0.0.0/8"}
    with (
        dovecot.running("127.0.0.20", {"here@local.test": PASSWORD}, world.certificate) as boxes,
        postfix.running(
            MAIL,
            world.certificate,
            ports=(25,),
            domains=["local.test"],
            lmtp=boxes,
            settings=settings,
        ),
    ):
        with smtplib.SMTP(MAIL, 25, timeout=20) as client:
            client.sendmail(ALICE, ["gone@local.test"], LETTER)
        process.wait_until("a bounce", world.told)
    gone, bounce = world.told()["gone@local.test"]
    assert gone.explanation is not None
    assert gone.explanation.cause.id == "rcpt.unknown"
    assert bounce.about(ID)
