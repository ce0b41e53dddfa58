"""Hypothesis: however octets are cut, the events are the same; and nothing but events comes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from posthouse.protocol.smtp import (
    Auth,
    Bdat,
    BodyChunk,
    BodyEnd,
    Command,
    CommandReceived,
    Connection,
    Data,
    Ehlo,
    Event,
    Limits,
    Mail,
    MessageData,
    MessageEnd,
    Noop,
    Quit,
    Rcpt,
    Refused,
    Reply,
    ReplyReceived,
    Role,
    StartTls,
    State,
    normalize,
    unstuff,
)

CUTS = st.lists(st.integers(0, 400), max_size=8)
OFFER = Reply(
    250,
    ("mail.test", "PIPELINING", "SIZE 9", "AUTH PLAIN LOGIN", "STARTTLS", "CHUNKING", "SMTPUTF8"),
)

SERVER_LINES = st.sampled_from(
    [
        b"220 hi\r\n",
        b"250 ok\r\n",
        b"250-more\r\n",
        b"250-PIPELINING\n",
        b"250 8 BITMIME\r\n",
        b"354 go\r\n",
        b"334 VXNlcm5hbWU6\r\n",
        b"421 bye\r\n",
        b"550-5.1.1 no\r\n",
        b"550 5.1.1 no\r\n",
        "535 登录失败\r\n".encode("gb18030"),
        b"no code\r\n",
        b"\r\n",
        b"250",
        b"\n",
        b"2",
        b"250 " + b"x" * 100,
    ]
)
CLIENT_PIECES = st.sampled_from(
    [
        b"EHLO me.test\r\n",
        b"MAIL FROM:<a@b.test>\r\n",
        b"RCPT TO:<c@d.test>\r\n",
        b"DATA\r\n",
        b"BDAT 3\r\n",
        b"BDAT 5 LAST\r\n",
        b"BDAT x\r\n",
        b"STARTTLS\r\n",
        b"AUTH LOGIN\r\n",
        b"AUTH PLAIN AGEAYg==\r\n",
        b"YWxpY2U=\r\n",
        b"*\r\n",
        b"RSET\r\n",
        b"NOOP\n",
        b"QUIT\r\n",
        b"GET / HTTP/1.1\r\n",
        b"line of text\r\n",
        b".\r\n",
        b"\r\n.\r\n",
        b"..dots\r\n",
        b"\n.\n",
        b"\r",
        b"\n",
        b"\xff\x00",
        b"x" * 700,
        b"y" * 13_000,
    ]
)


def cut(data: bytes, where: Iterable[int]) -> list[bytes]:
    points = sorted({min(w, len(data)) for w in where} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(points)]


def merged(events: Iterable[Event]) -> list[Event]:
    """Where one BodyChunk ends and the next begins means nothing."""
    found: list[Event] = []
    for event in events:
        if isinstance(event, BodyChunk) and found and isinstance(found[-1], BodyChunk):
            found[-1] = BodyChunk(found[-1].data + event.data)
        else:
            found.append(event)
    return found


# --- the client's side


def hear(pieces: list[bytes], commands: list[Command]) -> tuple[list[Event], State, bytes]:
    """Greeting and EHLO one by one, then a pipelined group, then whatever the server says."""
    connection = Connection(Role.CLIENT, limits=Limits(reply_octets=600))
    connection.receive(b"220 hi\r\n")
    connection.send(Ehlo("me.test"))
    connection.receive(OFFER.wire())
    for command in commands:
        connection.send(command)
    events = [event for piece in pieces for event in connection.receive(piece)]
    return events, connection.state, connection.unread


@given(
    st.lists(st.one_of(SERVER_LINES, st.binary(max_size=30)), max_size=12).map(b"".join),
    CUTS,
    st.sampled_from(
        [
            [],
            [Noop()],
            [Mail("a@b.test"), Rcpt("c@d.test"), Data()],
            [StartTls()],
            [Auth("LOGIN")],
            [Mail("a@b.test"), Rcpt("c@d.test"), Rcpt("e@f.test"), Quit()],
        ]
    ),
)
@settings(max_examples=300)
def test_client(data: bytes, where: list[int], commands: list[Command]) -> None:
    whole = hear([data], commands)
    assert hear(cut(data, where), commands) == whole
    assert hear([data[i : i + 1] for i in range(len(data))], commands) == whole


@given(st.binary(max_size=300), CUTS)
def test_client_and_any_greeting(data: bytes, where: list[int]) -> None:
    results = []
    for pieces in ([data], cut(data, where)):
        connection = Connection(Role.CLIENT)
        events = [event for piece in pieces for event in connection.receive(piece)]
        results.append((events, connection.state, connection.unread))
    assert results[0] == results[1]


# --- the server's side


def answer(command: Command) -> Reply:
    """One fixed good server."""
    if isinstance(command, Ehlo):
        return OFFER
    if isinstance(command, Data):
        return Reply.make(354, "go")
    if isinstance(command, StartTls):
        return Reply.make(220, "go")
    if isinstance(command, Auth) and command.initial is None:
        return Reply.challenge(b"more")
    if isinstance(command, Quit):
        return Reply.make(221, "bye")
    return Reply.make(250, "ok")


def talk(pieces: list[bytes]) -> tuple[list[Event], State, bytes, bytes]:
    """A server that answers everything at once; gives its events, state, rest, and its words."""
    connection = Connection(Role.SERVER)
    out = connection.send(Reply.make(220, "hi"))
    seen: list[Event] = []
    for piece in pieces:
        events = connection.receive(piece)
        while events:
            seen += events
            for event in events:
                if isinstance(event, Refused):
                    out += connection.send(event.reply)
                elif isinstance(event, BodyEnd):
                    out += connection.send(Reply.make(250, "taken"))
                elif isinstance(event, CommandReceived) and not isinstance(event.command, Bdat):
                    out += connection.send(answer(event.command))
            events = connection.receive(b"")
    return merged(seen), connection.state, connection.unread, out


@given(
    st.lists(st.one_of(CLIENT_PIECES, st.binary(max_size=30)), max_size=14).map(b"".join),
    CUTS,
)
@example(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 3\r\nEHLO me.test\r\n", [])
@settings(max_examples=300)
def test_server(data: bytes, where: list[int]) -> None:
    hello = b"EHLO me.test\r\n"
    whole = talk([hello + data])
    pieces = cut(hello + data, where)
    again = talk(pieces)
    assert (again[0], again[1], again[3]) == (whole[0], whole[1], whole[3])
    if len(data) < 1_000:
        bytewise = talk([(hello + data)[i : i + 1] for i in range(len(hello + data))])
        assert (bytewise[0], bytewise[1], bytewise[3]) == (whole[0], whole[1], whole[3])


# --- both sides together

ADDRESSES = st.sampled_from(["a@b.test", '"x y"@b.test', "a@[192.0.2.1]"])


@given(
    ADDRESSES,
    st.lists(ADDRESSES, min_size=1, max_size=4),
    st.lists(st.sampled_from([b".", b"\r\n", b"x", b"\xe4", b"..", b"\n"]), max_size=20),
    CUTS,
    CUTS,
)
def test_a_message_goes_through_whole(
    sender: str, recipients: list[str], parts: list[bytes], there: list[int], back: list[int]
) -> None:
    client, message = Connection(Role.CLIENT), normalize(b"".join(parts))
    items = [
        [Ehlo("me.test")],
        [Mail(sender), *(Rcpt(r) for r in recipients), Data()],
        [MessageData(message), MessageEnd()],
    ]
    server = Connection(Role.SERVER)
    client.receive(server.send(Reply.make(220, "hi")))
    seen: list[Event] = []
    codes: list[int] = []
    for group in items:
        wire = b"".join(client.send(item) for item in group)  # type: ignore[arg-type]
        words = b""
        for piece in cut(wire, there):
            events = server.receive(piece)
            while events:
                seen += events
                for event in events:
                    if isinstance(event, CommandReceived):
                        words += server.send(answer(event.command))
                    elif isinstance(event, BodyEnd):
                        words += server.send(Reply.make(250, "taken"))
                events = server.receive(b"")
        for piece in cut(words, back):
            codes += [e.reply.code for e in client.receive(piece) if isinstance(e, ReplyReceived)]
    assert codes == [250, 250, *[250] * len(recipients), 354, 250]
    commands = [e.command for e in seen if isinstance(e, CommandReceived)]
    assert commands == [Ehlo("me.test"), Mail(sender), *map(Rcpt, recipients), Data()]
    body = b"".join(e.data for e in seen if isinstance(e, BodyChunk))
    whole = message if message.endswith(b"\r\n") or not message else message + b"\r\n"
    assert unstuff(body) == whole
    assert client.state is server.state is State.READY
