"""The relay's ear and hands, talking to each other on loopback: ``Listener`` and ``Carrier``."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
import uvloop

from fakes.certs import Authority
from posthouse.flow import Failure, NetworkFailure, Security, Stage
from posthouse.letter import Item, Letter, Recipient, State
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_listen import Listener
from posthouse.net.smtp_open import Refused
from posthouse.net.smtp_session import Answer, Peer
from posthouse.net.smtp_work import Carried
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.connection import Connection
from posthouse.protocol.smtp.errors import LocalProtocolError
from posthouse.protocol.smtp.events import BodyEnd
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.deliver import speed
from posthouse.send.deliver.parts import Connector
from posthouse.send.deliver.pool import Pool
from posthouse.send.deliver.transaction import Task, Way
from posthouse.send.hop import Hop

MESSAGE = b"Subject: x\r\n\r\n..a dot\r\n" + b"y" * 900 + b"\r\n"
MAIL, BOB = c.Mail("alice@d.example"), c.Rcpt("bob@e.example")


@dataclass
class Desk:
    """Answers as it is told, and keeps what it got."""

    extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME", "STARTTLS")
    replies: dict[str, Reply] = field(default_factory=dict)  # by recipient or verb
    delay: float = 0.0
    messages: list[bytes] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)
    closed_with: list[str] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)

    def session(self) -> Session:
        return Session(self)


class Session:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.parts: list[bytes] = []

    def greet(self, peer: Peer) -> Answer:
        self.desk.peers.append(peer)
        return self.desk.replies.get("GREETING", Reply(220, ("mx.e.example ESMTP",)))

    def command(self, command: c.Command, connection: Connection) -> Answer:
        self.desk.verbs.append(command.verb)
        key = command.recipient if isinstance(command, c.Rcpt) else command.verb
        if key in self.desk.replies:
            return self.desk.replies[key]
        match command:
            case c.Ehlo() | c.Lhlo():
                return Reply(250, ("mx.e.example", *self.desk.extensions))
            case c.Data():
                return Reply.make(354, "Go ahead")
            case c.StartTls():
                return Reply.make(220, "Go ahead", "2.0.0")
            case c.Quit():
                return Reply.make(221, "Bye", "2.0.0")
        return Reply.make(250, "Ok", "2.0.0")

    def body(self, data: bytes) -> None:
        self.parts.append(data)

    def ended(self, end: BodyEnd, connection: Connection) -> Answer:
        self.desk.messages.append(b"".join(self.parts))
        self.parts = []
        reply = self.desk.replies.get(".", Reply.make(250, "Queued", "2.0.0"))
        return self._later(reply) if self.desk.delay else reply

    async def _later(self, reply: Reply) -> Reply:
        await asyncio.sleep(self.desk.delay)
        return reply

    def over(self) -> None: ...

    def refused(self, reply: Reply, reason: str) -> None: ...

    def secured(self, peer: Peer) -> None:
        self.desk.peers.append(peer)

    def closed(self, reason: str) -> None:
        self.desk.closed_with.append(reason)


@asynccontextmanager
async def serving(desk: Desk, **more: object) -> AsyncIterator[int]:
    listener = Listener(desk.session, **more)  # type: ignore[arg-type]
    server = await listener.listen(host="127.0.0.1", port=0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await listener.close(patience=0.2)


async def open_to(port: int) -> Carrier:
    carrier = Carrier()
    await carrier.open("127.0.0.1", port)
    await carrier.hello("relay.d.example")
    return carrier


@asynccontextmanager
async def carrying(desk: Desk, **more: object) -> AsyncIterator[Carrier]:
    async with serving(desk, **more) as port:
        carrier = await open_to(port)
        yield carrier
        carrier.quit()


async def carry(carrier: Carrier, *recipients: c.Rcpt) -> Carried:
    async with asyncio.timeout(5):
        return await carrier.carry(MAIL, recipients or (BOB,), MESSAGE)


def codes(carried: Carried) -> dict[str, tuple[str, int]]:
    return {r: (stage.value, reply.code) for r, (stage, reply) in carried.replies.items()}


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()])
async def test_many_messages_on_one_connection(extensions: tuple[str, ...]) -> None:
    desk = Desk(extensions)
    async with carrying(desk) as carrier:
        for _ in range(3):
            assert codes(await carry(carrier)) == {"bob@e.example": ("data", 250)}
    assert desk.messages == [MESSAGE] * 3


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()])
async def test_no_empty_piece_is_handed_to_the_transport(extensions: tuple[str, ...]) -> None:
    """asyncio of Python 3.12 and later never gets rid of one, and its loop spins for ever."""
    async with carrying(Desk(extensions)) as carrier:
        there = carrier._transport
        assert there is not None
        handed: list[bytes] = []

        class Noted:
            """The transport, and what it is handed."""

            def writelines(self, pieces: list[bytes]) -> None:
                handed.extend(pieces)
                there.writelines(pieces)

            def __getattr__(self, name: str) -> object:
                return getattr(there, name)

        carrier._transport = Noted()  # type: ignore[assignment]
        await carry(carrier)
        assert MESSAGE in handed
        assert all(handed)


async def carry_two(carrier: Carrier, *recipients: c.Rcpt) -> list[Carried]:
    async with asyncio.timeout(5):
        return await asyncio.gather(*[carrier.carry(MAIL, (r,), MESSAGE) for r in recipients])


async def test_the_next_message_follows_on_the_heels_of_the_one_under_way() -> None:
    carol = c.Rcpt("carol@e.example")
    desk = Desk(("PIPELINING",))
    writes: list[bytes] = []
    async with carrying(desk) as carrier:
        wrote = carrier._write
        carrier._write = lambda *pieces: (writes.append(b"".join(pieces)), wrote(*pieces))  # type: ignore[method-assign]
        first, second = await carry_two(carrier, BOB, carol)
        assert carrier.room == 2
    assert codes(first) == {"bob@e.example": ("data", 250)}
    assert codes(second) == {"carol@e.example": ("data", 250)}
    assert desk.messages == [MESSAGE] * 2
    assert (
        MESSAGE + b".\r\nMAIL FROM:<alice@d.example>\r\nRCPT TO:<carol@e.example>\r\nDATA\r\n"
        in writes
    )


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()])
@pytest.mark.parametrize("refused", [0, 1])
@pytest.mark.parametrize(("verb", "stage"), [("rcpt", "rcpt"), (".", "data")])
async def test_one_of_two_under_way_is_refused(
    extensions: tuple[str, ...], refused: int, verb: str, stage: str
) -> None:
    no = Reply.make(550, "No", "5.7.1")
    both = [BOB, c.Rcpt("carol@e.example")]
    key = both[refused].recipient if verb == "rcpt" else verb
    async with carrying(Desk(extensions, {key: no})) as carrier:
        got = [codes(carried) for carried in await carry_two(carrier, *both)]
    for n, recipient in enumerate(both):
        is_no = n == refused or verb == "."
        assert got[n] == {recipient.recipient: (stage, 550) if is_no else ("data", 250)}


async def test_a_third_message_has_to_wait() -> None:
    async with carrying(Desk(delay=0.05)) as carrier:
        two = [carrier.carry(MAIL, (BOB,), MESSAGE) for _ in range(2)]
        assert carrier.room == 0
        with pytest.raises(LocalProtocolError):
            carrier.carry(MAIL, (BOB,), MESSAGE)
        await asyncio.gather(*two)


async def test_421_to_the_end_of_data_ends_both_and_only_the_first_was_judged() -> None:
    desk = Desk(replies={".": Reply.make(421, "Enough for today", "4.7.0")})
    async with carrying(desk) as carrier:
        first, second = await carry_two(carrier, BOB, c.Rcpt("carol@e.example"))
    assert codes(first) == {"bob@e.example": ("data", 421)}
    assert (second.replies, second.unsure) == ({}, False)
    assert second.failure is not None
    assert carrier.failure is not None  # nobody keeps such a connection


async def test_a_connection_that_breaks_tells_which_message_may_have_arrived() -> None:
    desk = Desk(delay=5.0)
    async with carrying(desk) as carrier:
        two = [carrier.carry(MAIL, (BOB,), MESSAGE) for _ in range(2)]
        while not desk.messages:
            await asyncio.sleep(0.01)
        carrier.abort(NetworkFailure(Failure.RESET, Stage.ANY))
        first, second = await asyncio.gather(*two)
    assert [first.unsure, second.unsure] == [True, False]
    assert None not in (first.failure, second.failure)


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()])
async def test_one_recipient_refused_of_two(extensions: tuple[str, ...]) -> None:
    carol = c.Rcpt("carol@e.example")
    desk = Desk(extensions, {"bob@e.example": Reply.make(550, "No such user", "5.1.1")})
    async with carrying(desk) as carrier:
        got = codes(await carry(carrier, BOB, carol))
        assert got == {"bob@e.example": ("rcpt", 550), "carol@e.example": ("data", 250)}
        assert codes(await carry(carrier, carol)) == {"carol@e.example": ("data", 250)}
    assert desk.messages == [MESSAGE] * 2


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()])
@pytest.mark.parametrize(
    ("verb", "stage"),
    [("MAIL", "mail"), ("bob@e.example", "rcpt"), ("DATA", "data"), (".", "data")],
)
async def test_a_refusal_at_each_stage(extensions: tuple[str, ...], verb: str, stage: str) -> None:
    desk = Desk(extensions, {verb: Reply.make(451, "Not now", "4.3.0")})
    async with carrying(desk) as carrier:
        assert codes(await carry(carrier)) == {"bob@e.example": (stage, 451)}
        desk.replies.clear()
        assert codes(await carry(carrier)) == {"bob@e.example": ("data", 250)}
    assert desk.messages[-1:] == [MESSAGE]


async def test_a_server_that_says_354_without_a_recipient_gets_an_empty_end() -> None:
    desk = Desk(replies={"bob@e.example": Reply.make(550, "No", "5.1.1")})
    async with carrying(desk) as carrier:
        assert codes(await carry(carrier)) == {"bob@e.example": ("rcpt", 550)}
        assert carrier.failure is None
    assert desk.messages in ([], [b""])


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()])
async def test_a_binary_message_goes_as_one_chunk(extensions: tuple[str, ...]) -> None:
    """RFC 3030: BDAT after the recipients are known, its octets as they are."""
    desk = Desk(extensions=(*extensions, "CHUNKING", "BINARYMIME", "8BITMIME"))
    content = b"Subject: x\r\n\r\n\x00\n.\r\n\xff" * 3
    mail = c.Mail("alice@d.example", {"BODY": "BINARYMIME"})
    async with carrying(desk) as carrier, asyncio.timeout(5):
        first = await carrier.carry(mail, [BOB], content)
        second = await carrier.carry(MAIL, [BOB], MESSAGE)
    assert codes(first) == codes(second) == {"bob@e.example": ("data", 250)}
    assert desk.messages == [content, MESSAGE]


async def test_no_binary_message_is_sent_where_nobody_takes_it() -> None:
    desk = Desk(extensions=("PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME"))
    desk.replies["bob@e.example"] = Reply.make(550, "No", "5.1.1")
    mail = c.Mail("alice@d.example", {"BODY": "BINARYMIME"})
    async with carrying(desk) as carrier, asyncio.timeout(5):
        refused = await carrier.carry(mail, [BOB], b"\x00")
        after = await carrier.carry(MAIL, [c.Rcpt("carol@e.example")], MESSAGE)
    assert codes(refused) == {"bob@e.example": ("rcpt", 550)}
    assert codes(after) == {"carol@e.example": ("data", 250)}
    assert desk.messages == [MESSAGE]


@pytest.mark.parametrize("verb", ["MAIL", "bob@e.example", "DATA", "."])
@pytest.mark.parametrize("extensions", [("PIPELINING",), ()])
async def test_a_farewell_at_each_stage_is_an_answer_and_an_end(
    verb: str, extensions: tuple[str, ...]
) -> None:
    desk = Desk(extensions=extensions, replies={verb: Reply.make(421, "Shutting down", "4.3.2")})
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    async with carrying(desk) as carrier:
        done = await carry(carrier)
        assert codes(done)["bob@e.example"][1] == 421 or done.failure is not None
        assert carrier.failure is not None
    assert problems == []


async def test_a_farewell_on_the_heels_of_the_greeting() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n421 4.3.2 shutting down\r\n")
        await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    carrier = Carrier()
    await carrier.open("127.0.0.1", server.sockets[0].getsockname()[1])
    with pytest.raises(NetworkFailure) as gone:
        await carrier.hello("relay.d.example")
    assert gone.value.failure is Failure.CLOSED
    carrier.quit()
    server.close()


async def test_a_refused_greeting_and_a_closed_port() -> None:
    async with serving(Desk(replies={"GREETING": Reply.make(554, "Go away", "5.7.1")})) as port:
        with pytest.raises(Refused) as refused:
            await Carrier().open("127.0.0.1", port)
        assert (refused.value.stage, refused.value.reply.code) == (Stage.GREETING, 554)
    with pytest.raises(NetworkFailure) as failed:
        await Carrier().open("127.0.0.1", port)
    assert failed.value.failure is Failure.REFUSED


@asynccontextmanager
async def scripted(replies: Callable[[int, bytes], bytes]) -> AsyncIterator[tuple[int, list[int]]]:
    """A server that says what ``replies`` gives for the n-th connection and each line; the port."""
    connections = [0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[0] += 1
        number, body = connections[0], False
        writer.write(b"220 hi\r\n")
        while line := await reader.readline():
            if body and line != b".\r\n":
                continue
            said = replies(number, line)
            body = not body and line == b"DATA\r\n" and said.startswith(b"354")
            writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], connections
    server.close()


def usual(line: bytes) -> bytes:
    if line.startswith(b"EHLO"):
        return b"250-mx.e.example\r\n250 PIPELINING\r\n"
    return b"354 Go on\r\n" if line == b"DATA\r\n" else b"250 2.0.0 Ok\r\n"


async def test_a_yes_to_data_delivers_nothing() -> None:
    """250 instead of 354: the message was not even sent."""
    async with scripted(lambda _, line: b"250 Ok\r\n" if line[:4] == b"DATA" else usual(line)) as (
        port,
        _,
    ):
        carrier = await open_to(port)
        done = await carry(carrier)
    assert done.replies == {}
    assert not done.unsure
    assert done.failure is not None
    assert done.failure.failure is carrier.failure.failure is Failure.BAD_REPLY


@pytest.mark.parametrize("refused", [b"ann", b"bob", b"eve"])
@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT TO:<ann"])
async def test_a_reply_too_many_refuses_nobody_in_the_place_of_another(
    verb: bytes, refused: bytes
) -> None:
    """RFC 2920: all replies behind it are to the command before theirs."""

    def replies(_: int, line: bytes) -> bytes:
        said = b"550 5.1.1 No such user\r\n" if b"<" + refused in line else usual(line)
        return said + b"250 2.0.0 Ok\r\n" if line.startswith(verb) else said

    async with scripted(replies) as (port, _):
        carrier = await open_to(port)
        people = [c.Rcpt(f"{name}@e.example") for name in ("ann", "bob", "eve")]
        done = await carry(carrier, *people)
    assert (done.replies, done.unsure) == ({}, False)
    assert done.failure is carrier.failure is not None


async def test_a_go_on_to_the_end_of_the_message_says_nothing_of_its_fate() -> None:
    async with scripted(lambda _, line: b"354 Go on\r\n" if line == b".\r\n" else usual(line)) as (
        port,
        _,
    ):
        carrier = await open_to(port)
        done = await carry(carrier)
    assert (done.replies, done.unsure) == ({}, True)
    assert done.failure is not None
    assert done.failure.detail == {"reason": "wrong_class", "text": "354 Go on"}


@pytest.mark.parametrize("body", ["", "BINARYMIME"])
async def test_a_yes_to_a_message_that_is_still_here_delivers_nothing(body: str) -> None:
    """What has not left us can't have been taken: that was no reply to it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while not (line := await reader.readline()).startswith((b"DATA", b"BDAT")):
            hello = b"250-mx\r\n250-BINARYMIME\r\n250-CHUNKING\r\n250 8BITMIME\r\n"
            writer.write(hello if line.startswith(b"EHLO") else b"250 2.0.0 Ok\r\n")
        writer.write(b"354 Go on\r\n" if line.startswith(b"DATA") else b"")
        await asyncio.sleep(0.05)
        writer.write(b"250 2.0.0 Ok\r\n")
        while await reader.read(65_536):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1_000)
    carrier = await open_to(server.sockets[0].getsockname()[1])
    mail = c.Mail(MAIL.sender, {"BODY": body} if body else {})
    async with asyncio.timeout(5):
        done = await carrier.carry(mail, [BOB], MESSAGE * 40_000)
    server.close()
    assert (done.replies, done.unsure) == ({}, False)
    assert done.failure is not None
    assert done.failure.failure is Failure.BAD_REPLY


