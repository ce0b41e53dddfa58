"""Targets of what comes from sockets, on streams that hold nothing but the input."""

# ruff: noqa: PT017  a target looks at an error where it catches it

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime

from fakes.dnspython import query_by_dnspython, read_by_dnspython
from fuzz.mutate import cuts
from posthouse.flow import Line, NetworkFailure, Secret, Step, Trace
from posthouse.net import certificate, dnswire, imap, imap_wire, verify
from posthouse.net.dial import Connected, Family
from posthouse.net.http import HttpAnswer, NetHttp
from posthouse.net.resolver import AnswerStatus
from posthouse.net.servertime import time_in
from posthouse.net.smtp import SmtpClient
from posthouse.net.stream import PipeStream
from posthouse.net.tls import TlsOptions, TlsSession
from posthouse.protocol import dnsmessage
from posthouse.protocol.smtp import LocalProtocolError, sasl

PASSWORD = "Wren-60"
PASSWORD_SENT = (PASSWORD.encode(), b"AGFsaWNlAFdyZW4tNjA=")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


class Tape:
    """A stream, and a pipe, that plays what it was given and then ends."""

    peer = "192.0.2.1:25"
    tls: TlsSession | None = None

    def __init__(self, data: bytes) -> None:
        self._pieces = cuts(data)[::-1]
        self.told = False  # whether the password was sent: what came before cannot be an echo

    async def read(self, limit: int = 65_536) -> bytes:
        return self._pieces.pop() if self._pieces else b""

    async def receive(self, limit: int = 65_536) -> bytes:
        return await self.read(limit)

    async def write(self, data: bytes) -> None:
        self.told = self.told or any(form in data for form in PASSWORD_SENT)

    async def send(self, data: bytes) -> None:
        await self.write(data)

    async def start_tls(self, options: TlsOptions) -> TlsSession:
        self.tls = TlsSession("TLSv1.3", "x", 256, server_name=options.server_name, trusted=True)
        return self.tls

    async def accept_tls(self, context: ssl.SSLContext) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        self._pieces = []

    async def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class TapeDialer:
    """Every connection plays the same tape."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def dial(self, host: str, port: int, *, timeout: float = 15.0) -> Connected:
        return Connected(Tape(self._data), "192.0.2.1", Family.IPV4, ())


# DNS


def dns_answer(data: bytes) -> None:
    """As a reply to a question: what dnspython makes of it as well, or nothing but WireError."""
    for type_ in ("A", "AAAA", "TXT", "MX", "SRV", "TLSA"):
        question = dnsmessage.question("mail.example.com", type_)
        assert question is not None
        try:
            reply = dnsmessage.read(question, data)
        except dnsmessage.WireError:
            reply = None
        expected = read_by_dnspython(question, data)
        assert expected is None or reply == expected or reply is None or reply.truncated
        assert expected is None or reply is not None or data[4:6] != b"\0\1"
        if reply is None:
            continue
        answer = dnswire.answer_of(reply, question, "192.0.2.53")
        assert answer.status is not AnswerStatus.OK or answer.records
        assert len(answer.records) <= dnsmessage.RECORDS_LIMIT
        for record in (*answer.records, answer.canonical):
            record.encode("utf-8")


def dns_over_tcp(data: bytes) -> None:
    question = dnsmessage.question("mail.example.com", "TXT")
    assert question is not None
    wire = len(data).to_bytes(2, "big") + data
    for octets in (wire, data):
        try:
            found = asyncio.run(dnswire.ask_stream(Tape(octets), question, data[:2]))
        except (dnsmessage.WireError, NetworkFailure):
            continue
        assert isinstance(found, dnsmessage.Reply)


def dns_question(data: bytes) -> None:
    """Any name: what dnspython would send, or None where it refuses."""
    name = data.decode("utf-8", "replace")
    for type_ in ("A", "TXT", "CAA", "TYPE65280"):
        question = dnsmessage.question(name, type_)
        expected = query_by_dnspython(name, type_)
        assert (question and question.message(b"\0\7")) == expected


# IMAP, HTTP, SMTP


def imap_client(data: bytes) -> None:
    asyncio.run(_imap(data))


async def _imap(data: bytes) -> None:
    tape = Tape(data)
    wire = imap_wire.ImapWire(tape)
    try:
        await wire.greeting()
        await wire.learn_capabilities()
        await imap._login(wire, "alice", Secret(PASSWORD))
        for folder in await imap._spam_folders(wire):
            assert folder.isprintable()
        await imap._look(wire, "INBOX", b"<a@b>")
    except NetworkFailure as failure:
        assert not tape.told or not _echoed(repr(failure.detail))
    except imap_wire.Refused as refused:
        assert not tape.told or not _echoed(refused.text)


def http_client(data: bytes) -> None:
    for url in ("https://example.com/a", "http://example.com/a"):
        try:
            answer = asyncio.run(NetHttp(TapeDialer(data)).get(url, limit=2_000))
        except NetworkFailure as failure:
            repr(failure)
            continue
        assert isinstance(answer, HttpAnswer)
        assert len(answer.body) <= 2_000
        assert len(answer.redirects) <= 5
        assert answer.url.startswith("https://") or url.startswith("http://")


def smtp_client(data: bytes) -> None:
    asyncio.run(_smtp(data))


async def _smtp(data: bytes) -> None:
    tape = Tape(data)

    def watch(item: Step | Line) -> None:
        assert isinstance(item, Line)
        item.text.encode("utf-8")
        assert not tape.told or not _echoed(item.text)

    client = SmtpClient(tape, Trace(lambda: 0.0, watch))
    try:
        await client.greeting()
        await client.ehlo("me.test")
        await client.auth("PLAIN", "alice", Secret(PASSWORD))
        await client.envelope("a@b.test", ["c@d.test"])
        await client.data(b"Subject: x\r\n\r\nx\r\n")
        await client.quit()
    except (NetworkFailure, LocalProtocolError, sasl.SaslError) as error:
        assert not tape.told or not _echoed(repr(error))


def _echoed(text: str) -> bool:
    return any(form.decode() in text for form in PASSWORD_SENT)


def smtp_starttls(data: bytes) -> None:
    asyncio.run(_starttls(data))


async def _starttls(data: bytes) -> None:
    tape = Tape(data)
    client = SmtpClient(tape)
    try:
        await client.greeting()
        await client.ehlo("me.test")
        assert (await client.starttls()).code or True
        await client.upgrade(TlsOptions("mail.test"))
        assert not client.extensions
        await client.ehlo("me.test")
    except (NetworkFailure, LocalProtocolError):
        pass


def tls_handshake(data: bytes) -> None:
    asyncio.run(_handshake(data))


async def _handshake(data: bytes) -> None:
    stream = PipeStream(Tape(data), "192.0.2.1:465")
    try:
        await stream.start_tls(TlsOptions("mail.test"))
    except NetworkFailure as failure:
        repr(failure)
        return
    raise AssertionError("a handshake with nobody")


# Certificates, times


def certificate_der(data: bytes) -> None:
    info = certificate.describe(data)
    if info is not None:
        assert len(info.names) <= certificate.NAMES_LIMIT
        assert info.not_before.tzinfo
        "\n".join((info.subject, info.issuer, info.common_name, *info.names)).encode("utf-8")


def certificate_chain(data: bytes) -> None:
    session = TlsSession("TLSv1.3", "x", 256, server_name="mail.test")
    found = verify.judged(session, [data, data], at=MOMENT)
    assert not found.trusted
    assert found.problems


def server_time(data: bytes) -> None:
    for text in (data.decode("latin-1"), data.decode("utf-8", "replace")):
        found = time_in(text)
        assert found is None or found.utcoffset() is not None
