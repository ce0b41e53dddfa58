"""Targets of the SMTP engine: replies, commands, messages, both roles, masking."""

# ruff: noqa: PT017  a target looks at an error where it catches it

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from fuzz.mutate import cuts
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.connection import Connection, Role
from posthouse.protocol.smtp.data import (
    END,
    BodyFacts,
    DataReader,
    Stuffer,
    normalize,
    unstuff,
)
from posthouse.protocol.smtp.errors import LocalProtocolError
from posthouse.protocol.smtp.events import (
    BodyChunk,
    BodyEnd,
    CommandReceived,
    Event,
    MessageData,
    Refused,
    RemoteError,
    ReplyReceived,
)
from posthouse.protocol.smtp.extensions import (
    auth_mechanisms,
    decode_xtext,
    encode_xtext,
    erased,
    parse_ehlo,
    session_limits,
    size_limit,
)
from posthouse.protocol.smtp.limits import PATH, REPLY_LINE, Limits
from posthouse.protocol.smtp.masking import SHOWN, Masker, mask_text, printable
from posthouse.protocol.smtp.parse import CommandError, parse_command, parse_response
from posthouse.protocol.smtp.path import PathError, check_address, parse_path
from posthouse.protocol.smtp.reply import Reply, parse_reply
from posthouse.protocol.smtp.write import write_command

OFFER = Reply(
    250,
    (
        "mail.test",
        "PIPELINING",
        "SIZE 9000",
        "AUTH PLAIN LOGIN",
        "STARTTLS",
        "CHUNKING",
        "8BITMIME",
        "BINARYMIME",
        "SMTPUTF8",
        "DSN",
        "XCLIENT NAME ADDR LOGIN",
    ),
)
EXTENSIONS = parse_ehlo(OFFER.lines[1:])
WIDE = Limits()
LIMITS = Limits(reply_line=300, reply_lines=20, reply_octets=3_000)  # within reach of a fuzzer
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def text_of(data: bytes) -> str:
    """Any text, lone surrogates too, as an argument of a program may hold them."""
    return data.decode("utf-8", "surrogateescape")


# Replies


def sound(reply: Reply, limits: Limits = WIDE) -> None:
    """What is true of every reply that was read."""
    assert 200 <= reply.code <= 599
    assert len(reply.lines) <= limits.reply_lines
    assert all(len(line) <= limits.reply_line for line in reply.lines)
    assert not any(_CONTROL.search(line) for line in reply.lines)
    str(reply).encode("utf-8")
    wire = reply.wire(utf8=True)
    assert wire.endswith(b"\r\n")
    for line in wire[:-2].split(b"\r\n"):
        assert line[:3] == str(reply.code).encode()
        assert reply.code == 334 or len(line) + 2 <= REPLY_LINE
        assert b"\r" not in line
        assert b"\n" not in line


def reply_pasted(data: bytes) -> None:
    for shown in (data, text_of(data)):
        reply = parse_reply(shown)
        if reply is not None:
            sound(reply, Limits(reply_line=65_536, reply_lines=65_536))


def ehlo(data: bytes) -> None:
    extensions = parse_ehlo(data.decode("latin-1").split("\n"))
    assert all(key and key == key.upper() for key in extensions)
    assert size_limit(extensions) != 0
    erased(extensions)
    limits = session_limits(extensions)
    assert all(v is None or 1 <= v <= 999_999 for v in (limits.mail_max, limits.rcpt_max))
    assert all(name == name.upper() for name in auth_mechanisms(extensions))


# Commands, paths


def command(data: bytes) -> None:
    line = data.split(b"\r\n")[0]
    for utf8 in (False, True):
        try:
            found = parse_command(line, extensions=EXTENSIONS, utf8=utf8)
        except CommandError as error:
            assert 500 <= error.reply.code <= 599
            continue
        Masker().command(found)
        try:
            wire = write_command(found, extensions=EXTENSIONS, utf8=utf8)
        except LocalProtocolError:
            continue  # we read more leniently than we write
        assert wire.endswith(b"\r\n")
        assert not {0x0D, 0x0A} & set(wire[:-2])
        assert parse_command(wire[:-2], extensions=EXTENSIONS, utf8=utf8) == found