async def test_who_refuses_a_message_that_is_still_here_gets_no_other() -> None:
    """Some take the rest of it for commands, and what they say to that refused the next one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while not (line := await reader.readline()).startswith(b"DATA"):
            writer.write(b"250-mx\r\n250 PIPELINING\r\n" if line[:4] == b"EHLO" else b"250 Ok\r\n")
        writer.write(b"354 Go on\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"552 5.3.4 Too big\r\n")
        await asyncio.sleep(0.05)
        while await reader.readline():
            writer.write(b"500 5.5.1 What?\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2_000)
    carrier = await open_to(server.sockets[0].getsockname()[1])
    async with asyncio.timeout(5):
        large = carrier.carry(MAIL, [BOB], MESSAGE * 10_000)
        next_ = carrier.carry(MAIL, [BOB], MESSAGE)
        assert codes(await large) == {"bob@e.example": ("data", 552)}
        assert (await next_).replies == {}
    server.close()
    assert carrier.failure is not None


async def test_a_server_that_refuses_rset_gets_no_second_transaction() -> None:
    def replies(_: int, said: bytes) -> bytes:
        if said[:4] in (b"RCPT", b"DATA"):
            return b"550 5.1.1 No such user\r\n"
        return b"502 5.5.1 No\r\n" if said == b"RSET\r\n" else usual(said)

    async with scripted(replies) as (port, _):
        carrier = await open_to(port)
        assert codes(await carry(carrier)) == {"bob@e.example": ("rcpt", 550)}
        assert carrier.failure is not None
        second = await carry(carrier)
    assert second.failure is carrier.failure


async def test_a_second_message_that_waits_does_not_begin_where_rset_was_refused() -> None:
    def replies(_: int, said: bytes) -> bytes:
        if said[:4] in (b"RCPT", b"DATA"):
            return b"550 5.1.1 No such user\r\n"
        return b"502 5.5.1 No\r\n" if said == b"RSET\r\n" else usual(said)

    async with scripted(replies) as (port, _):
        carrier = await open_to(port)
        first, second = await carry_two(carrier, BOB, c.Rcpt("carol@e.example"))
    assert codes(first) == {"bob@e.example": ("rcpt", 550)}
    assert (second.replies, second.unsure) == ({}, False)
    assert second.failure is not None
    assert second.failure.failure is Failure.BAD_REPLY


@pytest.mark.parametrize("behind", [b"421 4.3.2 Shutting down\r\n", b"Segmentation fault\r\n"])
@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT", b"DATA"])
@pytest.mark.parametrize("extensions", [b"PIPELINING", b"SIZE"])
async def test_an_end_on_the_heels_of_a_yes_is_no_reply_to_the_message(
    extensions: bytes, verb: bytes, behind: bytes
) -> None:
    """Nothing of the message was sent: it goes later, and is not bounced as malformed."""

    def replies(_: int, line: bytes) -> bytes:
        if line.startswith(b"EHLO"):
            return b"250-mx.e.example\r\n250 " + extensions + b"\r\n"
        return usual(line) + (behind if line.startswith(verb) else b"")

    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    async with scripted(replies) as (port, _):
        carrier = await open_to(port)
        done = await carry(carrier)
    assert done.failure is not None
    assert not done.unsure
    assert all(reply.code == 421 for _, reply in done.replies.values())
    assert problems == []


async def test_no_message_goes_to_who_refused_its_sender_and_took_its_recipients() -> None:
    def replies(_: int, line: bytes) -> bytes:
        return b"550 5.7.1 Not you\r\n" if line.startswith(b"MAIL") else usual(line)

    written = b""
    async with scripted(replies) as (port, _):
        carrier = await open_to(port)
        wrote = carrier._write

        def write(*pieces: bytes) -> None:
            nonlocal written
            written += b"".join(pieces)
            wrote(*pieces)

        carrier._write = write  # type: ignore[method-assign]
        assert codes(await carry(carrier)) == {"bob@e.example": ("mail", 550)}
    assert written.endswith(b"DATA\r\n.\r\n")


async def test_an_lmtp_server_that_says_354_without_a_recipient_is_not_waited_for() -> None:
    def replies(_: int, line: bytes) -> bytes:
        if line.startswith(b"LHLO"):
            return b"250-mx.e.example\r\n250 PIPELINING\r\n"
        return b"550 5.1.1 No\r\n" if line.startswith(b"RCPT") else usual(line)

    async with scripted(replies) as (port, _):
        carrier = Carrier(lmtp=True)
        await carrier.open("127.0.0.1", port)
        await carrier.hello("relay.d.example")
        assert codes(await carry(carrier)) == {"bob@e.example": ("rcpt", 550)}
        assert carrier.failure is None


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("stray", [b"250 2.1.5 Delivered", b"550 5.1.1 No", b"450 4.2.0 Later"])
async def test_an_lmtp_reply_too_many_ends_the_connection(stray: bytes, late: bool) -> None:
    """RFC 2033 section 4.2: one for each recipient. Who says more may say anything next."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while line := await reader.readline():
            writer.write(usual(line))
            if line == b"DATA\r\n":
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 2.1.5 Delivered\r\n" * 2)
                if late:
                    await asyncio.sleep(0.05)
                writer.write(stray + b"\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(5):
        carrier = Carrier(lmtp=True)
        await carrier.open("127.0.0.1", server.sockets[0].getsockname()[1])
        await carrier.hello("relay.d.example")
        done = await carrier.carry(MAIL, [BOB, c.Rcpt("ann@e.example")], MESSAGE)
        assert {reply.code for _, reply in done.replies.values()} == {250}
        assert (len(done.replies), done.failure) == (2, None)
        await until(lambda: carrier.failure is not None)
        again = await carrier.carry(MAIL, [BOB], MESSAGE)
        assert (again.replies, again.failure, again.unsure) == ({}, carrier.failure, False)
        carrier.quit()


@pytest.mark.parametrize("verb", [b"RCPT TO:<ann", b"RCPT TO:<bob"])
async def test_an_lmtp_reply_too_many_says_nothing_of_the_next_message(verb: bytes) -> None:
    """Handed over before that reply was read: nothing is said of it, and nothing sent."""
    ends = 0

    def replies(_: int, line: bytes) -> bytes:
        nonlocal ends
        if line == b".\r\n":
            ends += 1
            return b"250 2.1.5 Delivered\r\n" * 3
        return b"550 5.1.1 No\r\n" if ends and line.startswith(verb) else usual(line)

    async with scripted(replies) as (port, _), asyncio.timeout(5):
        carrier = Carrier(lmtp=True)
        await carrier.open("127.0.0.1", port)
        await carrier.hello("relay.d.example")
        people = [c.Rcpt("bob@e.example"), c.Rcpt("ann@e.example")]
        first = carrier.carry(MAIL, people, MESSAGE)
        second = carrier.carry(MAIL, people, MESSAGE)
        assert len((await first).replies) == 2
        told = await second
        assert told.failure is not None
        assert (told.replies, told.unsure) == ({}, False)
        assert ends == 1


@pytest.mark.parametrize("echoed", ["AGFsaWNlAHB3LTIwMjYtc2VjcmV0", "pw-2026-secret"])
async def test_a_server_that_echoes_the_password_does_not_tell_it_to_the_log(echoed: str) -> None:
    said = f"500 5.5.1 What is {echoed}?\r\n".encode()

    def replies(_: int, line: bytes) -> bytes:
        if line.startswith(b"EHLO"):
            return b"250-mx.e.example\r\n250 AUTH PLAIN\r\n"
        return b"235 Ok\r\n" if line.startswith(b"AUTH") else said

    async with scripted(replies) as (port, _):
        carrier = await open_to(port)
        await carrier.ask(c.Auth("PLAIN", b"\0alice\0pw-2026-secret"))
        done = await carry(carrier)
    assert str(done.replies["bob@e.example"][1]) == "500 5.5.1 What is ***?"


@pytest.mark.parametrize("extensions", [("PIPELINING", "8BITMIME"), ("8BITMIME",)])
@pytest.mark.parametrize("alone", [True, False])
async def test_what_a_server_does_not_offer_is_never_said_to_it(
    extensions: tuple[str, ...], alone: bool
) -> None:
    binary = c.Mail("alice@d.example", {"BODY": "BINARYMIME"})
    desk = Desk(extensions)
    async with carrying(desk) as carrier, asyncio.timeout(5):
        first = None if alone else carrier.carry(MAIL, [BOB], MESSAGE)
        second = await carrier.carry(binary, [BOB], b"\x00")
        if first is not None:
            assert codes(await first) == {"bob@e.example": ("data", 250)}
    assert codes(second) == {"bob@e.example": ("data", 554)}
    assert not second.unsure
    assert carrier.failure is not None
    assert desk.messages == ([] if alone else [MESSAGE])


async def test_a_break_after_the_end_is_unsure_before_it_is_not() -> None:
    for breaks_at, unsure in (("MAIL", False), (".", True)):
        desk = Desk(delay=5 if breaks_at == "." else 0)
        async with carrying(desk) as carrier:
            if breaks_at == "MAIL":
                carrier.abort(NetworkFailure(Failure.RESET, Stage.ANY))
            work = carrier.carry(MAIL, [BOB], MESSAGE)
            while breaks_at == "." and not desk.messages:
                await asyncio.sleep(0.01)
            carrier.abort(NetworkFailure(Failure.SILENT, Stage.ANY))
            carried = await work
            assert carried.failure is not None
            assert carried.unsure is unsure


async def test_starttls_and_a_certificate_that_is_judged(tmp_path) -> None:
    authority = Authority(tmp_path)
    server = authority.context(hosts=("mx.e.example",))
    desk = Desk()
    async with serving(desk, tls=lambda: server) as port:
        carrier = await open_to(port)
        await carrier.start_tls(authority.client_context(), "mx.e.example")
        await carrier.hello("relay.d.example")
        assert codes(await carry(carrier)) == {"bob@e.example": ("data", 250)}
        assert [peer.tls for peer in desk.peers] == [False, True]
        carrier.quit()
        stranger = await open_to(port)
        with pytest.raises(NetworkFailure) as failed:
            await stranger.start_tls(ssl.create_default_context(), "mx.e.example")
        assert failed.value.failure is Failure.CERTIFICATE


async def test_implicit_tls(tmp_path) -> None:
    authority = Authority(tmp_path)
    desk = Desk(("PIPELINING",))
    listener = Listener(desk.session)
    context = authority.context(hosts=("mx.e.example",))
    server = listener.listen_tls(socket.create_server(("127.0.0.1", 0)), context)
    carrier = Carrier(tls=True)
    await carrier.open(
        "127.0.0.1",
        server.sockets[0].getsockname()[1],
        security=Security.TLS,
        context=authority.client_context(),
        host="mx.e.example",
    )
    await carrier.hello("relay.d.example")
    assert codes(await carry(carrier)) == {"bob@e.example": ("data", 250)}
    assert desk.peers[0].tls
    await listener.close(patience=0)


# What hostile clients send


async def said(port: int, octets: bytes, *, then: float = 0.3) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(octets)
    answer = b""
    try:
        while part := await asyncio.wait_for(reader.read(65536), then):
            answer += part
    except TimeoutError:
        pass
    writer.close()
    return answer


ENVELOPE = b"EHLO x\r\nMAIL FROM:<a@d.example>\r\nRCPT TO:<b@e.example>\r\nDATA\r\n"


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r", b"\r\n\x00.\r\n"]
)
async def test_no_false_end_smuggles_a_message(end: bytes) -> None:
    desk = Desk()
    async with serving(desk) as port:
        smuggled = b"MAIL FROM:<evil@d.example>\r\nRCPT TO:<b@e.example>\r\nDATA\r\nEvil\r\n.\r\n"
        await said(port, ENVELOPE + b"Subject: x\r\n\r\nhello" + end + smuggled)
    assert desk.verbs.count("MAIL") == 1
    assert not any(message == b"Evil\r\n" for message in desk.messages)


