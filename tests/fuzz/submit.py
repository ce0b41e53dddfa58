"""Targets of the relay's front door: headers, authors, parameters, a whole session."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from email import message_from_bytes, policy
from ipaddress import ip_network

from posthouse.letter import Event, Letter
from posthouse.net.clock import FakeClock
from posthouse.net.smtp_session import Later, Peer
from posthouse.protocol.mailboxes import MailboxError
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.connection import Connection, Role
from posthouse.protocol.smtp.data import END
from posthouse.protocol.smtp.events import BodyChunk, BodyEnd, CommandReceived, Refused
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.submit import envelope
from posthouse.send.submit.desk import Desk, Terms
from posthouse.send.submit.header import mailboxes, mended, scan
from posthouse.send.submit.message import ROOM
from posthouse.send.submit.senders import PatternError, Senders, canonical
from posthouse.send.submit.settings import Limits, Listening, Mode, SettingError, read_listen
from posthouse.send.submit.stamp import origin_of

_LOOP = asyncio.new_event_loop()  # never run: it makes futures that are done

HEADERS = [
    b"From: Alice <a@d.example>\r\nDate: x\r\nMessage-ID: <m@d>\r\n\r\nhi\r\n",
    b"Bcc: a,\r\n b\r\nFrom : x\r\nReceived: y\r\n\r\nBcc: z\r\n",
    b"hello\r\n\r\n",
    b"Subject: x\r\nhello\r\n",
    b"Sender: a@d.example\r\nsEnDeR :\r\n b@d.example\r\n\r\nhi\r\n",
]
AUTHORS = [
    b' "A, B" <a@d.example>, (c(d)) b@e.example',
    b" Team: a@d.example, B <b@d.example>;",
    b" a@d.example <a@d.example>",
    " 爱 <爱@例.example>".encode(),
]
PARAMETERS = [b"a+2Bb", b"rfc822;a+0D+0Ab", b"utf-8;a\\x{7231}", "utf-8;爱@例".encode()]
PATTERNS = [b"alice@d.example", b"*@d.example", "@例.example".encode(), b"*"]
NAMES = [b"laptop.home", b"[127.0.0.1]", b"x)\r\nBcc: y"]
SESSIONS = [
    b"EHLO x\r\nMAIL FROM:<a@d.example>\r\nRCPT TO:<b@e.example>\r\nDATA\r\n"
    + one
    + b".\r\nQUIT\r\n"
    for one in HEADERS
] + [
    b"EHLO x\r\nMAIL FROM:<> SMTPUTF8 ENVID=q\r\nRCPT TO:<b@e.example> ORCPT=rfc822;b\r\n"
    b"BDAT 7\r\nX: y\r\n.BDAT 0 LAST\r\nRSET\r\nNOOP\r\nVRFY x\r\nHELO y\r\n",
    b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n..\r\n\r\n.\r\nGET / HTTP/1.1\r\n",
]


def header(data: bytes) -> None:
    """Where the header ends everybody sees the same, and no Bcc is left."""
    wire = data.replace(b"\r", b"").replace(b"\n", b"\r\n")
    found = scan(wire)
    assert 0 <= found.end <= len(wire)
    pieces = mended(wire, found)
    kept = b"".join(pieces)
    assert len(kept) <= len(wire) + 2
    again = scan(kept)
    assert again.parted
    assert not again.private
    assert (again.authors, again.senders, again.received, again.date) == (
        found.authors, found.senders, found.received, found.date,
    )  # fmt: skip
    if wire.isascii() and b"\0" not in wire and not set(wire) & set(b"\x0b\x0c\x1c\x1d\x1e"):
        other = message_from_bytes(b"X: y\r\n" + kept, policy=policy.compat32)
        assert len(other.get_all("Received", [])) <= again.received


def authors(data: bytes) -> None:
    try:
        found = mailboxes(data)
    except MailboxError:
        return
    assert 1 <= len(found) <= 20
    for address in found:
        local, at, domain = address.rpartition("@")
        assert local
        assert at
        assert domain
        assert not set(address) & set("<>\r\n,;:\0") or address.startswith('"') or "[" in domain


def parameters(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for kept in (
        envelope.of_mail({"ENVID": text}),
        envelope.of_rcpt({"ORCPT": f"rfc822;{text}"}, utf8=True),
        envelope.of_rcpt({"ORCPT": f"utf-8;{text}"}, utf8=True),
    ):
        assert isinstance(kept, Reply) or text.isprintable()


def patterns(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    Senders.of(["a@d.example", "*@d.example"]).allow(text)
    try:
        kept = canonical(text)
    except PatternError:
        return
    assert canonical(kept) == kept
    if not kept.startswith("*"):
        assert Senders.of([kept]).allow(kept)


def names(data: bytes) -> None:
    line = origin_of(data.decode("latin-1"), "192.0.2.1", "")
    assert "\r" not in line
    assert "\n" not in line


def listen(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for table in ({"address": text, "mode": "tls"}, {"address": "[::]:1", "mode": text},
                  {"address": "[::]:1", "mode": "relay", "networks": [text]}):  # fmt: skip
        try:
            listening = read_listen(table)
        except SettingError:
            continue
        assert 0 <= listening.port <= 65_535


def session(data: bytes) -> None:
    """Whatever is said, a letter is whole, and nothing is left behind."""
    kept: list[Letter] = []

    def keep(letter: Letter, events: Sequence[Event]) -> asyncio.Future[None]:
        kept.append(letter)
        done: asyncio.Future[None] = _LOOP.create_future()
        done.set_result(None)
        return done

    desk = Desk(
        Terms("relay.test", 2_000, 3, Limits(0, 0, 0)), keep, lambda: "id",
        gate=None, clock=FakeClock(), watch=lambda *_: None, tls=False,
    )  # fmt: skip
    one = desk.sessions(Listening("", 0, Mode.RELAY, (ip_network("192.0.2.0/24"),)))()
    connection = Connection(Role.SERVER)
    connection.send(_now(one.greet(Peer("192.0.2.1", 1, False))))
    events = connection.receive(data)
    while events:
        event = events.pop(0)
        if isinstance(event, CommandReceived) and not isinstance(event.command, c.Bdat):
            connection.send(_now(one.command(event.command, connection)))
        elif isinstance(event, BodyChunk):
            one.body(event.data)
        elif isinstance(event, BodyEnd):
            facts = event.facts
            if not event.chunked and (facts.bare_cr or facts.bare_lf):
                break  # the listener hangs up
            connection.send(_now(one.ended(event, connection)))
        elif isinstance(event, Refused):
            connection.send(event.reply)
            if event.fatal:
                break
        if not events:
            events = connection.receive(b"")
    one.closed("done")
    assert desk.room.left == ROOM
    assert desk.clients == {}
    assert desk.receiving == 0
    for letter in kept:
        assert 1 <= len(letter.recipients) <= 3
        assert letter.content.endswith(b"\r\n")
        assert letter.content.startswith(b"Received: from ")
        assert END not in letter.content
        assert letter.content.count(b"\r\n") == letter.content.count(b"\n")


def _now(answer: object) -> Reply:
    if isinstance(answer, Reply):
        return answer
    if isinstance(answer, Later):
        assert answer.done.done()
        return answer.reply(answer.done)
    said: list[Reply] = []

    async def wait() -> None:
        said.append(await answer)  # type: ignore[misc]

    with suppress(StopIteration):  # it never waits, so it ends at the first step
        wait().send(None)
    (reply,) = said
    return reply