def response(data: bytes) -> None:
    try:
        found = parse_response(data)
    except CommandError as error:
        assert error.reply.code == 501
        return
    wire = write_command(found, extensions={}) if len(data) < 12_000 else b""
    assert not wire or parse_response(wire[:-2]) == found


def path(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for utf8, null in ((False, False), (True, False), (True, True)):
        try:
            address, rest = parse_path(text, utf8=utf8, null=null)
        except PathError:
            continue
        assert len(address.encode()) + 2 <= PATH
        assert text.endswith(rest)
        assert utf8 or address.isascii()
        if address.lower() != "postmaster":
            check_address(address, utf8=utf8, null=null)
        assert parse_path(f"<{address}>x", utf8=utf8, null=null) == (address, "x")


def xtext(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    assert decode_xtext(encode_xtext(text)) == text
    try:
        found = decode_xtext(text)
    except ValueError:
        return
    assert decode_xtext(encode_xtext(found)) == found


# The message


def body(data: bytes) -> None:
    """The decoder of DATA against a plain one of three lines, however the octets are cut."""
    end = (b"\r\n" + data).find(END)
    expected = data[:end] if end > 0 else b"" if end == 0 else None
    for pieces in ([data], cuts(data), [data[i : i + 1] for i in range(min(len(data), 600))]):
        reader, got, rest = DataReader(), b"", b""
        for number, piece in enumerate(pieces):
            more, after = reader.feed(piece)
            got += more
            if after is not None:
                rest = after + b"".join(pieces[number + 1 :])
                assert got == expected
                assert reader.meter.facts() == _facts(got)
                assert data[len(got) + 3 :].startswith(rest)
                break
        else:
            assert expected is None or len(b"".join(pieces)) < len(data)
            assert data.startswith(got)
    _goes_through(data)


def _facts(data: bytes) -> BodyFacts:
    bare = data.replace(b"\r\n", b"")
    return BodyFacts(
        len(data),
        bare.count(b"\r") if b"\r\n" not in data else data.count(b"\r") - data.count(b"\r\n"),
        data.count(b"\n") - data.count(b"\r\n"),
        any(len(line) > 999 for line in data.split(b"\n")[:-1])
        or len(data.split(b"\n")[-1]) > 1_000,
        any(octet > 127 for octet in data),
        b"\0" in data,
    )


def _goes_through(data: bytes) -> None:
    message = normalize(data)
    assert normalize(message) == message
    stuffer = Stuffer()
    wire = b"".join(stuffer.add(piece) for piece in cuts(message))
    wire += stuffer.end()
    got, rest = DataReader().feed(wire)
    assert rest == b""
    assert unstuff(got) == (
        message if message.endswith(b"\r\n") or not message else message + b"\r\n"
    )


def chunks(data: bytes) -> None:
    """BDAT carries any octets unchanged, in chunks of any size."""
    client, server = _introduced()
    received = b""
    pieces = cuts(data)[:60] or [b""]
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        wire = client.send(c.Bdat(len(piece), last)) + client.send(MessageData(piece))
        for octets in cuts(wire):
            for event in server.receive(octets):
                assert not isinstance(event, Refused)
                received += event.data if isinstance(event, BodyChunk) else b""
                if isinstance(event, BodyEnd):
                    assert event.last == last
                    assert event.facts.size == len(received)
                    client.receive(server.send(Reply.make(250, "ok")))
    assert received == b"".join(pieces)


def _introduced() -> tuple[Connection, Connection]:
    client, server = Connection(Role.CLIENT), Connection(Role.SERVER)
    client.receive(server.send(Reply.make(220, "hi")))
    for item in (c.Ehlo("me.test"), c.Mail("a@b.test"), c.Rcpt("c@d.test")):
        server.receive(client.send(item))
        client.receive(server.send(OFFER if isinstance(item, c.Ehlo) else Reply.make(250, "ok")))
    return client, server


# Both roles

PLANS: tuple[tuple[c.Command, ...], ...] = (
    (),
    (c.Noop(),),
    (c.Mail("a@b.test"), c.Rcpt("c@d.test"), c.Data()),
    (c.StartTls(),),
    (c.Auth("LOGIN"),),
    (c.Mail("a@b.test"), c.Rcpt("c@d.test"), c.Rcpt("e@f.test"), c.Quit()),
)


def client(data: bytes) -> None:
    """What a server may say to a client: any cut gives the same, and caps hold."""
    plan = PLANS[data[0] % len(PLANS)] if data else ()
    octets = data[1:]
    whole = _hear([octets], plan)
    assert _hear(cuts(octets), plan) == whole
    for event in whole[0]:
        assert isinstance(event, ReplyReceived | RemoteError)
        if isinstance(event, ReplyReceived):
            sound(event.reply, LIMITS)
            for line in Masker().reply(event.reply):
                _shown(line)
        else:
            assert len(event.raw) <= LIMITS.reply_octets


def _hear(pieces: list[bytes], plan: Iterable[c.Command]) -> tuple[list[Event], str, bytes]:
    connection = Connection(Role.CLIENT, limits=LIMITS)
    connection.receive(b"220 hi\r\n")
    connection.send(c.Ehlo("me.test"))
    connection.receive(OFFER.wire())
    for item in plan:
        connection.send(item)
    events = []
    for piece in pieces:
        events += connection.receive(piece)
        assert len(connection.unread) <= LIMITS.reply_octets
    return events, str(connection.state), connection.unread


def server(data: bytes) -> None:
    """What a client may say to a server."""
    octets = b"EHLO me.test\r\n" + data
    whole, state, out = _serve([octets])
    again = _serve(cuts(octets))
    assert (whole, state, out) == again
    masker = Masker()
    for event in whole:
        if isinstance(event, CommandReceived):
            _shown(masker.command(event.command))
            repr(event)
        elif isinstance(event, Refused):
            sound(event.reply)


def _serve(pieces: list[bytes]) -> tuple[list[Event], str, bytes]:
    connection = Connection(Role.SERVER)
    out = connection.send(Reply.make(220, "hi"))
    seen: list[Event] = []
    for piece in pieces:
        events = connection.receive(piece)
        while events:
            for event in events:
                _note(seen, event)
                if isinstance(event, Refused):
                    out += connection.send(event.reply)
                elif isinstance(event, BodyEnd):
                    out += connection.send(Reply.make(250, "taken"))
                elif isinstance(event, CommandReceived) and not isinstance(event.command, c.Bdat):
                    out += connection.send(_answer(event.command))
            events = connection.receive(b"")
    return seen, str(connection.state), out


def _note(seen: list[Event], event: Event) -> None:
    if isinstance(event, BodyChunk) and seen and isinstance(seen[-1], BodyChunk):
        seen[-1] = BodyChunk(seen[-1].data + event.data)
    else:
        seen.append(event)


def _answer(item: c.Command) -> Reply:
    if isinstance(item, c.Ehlo):
        return OFFER
    if isinstance(item, c.Data):
        return Reply.make(354, "go")
    if isinstance(item, c.StartTls):
        return Reply.make(220, "go")
    if isinstance(item, c.Auth) and item.initial is None:
        return Reply.challenge(b"more")
    return Reply.make(221 if isinstance(item, c.Quit) else 250, "ok")


# The transcript


def _shown(line: str) -> None:
    assert len(line) <= SHOWN + 1
    assert printable(line) == line
    line.encode("utf-8")


SECRET = "Wren-60+Sloe/Mallet ä"


def masking(data: bytes) -> None:
    """Whatever stands around the echo of a credential, it is not shown."""
    text = data.decode("utf-8", "replace")
    _shown(printable(mask_text(text)))
    octets = SECRET.encode()
    sent = {
        "PLAIN": [b"\0alice\0" + octets],
        "LOGIN": [b"alice", octets],
    }
    for mechanism, responses in sent.items():
        masker = Masker()
        masker.command(c.Auth(mechanism))
        for item in responses:
            masker.command(c.AuthResponse(item))
        for form in forms(responses[-1], octets):
            shown = masker.text(f"{text} {form} {text}")
            assert form not in shown, form
            assert masker.reply(Reply(535, (form, text)))[0] != f"535 {form}"


def forms(whole: bytes, secret: bytes) -> list[str]:
    """How a server may write what it was sent."""
    text = secret.decode()
    return [
        base64.b64encode(whole).decode(),
        base64.b64encode(secret).decode(),
        text,
        quote(secret, safe=""),
        quote_plus(secret),
        quote(secret, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    ]