async def test_commands_behind_starttls_are_thrown_away(tmp_path) -> None:
    authority = Authority(tmp_path)
    context = authority.context(hosts=("mx.e.example",))
    desk = Desk()
    async with serving(desk, tls=lambda: context) as port:
        await said(port, b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<evil@d.example>\r\n")
    assert "MAIL" not in desk.verbs


async def test_a_pipelined_flood_is_answered_in_order() -> None:
    desk = Desk(delay=0.01)
    transaction = ENVELOPE.replace(b"EHLO x\r\n", b"") + b"Subject: x\r\n\r\nhi\r\n.\r\n"
    async with serving(desk) as port:
        answer = await said(port, b"EHLO x\r\n" + transaction * 20 + b"QUIT\r\n", then=2)
    assert len(desk.messages) == 20
    assert answer.count(b"354 ") == 20
    assert answer.endswith(b"221 2.0.0 Bye\r\n")


async def test_who_hangs_up_early_does_not_stop_what_was_begun() -> None:
    """The message may be on the disk by then, so it has to be handed on."""
    finished: list[str] = []

    class Slow(Session):
        async def _later(self, reply: Reply) -> Reply:
            await asyncio.sleep(0.1)
            finished.append("kept")
            return reply

    desk = Desk(delay=0.1)
    listener = Listener(lambda: Slow(desk))
    server = await listener.listen(host="127.0.0.1", port=0)
    port = server.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"EHLO a\r\nMAIL FROM:<a@d.example>\r\nRCPT TO:<b@e.example>\r\nDATA\r\n")
    await asyncio.sleep(0.05)
    writer.write(b"x\r\n.\r\n")
    await until(lambda: bool(desk.messages))
    writer.transport.abort()
    await until(lambda: bool(finished))
    await listener.close(patience=0.2)


