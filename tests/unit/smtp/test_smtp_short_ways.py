"""The short ways of both sides are what ``receive`` and ``send`` do, whatever comes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.smtp.command import Bdat, Data, Ehlo, Mail, MessageEnd, Rcpt
from posthouse.protocol.smtp.connection import Connection, Role
from posthouse.protocol.smtp.errors import LocalProtocolError
from posthouse.protocol.smtp.events import (
    BodyChunk,
    BodyEnd,
    CommandReceived,
    Event,
    MessageData,
    Refused,
    ReplyReceived,
)
from posthouse.protocol.smtp.limits import Limits
from posthouse.protocol.smtp.reply import Reply, ReplyReader
from posthouse.protocol.smtp.state import State

OFFER = Reply(250, ("relay.test", "PIPELINING", "SIZE 1000", "8BITMIME", "CHUNKING"))
GO_ON, OK, NO = (Reply.make(code, "Text") for code in (354, 250, 550))

# --- the server's side

PIECES = st.sampled_from(
    [
        b"EHLO me.test\r\n",
        b"HELO me.test\r\n",
        b"EHLO [127.0.0.1]\r\n",
        b"EHLO me test\r\n",
        b"MAIL FROM:<a@b.test>\r\n",
        b"MAIL FROM:<a@b.test> SIZE=7\r\n",
        b"MAIL FROM:<a@b.test> BODY=8BITMIME\r\n",
        b"MAIL FROM:<a@b.test> BODY=BINARYMIME\r\n",
        b"RCPT TO:<c@d.test>\r\n",
        b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n",
        b"DATA\r\n",
        b"Subject: x\r\n\r\ntext\r\n.\r\n",
        b"Subject: x\r\n\r\ntext\r\n.\r\nMAIL FROM:<a@b.test>\r\n",
        b"a\r\n.\r\nb\r\n.\r\n",
        b".\r\n",
        b".\r\nRSET\r\n\r\n.\r\n",
        b"..\r\n.\r\n",
        b"\r\n.\r\n",
        b"\n.\n\r\n.\r\n",
        b"\n.\r\n",
        b"bare\rx\r\n.\r\n",
        b"text\r\n",
        b".",
        b"\r",
        b"\n",
        b"x" * 1_200 + b"\r\n.\r\n",
        b"\x00\xff\r\n.\r\n",
        b"BDAT 3\r\n",
        b"BDAT 0 LAST\r\n",
        b"abc",
        b"RSET\r\n",
        b"QUIT\r\n",
        b"x" * 13_000,
    ]
)


def answer(event: Event) -> Reply | None:
    """What a server that takes everything says."""
    if isinstance(event, Refused):
        return event.reply
    if isinstance(event, BodyEnd):
        return OK
    if not isinstance(event, CommandReceived) or isinstance(event.command, Bdat):
        return None
    if isinstance(event.command, Ehlo):
        return OFFER
    return GO_ON if isinstance(event.command, Data) else OK


def serve(pieces: list[bytes], *, short: bool, refuse: int) -> list[Any]:
    """All that happens; the ``refuse``-th command is refused."""
    connection = Connection(Role.SERVER)
    side = connection.server
    told: list[Any] = [connection.send(Reply.make(220, "hi"))]
    count = 0

    def look(events: list[Event]) -> None:
        nonlocal count
        while events:
            event = events.pop(0)
            if isinstance(event, BodyChunk) and told and isinstance(told[-1], BodyChunk):
                told[-1] = BodyChunk(told[-1].data + event.data)
            else:
                told.append(event)
            reply = answer(event)
            if reply is not None and connection.state is not State.CLOSED:
                count += 1
                told.append(connection.send(NO if count == refuse else reply))
                told.append((connection.state, connection.recipients, connection.unread))
                events += connection.receive(b"")

    for piece in pieces:
        command = side.at_once(piece) if short else None
        message = side.whole(piece) if short and command is None else None
        if command is not None:
            look([CommandReceived(command)])
        elif message is not None:
            look([*([BodyChunk(message[0])] if message[0] else []), message[1]])
        else:
            look(connection.receive(piece))
    return [*told, connection.state, connection.unread]


@given(st.lists(PIECES, max_size=14), st.integers(0, 8))
def test_a_server_hears_the_same_by_the_short_ways(pieces: list[bytes], refuse: int) -> None:
    begin = [b"EHLO me.test\r\n", b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<c@d.test>\r\n"]
    for all_ in (pieces, [*begin, b"DATA\r\n", *pieces]):
        usual = serve(all_, short=False, refuse=refuse)
        assert serve(all_, short=True, refuse=refuse) == usual


def test_a_whole_message_comes_at_once() -> None:
    connection = Connection(Role.SERVER)
    connection.send(Reply.make(220, "hi"))
    for line, reply in ((b"EHLO me.test", OFFER), (b"MAIL FROM:<>", OK), (b"RCPT TO:<a@b.c>", OK)):
        connection.receive(line + b"\r\n")
        connection.send(reply)
    assert connection.server.at_once(b"DATA\r\n") == Data()
    assert connection.server.whole(b"a\r\n.\r\n") is None  # nobody has said yes
    connection.send(GO_ON)
    found = connection.server.whole(b"..a\r\nb\r\n.\r\n")
    assert found is not None
    assert found[0] == b"..a\r\nb\r\n"
    assert found[1].facts.size == 8


@pytest.mark.parametrize("role", Role)
def test_each_role_has_its_side(role: Role) -> None:
    connection = Connection(role)
    mine, other = ("client", "server") if role is Role.CLIENT else ("server", "client")
    assert getattr(connection, mine) is not None
    with pytest.raises(LocalProtocolError):
        getattr(connection, other)


# --- the client's side

MAIL = Mail("a@b.test", {"SIZE": "10"})
LINES = st.sampled_from(
    [
        b"250 2.1.0 Ok\r\n",
        b"250 2.1.5 Ok\r\n",
        b"354 Go on\r\n",
        b"250 Ok\n",
        b"251 Will forward\r\n",
        b"450 4.2.1 Later\r\n",
        b"550 5.1.1 No\r\n",
        b"421 Bye\r\n",
        b"250-a\r\n250 b\r\n",
        b"\r\n",
        b"250\r\n",
        b"25",
        b"no code\r\n",
    ]
)
YES = b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n354 Go on\r\n"
OCTETS = st.one_of(
    st.just(YES),
    st.tuples(st.just(YES), LINES).map(b"".join),
    st.lists(LINES, min_size=1, max_size=6).map(b"".join),
)


def opened() -> Connection:
    connection = Connection(Role.CLIENT)
    connection.receive(b"220 hi\r\n")
    connection.send(Ehlo("me.test"))
    connection.receive(OFFER.wire())
    return connection


def converse(pieces: list[bytes], *, short: bool) -> list[Any]:
    connection = opened()
    side = connection.client
    to = [Rcpt("c@d.test"), Rcpt("e@f.test")]
    if short:
        told: list[Any] = [side.send_envelope(MAIL, to)]
    else:
        told = [b"".join(connection.send(one) for one in (MAIL, *to, Data()))]
    for piece in pieces:
        asked = connection.awaited
        last = side.agreed(piece) if short else None
        if last is None:
            told += connection.receive(piece)
        else:  # told one by one, as ``receive`` does
            lines = [line + b"\n" for line in piece.split(b"\n")[:-1]]
            for command, line in zip(asked, lines, strict=True):
                told += [ReplyReceived(_read(line), command)]
            assert told[-1].reply == last
        told.append((connection.state, connection.recipients, connection.awaited, connection.utf8))
        told.append(connection.unread)
        if connection.state is State.DATA and not connection.awaited:
            told.append(connection.send(MessageData(b"x\r\n")) + connection.send(MessageEnd()))
    return told


def _read(line: bytes) -> Reply:
    reply = ReplyReader(Limits()).add(line)
    assert reply is not None
    return reply


@given(st.lists(OCTETS, max_size=5))
def test_a_client_understands_the_same_by_the_short_ways(pieces: list[bytes]) -> None:
    assert converse(pieces, short=True) == converse(pieces, short=False)


def test_a_yes_to_all_is_known_at_once() -> None:
    connection = opened()
    connection.client.send_envelope(MAIL, [Rcpt("c@d.test"), Rcpt("e@f.test")])
    last = connection.client.agreed(YES)
    assert last is not None
    assert last.code == 354
    assert connection.recipients == ("c@d.test", "e@f.test")


def test_an_envelope_is_said_whole_or_not_at_all() -> None:
    connection = opened()
    side = connection.client
    for mail, to in (
        (MAIL, []),
        (MAIL, [Rcpt("nobody")]),
        (Mail("a@b.test", {"BODY": "BINARYMIME"}), [Rcpt("c@d.test")]),
        (Mail("a@b.test", {"RET": "HDRS"}), [Rcpt("c@d.test")]),
    ):
        with pytest.raises(LocalProtocolError):
            side.send_envelope(mail, to)
        assert connection.awaited == ()
    side.send_envelope(MAIL, [Rcpt("c@d.test")])
    with pytest.raises(LocalProtocolError):
        side.send_envelope(MAIL, [Rcpt("c@d.test")])
