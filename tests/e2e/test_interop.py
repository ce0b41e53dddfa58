"""Our SMTP client against real servers: Postfix, Exim, OpenSMTPD and aiosmtpd.

What every server offers is taken at its word: logins, pipelining, BDAT, SMTPUTF8, SIZE, DSN. The
message is a hard one, and must arrive unchanged.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes

import pytest

from canaries import UNICODE_PASSWORD, WRONG_PASSWORD, find_leaks
from fakes.certs import Authority
from fakes.letter import hard, letter, unchanged
from peers import aiosmtpd, dovecot, exim, opensmtpd, postfix, process
from posthouse.flow import Mark, Secret, Trace
from posthouse.net.smtp import SmtpClient
from posthouse.net.smtp_wire import Timeouts
from posthouse.net.stream import TcpStream
from posthouse.net.tls import TlsOptions
from posthouse.protocol.smtp import (
    Expn,
    Helo,
    Help,
    Noop,
    Rset,
    State,
    Vrfy,
    auth_mechanisms,
    size_limit,
)

pytestmark = [pytest.mark.netns, pytest.mark.filterwarnings("ignore:Requiring AUTH")]

ALICE, BOB, CAROL = (f"{name}@example.test" for name in ("alice", "bob", "carol"))
USERS = dict.fromkeys((ALICE, BOB, CAROL), UNICODE_PASSWORD)
POSTFIX, EXIM, OPENSMTPD, AIOSMTPD = "127.0.0.10", "127.0.0.11", "127.0.0.12", "127.0.0.13"
DOVECOT = "127.0.0.20"
PATIENCE = Timeouts(greeting=20, command=20, data=20, block=20, end=20)
HOSTS = ("mail.test", POSTFIX, EXIM, OPENSMTPD, AIOSMTPD, DOVECOT)


@dataclass(frozen=True)
class Peer:
    """A server, and what is known of its kind."""

    name: str
    host: str
    inbox: Callable[[str], list[bytes]]
    offers: frozenset[str]
    mechanisms: tuple[str, ...]

    async def arrived(self, address: str, subject: str) -> bytes:
        """The message of that subject, once it is there."""
        wanted = f"Subject: {subject}".encode()

        def there() -> list[bytes]:
            return [m for m in self.inbox(address) if wanted in m]

        process.wait_until(f"{subject!r} at {self.name}", there)
        (one,) = there()  # once, not twice
        return one


OFFERS = {
    "postfix": "PIPELINING SIZE ENHANCEDSTATUSCODES 8BITMIME DSN SMTPUTF8 CHUNKING AUTH",
    "exim": "PIPELINING SIZE 8BITMIME DSN SMTPUTF8 CHUNKING AUTH",
    "opensmtpd": "SIZE ENHANCEDSTATUSCODES 8BITMIME DSN AUTH",
    "aiosmtpd": "SIZE 8BITMIME SMTPUTF8 AUTH",
}
MECHANISMS = {
    "postfix": ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"),
    "exim": ("PLAIN", "LOGIN", "CRAM-MD5"),
    "opensmtpd": ("PLAIN", "LOGIN"),
    "aiosmtpd": ("PLAIN", "LOGIN"),
}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(process.new_folder("ca"))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("postfix", marks=pytest.mark.peer("postfix", "dovecot")),
        pytest.param("exim", marks=pytest.mark.peer("exim")),
        pytest.param("opensmtpd", marks=pytest.mark.peer("opensmtpd")),
        "aiosmtpd",
    ],
)
def peer(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Peer]:
    name = request.param
    certificate = authority.issue(hosts=HOSTS)
    known = (frozenset(OFFERS[name].split()), MECHANISMS[name])
    if name == "postfix":
        with (
            dovecot.running(DOVECOT, USERS, certificate) as boxes,
            postfix.running(POSTFIX, certificate, domains=["example.test"], lmtp=boxes) as server,
        ):
            yield Peer(name, server.host, boxes.messages, *known)
    elif name == "exim":
        with exim.running(EXIM, USERS, certificate, main="dsn_advertise_hosts = *") as mta:
            yield Peer(name, mta.host, mta.messages, *known)
    elif name == "opensmtpd":
        with opensmtpd.running(OPENSMTPD, USERS, certificate) as smtpd:
            yield Peer(name, smtpd.host, lambda _: smtpd.messages(), *known)
    else:
        with aiosmtpd.running(AIOSMTPD, USERS, authority.context(hosts=HOSTS)) as python:
            yield Peer(name, python.host, python.messages, *known)


@asynccontextmanager
async def connected(
    host: str, port: int, authority: Authority, trace: Trace | None = None
) -> AsyncIterator[SmtpClient]:
    """Inside TLS on 465 and 587, in clear on 25; EHLO said."""
    client = SmtpClient(await TcpStream.connect(host, port), trace, timeouts=PATIENCE)
    options = TlsOptions(host, ca_file=str(authority.ca_file))
    try:
        if port == 465:
            assert (await client.upgrade(options)).trusted
        assert (await client.greeting()).code == 220
        assert (await client.ehlo("client.test")).code == 250
        if port == 587:
            assert (await client.starttls()).code == 220
            assert (await client.upgrade(options)).trusted
            assert (await client.ehlo("client.test")).code == 250
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def signed_in(
    peer: Peer, authority: Authority, port: int = 587, trace: Trace | None = None
) -> AsyncIterator[SmtpClient]:
    async with connected(peer.host, port, authority, trace) as client:
        outcome = await client.auth("PLAIN", ALICE, Secret(UNICODE_PASSWORD))
        assert outcome.reply.code == 235
        yield client


# The session


async def test_the_extension_list_inside_and_outside_tls(peer: Peer, authority: Authority) -> None:
    client = SmtpClient(await TcpStream.connect(peer.host, 587), timeouts=PATIENCE)
    assert (await client.greeting()).code == 220
    assert (await client.ehlo("client.test")).code == 250
    before = dict(client.extensions)
    assert set(before) >= (peer.offers - {"AUTH"}) | {"STARTTLS"}
    assert "AUTH" not in before
    assert (await client.starttls()).code == 220
    await client.upgrade(TlsOptions(peer.host, ca_file=str(authority.ca_file)))
    assert dict(client.extensions) == {}  # RFC 3207 section 4.2: what was said in clear is void
    assert (await client.ehlo("client.test")).code == 250
    assert set(client.extensions) >= peer.offers
    assert "STARTTLS" not in client.extensions
    assert client.injected == 0
    assert (await client.quit()).code == 221
    assert client.state is State.CLOSED
    await client.close()


async def test_every_login_that_is_offered(peer: Peer, authority: Authority) -> None:
    for port in (587, 465):
        async with connected(peer.host, port, authority) as client:
            assert set(auth_mechanisms(client.extensions)) == set(peer.mechanisms)
    for mechanism in peer.mechanisms:
        trace = Trace(time.monotonic)
        async with connected(peer.host, 587, authority, trace) as client:
            refused = await client.auth(mechanism, ALICE, Secret(WRONG_PASSWORD))
            assert refused.reply.code == 535, mechanism
        async with connected(peer.host, 587, authority, trace) as client:
            outcome = await client.auth(mechanism, ALICE, Secret(UNICODE_PASSWORD))
            assert (outcome.reply.code, outcome.mechanism) == (235, mechanism)
            assert outcome.verified == mechanism.startswith("SCRAM")
            assert (await client.mail(ALICE)).code == 250
            assert (await client.quit()).code == 221
        assert not find_leaks("\n".join(line.text for line in trace.lines))


async def test_the_commands_around_a_transaction(peer: Peer, authority: Authority) -> None:
    async with signed_in(peer, authority) as client:
        assert (await client.command(Noop())).code == 250
        assert (await client.command(Noop("a word"))).code in (250, 501)
        for command in (Vrfy(BOB), Expn("friends"), Help()):
            reply = await client.command(command)
            assert 200 <= reply.code < 600, command
            assert reply.text
        assert (await client.mail(ALICE)).code == 250
        assert (await client.rcpt(BOB)).code == 250
        assert (await client.command(Rset())).code == 250
        assert client.state is State.READY
        assert (await client.mail("")).code == 250  # the null sender, in a new transaction
        assert (await client.rset()).code == 250
        assert (await client.quit()).code == 221


async def test_helo_alone_is_enough_for_port_25(peer: Peer, authority: Authority) -> None:
    subject = f"helo to {peer.name}"
    client = SmtpClient(await TcpStream.connect(peer.host, 25), timeouts=PATIENCE)
    assert (await client.greeting()).code == 220
    assert (await client.command(Helo("client.test"))).code == 250
    mail, recipients = await client.envelope(ALICE, [BOB])
    assert [mail.code, *(r.code for r in recipients)] == [250, 250]
    sent = letter(subject, b"plain")
    assert (await client.data(sent)).code == 250
    assert (await client.quit()).code == 221
    await client.close()
    assert unchanged(await peer.arrived(BOB, subject), sent)


# The message


async def test_a_hard_message_arrives_unchanged_by_data(peer: Peer, authority: Authority) -> None:
    for port in (25, 587, 465):
        subject = f"data to {peer.name} by {port}"
        sent = hard(subject)
        way = connected(peer.host, port, authority) if port == 25 else None
        async with way or signed_in(peer, authority, port) as client:
            params = {"BODY": "8BITMIME", "SIZE": str(len(sent))}
            mail, recipients = await client.envelope(ALICE, [BOB], params)
            assert [mail.code, *(r.code for r in recipients)] == [250, 250]
            assert (await client.data(sent)).code == 250
            assert client.state is State.READY
            assert (await client.quit()).code == 221
        assert unchanged(await peer.arrived(BOB, subject), sent)


@pytest.mark.parametrize("chunk", [7, 1_000, 1_000_000])
async def test_a_hard_message_arrives_unchanged_by_bdat(
    peer: Peer, authority: Authority, chunk: int
) -> None:
    async with signed_in(peer, authority) as client:
        if "CHUNKING" not in peer.offers:
            assert "CHUNKING" not in client.extensions
            return
        subject = f"bdat to {peer.name} by {chunk}"
        sent = hard(subject)
        await client.envelope(ALICE, [BOB], {"BODY": "8BITMIME"})
        assert (await client.bdat(sent, chunk=chunk)).code == 250
        assert (await client.quit()).code == 221
    assert unchanged(await peer.arrived(BOB, subject), sent)


async def test_a_big_message_and_several_on_one_connection(
    peer: Peer, authority: Authority
) -> None:
    subjects = [f"number {n} to {peer.name}" for n in range(3)]
    big = [
        letter(s, *[b".line of a big message"] * (40_000 if s[7] == "1" else 1)) for s in subjects
    ]
    async with signed_in(peer, authority, 465) as client:
        for sent in big:
            await client.envelope(ALICE, [BOB])
            assert (await client.data(sent)).code == 250
        assert (await client.quit()).code == 221
    for subject, sent in zip(subjects, big, strict=True):
        assert unchanged(await peer.arrived(BOB, subject), sent)


async def test_an_envelope_in_groups_with_a_refusal_in_its_middle(
    peer: Peer, authority: Authority
) -> None:
    trace = Trace(time.monotonic)
    subject = f"group to {peer.name}"
    stranger = "x@elsewhere.test"
    async with connected(peer.host, 25, authority, trace) as client:
        begin = len(trace.lines)
        mail, recipients = await client.envelope(ALICE, [BOB, stranger, CAROL])
        assert mail.code == 250
        refused = recipients[1]
        assert (recipients[0].code, recipients[2].code) == (250, 250)
        assert refused.is_permanent
        marks = [line.mark for line in trace.lines[begin:]]
        if "PIPELINING" in peer.offers:
            assert marks[:4] == [Mark.SENT] * 4  # all said before the first answer was read
        else:
            assert marks[:2] == [Mark.SENT, Mark.RECEIVED]
        assert (await client.data(letter(subject, b"to two of three"))).code == 250
        assert (await client.quit()).code == 221
    if peer.name != "opensmtpd":  # one Maildir for everybody: two copies look alike there
        await peer.arrived(CAROL, subject)
        await peer.arrived(BOB, subject)


# Extensions


async def test_size_is_refused_before_the_message(peer: Peer, authority: Authority) -> None:
    async with signed_in(peer, authority) as client:
        limit = size_limit(client.extensions)
        assert limit
        reply = await client.mail(ALICE, {"SIZE": str(limit + 1)})
        if peer.name == "opensmtpd":  # it says so at the end of the data only
            assert reply.code == 250
        else:
            assert reply.code == 552
            assert client.state is State.READY


async def test_smtputf8(peer: Peer, authority: Authority) -> None:
    sender, subject = "爱丽丝@例子.test", f"utf8 to {peer.name}"
    sent = letter(subject, "你好".encode(), sender=sender)
    async with connected(peer.host, 25, authority) as client:
        assert ("SMTPUTF8" in client.extensions) == ("SMTPUTF8" in peer.offers)
        if "SMTPUTF8" not in peer.offers:
            return
        params = {"SMTPUTF8": None, "BODY": "8BITMIME"}
        mail, recipients = await client.envelope(sender, [BOB], params)
        assert [mail.code, *(r.code for r in recipients)] == [250, 250]
        if peer.name == "postfix":  # its LMTP server does not take it, so it would bounce
            assert (await client.rset()).code == 250
            return
        assert (await client.data(sent)).code == 250
    assert unchanged(await peer.arrived(BOB, subject), sent)


async def test_delivery_status_is_asked_for_and_comes(peer: Peer, authority: Authority) -> None:
    subject, envelope_id = f"dsn to {peer.name}", f"QQ+2B314159+3D{peer.name}"
    async with signed_in(peer, authority) as client:
        if "DSN" not in peer.offers:
            assert "DSN" not in client.extensions
            return
        mail, recipients = await client.envelope(
            ALICE,
            [BOB],
            {"RET": "HDRS", "ENVID": envelope_id},
            {"NOTIFY": "SUCCESS,FAILURE", "ORCPT": f"rfc822;{BOB}"},
        )
        assert [mail.code, *(r.code for r in recipients)] == [250, 250]
        assert (await client.data(letter(subject, b"tell me"))).code == 250

    def reports() -> list[bytes]:
        return [m for m in peer.inbox(ALICE) if b"message/delivery-status" in m]

    process.wait_until(f"a report by {peer.name}", reports)
    parts = [part.get_content_type() for part in message_from_bytes(reports()[0]).walk()]
    assert "message/delivery-status" in parts
    text = reports()[0].decode()
    assert "Action: delivered" in text or "Action: relayed" in text
    assert BOB in text