GROUP = b"MAIL FROM:<a@d.example>\r\nRCPT TO:<bob@e.example>\r\nDATA\r\n"


@pytest.mark.parametrize("moment", ["connected", "greeted", "in the envelope", "in the message"])
async def test_who_is_about_to_hand_in_does_so_before_the_listener_ends(moment: str) -> None:
    desk = Desk()
    listener = Listener(desk.session)
    server = await listener.listen(host="127.0.0.1", port=0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    rest = [b"EHLO x.test\r\n", GROUP[:26], GROUP[26:], MESSAGE + b".\r\n"]
    before = ["connected", "greeted", "in the envelope", "in the message"].index(moment)
    if before:
        await reader.readuntil(b"220 mx.e.example ESMTP\r\n")
    for piece in rest[:before]:
        writer.write(piece)
        await reader.read(1_000)
    ending = asyncio.create_task(listener.close(patience=5))
    await asyncio.sleep(0.2)
    for piece in rest[before:]:
        writer.write(piece)
    words = await reader.read()
    await ending
    assert b"250 2.0.0 Queued\r\n421 4.3.2 " in words
    assert desk.messages == [MESSAGE]
    writer.close()


async def test_who_has_handed_in_and_waits_is_sent_away_at_once() -> None:
    desk = Desk()
    listener = Listener(desk.session)
    server = await listener.listen(host="127.0.0.1", port=0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"EHLO x.test\r\n" + GROUP + MESSAGE + b".\r\n")
    await reader.readuntil(b"250 2.0.0 Queued\r\n")
    loop = asyncio.get_running_loop()
    began = loop.time()
    await listener.close(patience=60)
    assert loop.time() - began < 30
    assert (await reader.read()).startswith(b"421 4.3.2 ")
    writer.close()


async def test_too_many_errors_end_the_session() -> None:
    desk = Desk()
    async with serving(desk, errors=5) as port:
        answer = await said(port, b"EHLO x\r\n" + b"RCPT TO:<b@e.example>\r\n" * 50)
    assert b"421 4.7.0" in answer
    assert answer.count(b"\r\n") < 20


async def test_too_many_sessions_are_put_off() -> None:
    desk = Desk()
    async with serving(desk, most=2) as port:
        first = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert (await said(port, b"")).startswith(b"421 4.7.0")
        for _, writer in first:
            writer.close()


async def test_the_silent_are_ended() -> None:
    desk = Desk()
    async with serving(desk, wait=0.1) as port:
        assert b"421 4.4.2" in await said(port, b"EHLO x\r\n", then=3)
    assert "timeout" in desk.closed_with


async def test_who_never_reads_is_cut_off() -> None:
    desk = Desk(("X" * 400,) * 20)
    async with serving(desk) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        with pytest.raises(ConnectionError):
            await flood(writer)
    assert desk.closed_with


async def flood(writer: asyncio.StreamWriter) -> None:
    for _ in range(2_000):
        writer.write(b"EHLO x\r\n" * 50)
        await asyncio.wait_for(writer.drain(), 5)
        await asyncio.sleep(0)


# The pool


ITEM = Item(0, "", Recipient("bob@e.example"), State.READY)


def task(number: int) -> Task:
    recipients = (Recipient("bob@e.example"),)
    return Task(Letter(str(number), "alice@d.example", recipients, MESSAGE, 0.0), (ITEM,))


@asynccontextmanager
async def pooled(
    connect: Connector, hop: Hop, now: Callable[[], float] | None = None
) -> AsyncIterator[tuple[Pool, list[Carried]]]:
    done: list[Carried] = []
    loop = asyncio.get_running_loop()
    pool = Pool(
        Way(hop), connect, lambda _t, carried, _c: done.append(carried), now=now or loop.time
    )
    yield pool, done
    await pool.close()


@asynccontextmanager
async def pooling(
    desk: Desk, hop: Hop, now: Callable[[], float] | None = None
) -> AsyncIterator[tuple[Pool, list[Carried]]]:
    async with serving(desk) as port, pooled(lambda *_: open_to(port), hop, now) as both:
        yield both


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_pool_is_bounded_and_uses_connections_again() -> None:
    desk = Desk(delay=0.01)
    async with pooling(desk, Hop("x", pool=7)) as (pool, done):
        most = 0
        for number in range(200):
            pool.add(task(number))
        while len(done) < 200:
            most = max(most, pool.open)
            await asyncio.sleep(0.005)
    assert most <= 7
    assert pool.opened <= 7
    assert len(desk.messages) == 200


async def six_over_three(replies: Callable[[int, bytes], bytes]) -> None:
    """Six messages, all delivered, over three connections."""
    async with (
        scripted(replies) as (port, connections),
        pooled(lambda *_: open_to(port), Hop("x", pool=1)) as (pool, done),
    ):
        for number in range(6):
            pool.add(task(number))
        await until(lambda: len(done) == 6)
    assert [codes(one) for one in done] == [{"bob@e.example": ("data", 250)}] * 6
    assert connections == [3]


@pytest.mark.parametrize("extensions", [b"PIPELINING", b"SIZE"])
async def test_421_to_mail_on_a_used_connection_is_no_try(extensions: bytes) -> None:
    """A server that is tired of a connection says so when the next message comes."""
    carried: dict[int, int] = {}

    def replies(number: int, line: bytes) -> bytes:
        if line.startswith(b"EHLO"):
            return b"250-mx.e.example\r\n250 " + extensions + b"\r\n"
        if line.startswith(b"MAIL") and carried.get(number, 0) >= 2:
            return b"421 4.4.2 Too many messages here\r\n"
        if line == b".\r\n":
            carried[number] = carried.get(number, 0) + 1
        return usual(line)

    await six_over_three(replies)


@pytest.mark.parametrize(
    ("extensions", "people", "parts"),
    [
        (("LIMITS MAILMAX=100 RCPTMAX=2",), 5, [2, 2, 1]),  # RFC 9422
        ((), 250, [100, 100, 50]),  # RFC 5321 section 4.5.3.1.8
        (("LIMITS MAILMAX=100",), 101, [100, 1]),
        (("LIMITS RCPTMAX=500",), 250, [250]),
    ],
)
async def test_no_more_recipients_at_once_than_the_server_says_or_every_server_takes(
    extensions: tuple[str, ...], people: int, parts: list[int]
) -> None:
    desk = Desk(("PIPELINING", *extensions))
    items = tuple(Item(n, "", Recipient(f"{n}@e.example"), State.READY) for n in range(people))
    letter = Letter("1", "alice@d.example", tuple(i.recipient for i in items), MESSAGE, 0.0)
    async with pooling(desk, Hop("x", pool=1)) as (pool, done):
        pool.add(Task(letter, items))
        await until(lambda: len(done) == len(parts))
    assert [len(one.replies) for one in done] == parts
    assert [name for one in done for name in one.replies] == [
        f"{n}@e.example" for n in range(people)
    ]
    assert len(desk.messages) == len(parts)


@pytest.mark.parametrize(
    ("limits", "domains", "parts"),
    [
        ("RCPTDOMAINMAX=1", "ababc", [["0@a", "2@a"], ["1@b", "3@b"], ["4@c"]]),
        ("RCPTDOMAINMAX=2", "abcab", [["0@a", "1@b", "3@a", "4@b"], ["2@c"]]),
        ("RCPTDOMAINMAX=1 RCPTMAX=2", "aaAb", [["0@a", "1@a"], ["2@A"], ["3@b"]]),
        ("RCPTDOMAINMAX=3", "abc", [["0@a", "1@b", "2@c"]]),
    ],
)
async def test_no_more_domains_at_once_than_the_server_says(
    limits: str, domains: str, parts: list[list[str]]
) -> None:
    """RFC 9422 section 4.3."""
    desk = Desk(("PIPELINING", f"LIMITS {limits}"))
    items = tuple(
        Item(n, "", Recipient(f"{n}@{domain}.example"), State.READY)
        for n, domain in enumerate(domains)
    )
    letter = Letter("1", "alice@d.example", tuple(i.recipient for i in items), MESSAGE, 0.0)
    async with pooling(desk, Hop("x", pool=1)) as (pool, done):
        pool.add(Task(letter, items))
        await until(lambda: len(done) == len(parts))
    went = [[name.removesuffix(".example") for name in one.replies] for one in done]
    assert went == parts


async def test_no_more_messages_on_a_connection_than_the_server_says() -> None:
    """RFC 9422 section 4.1: who begins one more may be told anything."""
    begun: dict[int, int] = {}

    def replies(number: int, line: bytes) -> bytes:
        if line.startswith(b"EHLO"):
            return b"250-mx.e.example\r\n250 LIMITS MAILMAX=2\r\n"
        if line.startswith(b"MAIL"):
            begun[number] = begun.get(number, 0) + 1
            if begun[number] > 2:
                return b"554 5.5.1 Too many\r\n"
        return usual(line)

    await six_over_three(replies)


async def test_an_idle_connection_is_not_used_beyond_its_lifetime() -> None:
    async with pooling(Desk(), Hop("x", pool=1, idle=60.0, lifetime=0.5)) as (pool, done):
        pool.add(task(1))
        await until(lambda: len(done) == 1)
        assert pool.open == 1
        await until(lambda: pool.open == 0)
    assert pool.opened == 1


async def test_421_to_mail_on_a_fresh_connection_is_a_try() -> None:
    desk = Desk(replies={"MAIL": Reply.make(421, "Not now", "4.3.2")})
    async with pooling(desk, Hop("x", pool=1)) as (pool, done):
        pool.add(task(1))
        await until(lambda: len(done) == 1)
        assert pool.opened == 1
    assert codes(done[0]) == {"bob@e.example": ("mail", 421)}


@pytest.mark.parametrize(
    ("verb", "reply", "many"),
    [
        ("MAIL", "421 4.7.0 Too many connections", False),
        ("MAIL", "451 4.7.1 Too fast", False),
        ("RCPT", "450 4.2.0 Greylisted", True),  # of one recipient: it says nothing of the server
    ],
)
async def test_a_server_that_takes_no_sender_now_is_asked_for_less(
    monkeypatch: pytest.MonkeyPatch, verb: str, reply: str, many: bool
) -> None:
    monkeypatch.setattr(speed, "EASE", 0.0)

    def replies(_: int, line: bytes) -> bytes:
        return f"{reply}\r\n".encode() if line.startswith(verb.encode()) else usual(line)

    async with (
        scripted(replies) as (port, _),
        pooled(lambda *_: open_to(port), Hop("x", pool=20)) as (pool, done),
    ):
        for number in range(5):
            pool.add(task(number))
            await until(lambda n=number: len(done) > n)
        for number in range(20):
            pool.add(task(number))
        assert (pool.open > 1) is many
        await until(lambda: len(done) == 25)


async def test_a_hop_that_is_down_fails_what_waits() -> None:
    async def connect(*_: object) -> Carrier:
        raise NetworkFailure(Failure.REFUSED, Stage.CONNECT)

    async with pooled(connect, Hop("x")) as (pool, done):
        for number in range(3):
            pool.add(task(number))
        await until(lambda: len(done) == 3)
        assert all(one.failure and one.failure.failure is Failure.REFUSED for one in done)


async def test_a_hop_that_closes_behind_ehlo_is_not_connected_to_for_ever() -> None:
    def replies(_: int, line: bytes) -> bytes:
        return usual(line) + (b"421 4.3.2 Bye\r\n" if line.startswith(b"EHLO") else b"")

    async with (
        scripted(replies) as (port, connections),
        pooled(lambda *_: open_to(port), Hop("x", pool=1)) as (pool, done),
    ):
        for number in range(3):
            pool.add(task(number))
        await until(lambda: len(done) == 3)
    assert connections == [1]
    assert {one.failure.failure for one in done if one.failure} == {Failure.CLOSED}
    assert pool.open == 0


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        pytest.param(NetworkFailure(Failure.REFUSED, Stage.CONNECT), 2, id="nobody-there"),
        pytest.param(Refused(Stage.AUTH, Reply.make(535, "No", "5.7.8")), 1, id="refused-login"),
    ],
)
async def test_who_asks_for_a_try_gets_one_but_no_login_is_tried_again(
    error: NetworkFailure | Refused, tries: int
) -> None:
    tried: list[str] = []

    async def connect(hop: Hop, *_: object) -> Carrier:
        tried.append(hop.name)
        raise error

    async with pooled(connect, Hop("x")) as (pool, done):
        for number in range(3):
            pool.add(task(number))
            await until(lambda number=number: len(done) == number + 1)  # type: ignore[misc]
            if number == 1:  # the second found it sore, and was not tried
                assert len(tried) == 1
                pool.forgive()
        assert len(tried) == tries


