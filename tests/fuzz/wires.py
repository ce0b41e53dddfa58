"""Targets of what comes from sockets, on streams that hold nothing but the input."""

# ruff: noqa: PT017  a target looks at an error where it catches it

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime

import dns.exception
import dns.message

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
    """As an answer to a question with the same id, over UDP and over TCP."""
    for type_ in ("A", "TXT", "MX", "SRV", "TLSA"):
        query = dnswire.query("mail.example.com", type_)
        assert query is not None
        query.id = int.from_bytes(data[:2], "big")
        try:
            response = dnswire._parsed(query, data)
        except dns.exception.DNSException:
            continue
        if response is None:
            continue
        answer = dnswire._answer(response, "mail.example.com", type_, "192.0.2.53")
        assert (answer.status is AnswerStatus.OK) == bool(answer.records)
        assert len(answer.records) <= dnswire.RECORDS_LIMIT
        for record in answer.records:
            record.encode("utf-8")


def dns_over_tcp(data: bytes) -> None:
    query = dnswire.query("mail.example.com", "TXT")
    assert query is not None
    query.id = int.from_bytes(data[:2], "big")
    wire = len(data).to_bytes(2, "big") + data
    for octets in (wire, data):
        try:
            found = asyncio.run(dnswire._ask(Tape(octets), query))
        except (dns.exception.DNSException, NetworkFailure):
            continue
        assert isinstance(found, dns.message.Message)


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