async def test_pacing_keeps_the_interval() -> None:
    desk = Desk()
    times: list[float] = []
    async with pooling(desk, Hop("x", interval=0.1)) as (pool, done):
        loop = asyncio.get_running_loop()
        for number in range(4):
            pool.add(task(number))
        for count in range(1, 5):
            await until(lambda count=count: len(done) >= count)  # type: ignore[misc]
            times.append(loop.time())
    gaps = [b - a for a, b in pairwise(times)]
    assert len(desk.messages) == 4
    assert all(gap > 0.08 for gap in gaps), gaps


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_is_gone_when_the_answer_comes_is_no_error(
    factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """What it handed in is on its way to the disk; uvloop raises where one writes then."""
    answer: list[asyncio.Future[Reply]] = []

    class Waiting(Session):
        def ended(self, end: BodyEnd, connection: Connection) -> Answer:
            answer.append(asyncio.get_running_loop().create_future())
            return answer[0]

    async def run() -> list[object]:
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: errors.append(told))
        listener = Listener(lambda: Waiting(Desk()))
        server = await listener.listen(host="127.0.0.1", port=0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(b"EHLO a.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n")
        writer.write(b"Subject: x\r\n\r\n.\r\n")
        while not answer:
            await asyncio.sleep(0.01)
        (session,) = listener.sessions
        session._transport.abort()
        while listener.sessions:
            await asyncio.sleep(0.01)
        answer[0].set_result(Reply.make(250, "Ok", "2.0.0"))
        await asyncio.sleep(0.01)
        writer.close()
        await listener.close(patience=0.1)
        return errors

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(run()) == []
