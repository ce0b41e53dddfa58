"""Every cap on what is read from a stranger holds: a row for each named limit.

Those with a test beside their module are not repeated here: HTTP body, headers and redirects
(``net/test_http``), XML entities and depth (``discovery``), plain words before TLS
(``net/test_stream``).
"""

from __future__ import annotations

import asyncio
import plistlib
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import dns.message
import dns.rrset
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from budget import soon
from fuzz.seeds import certificates
from fuzz.wires import Tape, TapeDialer
from posthouse import explain
from posthouse.explain import reading
from posthouse.flow import TRANSCRIPT_LIMIT, Failure, NetworkFailure, Secret, Trace
from posthouse.net import certificate, dnswire, imap, imap_wire, verify
from posthouse.net.http import URL_LIMIT, NetHttp
from posthouse.net.pipe import BUFFER_LIMIT, SocketPipe
from posthouse.net.pump import CHAIN_LIMIT
from posthouse.net.resolver import CNAME_LIMIT, Answer, AnswerStatus, DnsResolver
from posthouse.net.servertime import TEXT_LIMIT, time_in
from posthouse.net.smtp import SmtpClient
from posthouse.net.tls import TlsSession
from posthouse.net.tlsprobe import _read
from posthouse.protocol import dnsmessage
from posthouse.protocol.discovery import autoconfig, mobileconfig, organisation
from posthouse.protocol.discovery.jsontree import parse_json
from posthouse.protocol.discovery.offer import (
    MAX_DOCUMENT,
    MAX_DOMAINS,
    MAX_SERVERS,
    DiscoveryError,
)
from posthouse.protocol.discovery.xmltree import parse_xml
from posthouse.protocol.smtp import (
    BodyChunk,
    Connection,
    Ehlo,
    Limits,
    Mail,
    Noop,
    Refused,
    RemoteError,
    Reply,
    ReplyReceived,
    Role,
    mask_text,
    parse_reply,
    sasl,
)
from posthouse.protocol.smtp.limits import AUTH_LINE, COMMAND_LINE
from posthouse.protocol.tls_hello import ANSWER_LIMIT, AnswerKind, read_answer

ADDRESS = "alice@example.com"
MEGABYTE = 1_048_576
LONG = b"u" * 120_000
DEFAULT = b'<!DOCTYPE a [<!ATTLIST b c CDATA "' + LONG + b'">]>'


def memory(call: Callable[[], object]) -> int:
    """The most octets that a call held at once."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# SMTP replies


def client() -> Connection:
    connection = Connection(Role.CLIENT)
    connection.receive(b"220 hi\r\n")
    return connection


def the_reply(connection: Connection, data: bytes) -> Reply:
    events = connection.receive(data)
    assert len(events) == 1
    assert isinstance(events[0], ReplyReceived)
    return events[0].reply


def test_reply_lines() -> None:
    connection = client()
    connection.send(Ehlo("me.test"))
    flood = b"".join(b"250-X%d\r\n" % n for n in range(5_000)) + b"250 END\r\n"
    reply = the_reply(connection, flood)
    assert len(reply.lines) == Limits().reply_lines
    assert "too_many_lines" in reply.defects
    assert len(connection.extensions) < Limits().reply_lines


def test_reply_line() -> None:
    connection = client()
    connection.send(Ehlo("me.test"))
    reply = the_reply(connection, b"250 " + b"x" * 50_000 + b"\r\n")
    assert len(reply.lines[0]) == Limits().reply_line
    assert "line_cut" in reply.defects


@pytest.mark.parametrize(
    "piece",
    [b"250-x\r\n" * 20, b"x" * 1_000, b"\r\n" * 50, b"250-" + b"y" * 10_000 + b"\n"],
    ids=range(4),
)
def test_a_reply_without_end(piece: bytes) -> None:
    connection = Connection(Role.CLIENT)
    for _ in range(2 * Limits().reply_octets // len(piece)):
        events = connection.receive(piece)
        assert len(connection.unread) <= Limits().reply_octets
        if any(isinstance(event, RemoteError) for event in events):
            return
    raise AssertionError("read on for ever")


async def test_a_reply_continued_for_ever() -> None:
    """EHLO's lines after a forgotten hyphen are merged, up to the same cap."""
    flood = b"220 hi\r\n" + b"250 X\r\n" * 60_000
    smtp = SmtpClient(Tape(flood))
    await smtp.greeting()
    reply = await smtp.ehlo("me.test")
    assert len(reply.lines) <= Limits().reply_lines


async def test_transcript() -> None:
    trace = Trace(time.monotonic)
    smtp = SmtpClient(Tape(b"220 hi\r\n" + (b"250-x\r\n" * 150 + b"250 y\r\n") * 100), trace)
    await smtp.greeting()
    for _ in range(60):
        await smtp.ehlo("me.test")
    assert len(trace.lines) <= TRANSCRIPT_LIMIT
    assert all(len(line.text) <= 1_001 for line in trace.lines)


def test_pasted_reply() -> None:
    found = parse_reply("550 " + "x" * 10_000_000)
    assert found is not None
    assert len(found.text) <= 65_536
    assert memory(lambda: mask_text("550 " + "x" * 100_000)) < 2 * MEGABYTE


# SMTP commands


def server() -> Connection:
    connection = Connection(Role.SERVER)
    connection.send(Reply.make(220, "hi"))
    return connection


def test_command_line() -> None:
    connection = server()
    (event,) = connection.receive(b"NOOP " + b"x" * COMMAND_LINE + b"\r\n")
    assert isinstance(event, Refused)
    assert event.reason == "line_too_long"


def test_a_command_without_end() -> None:
    connection = server()
    for _ in range(1_000):
        assert not [e for e in connection.receive(b"x" * 1_000) if not isinstance(e, Refused)]
        assert len(connection.unread) <= AUTH_LINE + 1_000


def test_a_message_is_not_kept_by_the_engine() -> None:
    connection = server()
    wire = b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"
    connection.receive(wire)
    for code in (250, 250, 250, 354):
        connection.send(Reply.make(code, "ok"))
        connection.receive(b"")

    def feed() -> None:
        for _ in range(2_000):
            assert all(isinstance(e, BodyChunk) for e in connection.receive(b"x" * 1_000))

    assert memory(feed) < MEGABYTE


# SASL


def test_sasl_message() -> None:
    huge = b"A" * 100_000
    with pytest.raises(sasl.SaslError, match="too_long"):
        sasl.decode_line(huge)
    for name in sasl.MECHANISMS:
        binding = sasl.ChannelBinding("tls-exporter", b"b" * 32) if "PLUS" in name else None
        made = sasl.client(
            name, username="a", secret=Secret("b"), nonce=b"n" * 20, channel_binding=binding
        )
        # LOGIN reads any challenge as a question, but not one of any size.
        with pytest.raises(sasl.SaslError):
            made.respond(huge)


@pytest.mark.parametrize("rounds", [1, 4_095, 1_000_001, 999_999_999])
def test_scram_rounds(rounds: int) -> None:
    """A server may neither make the proof cheap nor keep our processor busy."""
    made = sasl.client("SCRAM-SHA-256", username="a", secret=Secret("b"), nonce=b"n" * 20)
    with pytest.raises(sasl.SaslError, match="iterations"):
        made.respond(b"r=nnnnnnnnnnnnnnnnnnnnX,s=c2FsdA==,i=%d" % rounds)


def test_saslprep() -> None:
    with pytest.raises(sasl.SaslError, match="too_long"):
        sasl.saslprep("\ufdfa" * 3_000)
    assert sasl.saslprep("é" * 200) == "é" * 200


@pytest.mark.parametrize(
    "text",
    [
        b'{"status":"' + b"x" * 5_000 + b'"}',
        b'{"a":' * 20 + b"1" + b"}" * 20,
        b'{"status":NaN}',
        b'{"status":1e999}',
        b'{"status":"\\ud800"}',
    ],
)
def test_oauth_error(text: bytes) -> None:
    with pytest.raises(sasl.SaslError, match="not_oauth_error"):
        sasl.decode_oauth_error(text)


# Discovery


@pytest.mark.parametrize(
    ("document", "doctype", "reason"),
    [
        (b"<a>" + b"x" * MAX_DOCUMENT + b"</a>", False, "too_big"),
        (b"<a>" * 100 + b"</a>" * 100, False, "too_deep"),
        (b"<a>" + b"<b/>" * 20_000 + b"</a>", False, "too_many"),
        (b'<a xmlns="' + LONG + b'">' + b"<b/>" * 9_000 + b"</a>", False, "too_big"),
        (b'<a xmlns:n="' + LONG + b'">' + b'<b n:c=""/>' * 9_000 + b"</a>", False, "too_big"),
        (DEFAULT + b"<a>" + b"<b/>" * 9_000 + b"</a>", True, "forbidden_xml"),
        (b'<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;">]><a>&y;</a>', True, "forbidden_xml"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', False, "forbidden_xml"),
        (b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://192.0.2.1/">%x;]><a/>', True, "forbidden_xml"),
    ],
    ids=range(9),
)  # fmt: skip
def test_xml(document: bytes, doctype: bool, reason: str) -> None:
    with soon(0.5), pytest.raises(DiscoveryError) as caught:
        parse_xml(document, allow_doctype=doctype)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b'"' + b"x" * MAX_DOCUMENT + b'"', "too_big"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 40_000, "too_deep"),
        (b"[" + b"1," * 50_000 + b"1]", "too_many"),
    ],
)
def test_json(document: bytes, reason: str) -> None:
    with pytest.raises(DiscoveryError) as caught:
        parse_json(document)
    assert caught.value.reason == reason


def test_json_paths_are_not_kept_at_full_length() -> None:
    """Ten thousand values below a field whose name fills the document."""
    document = b'{"' + b"a" * 200_000 + b'":[' + b"1," * 9_990 + b"1]}"
    assert memory(lambda: parse_json(document)) < 20 * MEGABYTE


def test_domains() -> None:
    server = (
        b'<outgoingServer type="smtp"><hostname>a.test</hostname><port>465</port>'
        b"<socketType>SSL</socketType></outgoingServer>"
    )
    domains = b"".join(b"<domain>d%d.test</domain>" % n for n in range(3 * MAX_DOMAINS))
    document = (
        b"<clientConfig><emailProvider>"
        + domains
        + server * 200
        + b"</emailProvider></clientConfig>"
    )
    answer = autoconfig.parse(document, address=ADDRESS)
    assert len(answer.domains) == MAX_DOMAINS
    assert len(answer.outgoing) == MAX_SERVERS
    many = ",".join(f'"d{n}.test"' for n in range(MAX_DOMAINS + 1))
    profile = (
        f'{{"schema":1,"domains":[{many}],'
        '"outgoing":[{"host":"a.test","port":465,"security":"tls"}]}'
    )
    with pytest.raises(DiscoveryError, match="too_many"):
        organisation.parse(profile.encode(), address=ADDRESS)


def test_mail_accounts_of_a_profile() -> None:
    one = {"PayloadType": "com.apple.mail.managed", "OutgoingMailServerHostName": "a.test"}
    for form in (plistlib.FMT_XML, plistlib.FMT_BINARY):
        data = plistlib.dumps({"PayloadContent": [dict(one) for _ in range(300)]}, fmt=form)
        assert len(mobileconfig.parse(data, address=ADDRESS)) == MAX_SERVERS


# DNS


def question(type_: str = "A") -> dnsmessage.Question:
    asked = dnsmessage.question("mail.test", type_)
    assert asked is not None
    return asked


def response(*rrsets: dns.rrset.RRset, type_: str = "A") -> bytes:
    made = dns.message.make_response(dns.message.from_wire(question(type_).message(b"\0\7")))
    made.answer += rrsets
    return made.to_wire(max_size=65_535)


def test_records() -> None:
    addresses = [f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1_000)]
    wire = response(dns.rrset.from_text("mail.test.", 60, "IN", "A", *addresses))
    reply = dnsmessage.read(question(), wire)
    assert reply is not None
    assert len(reply.records) == dnsmessage.RECORDS_LIMIT


@pytest.mark.parametrize("length", [2, 40])
def test_aliases_in_a_circle_or_without_end(length: int) -> None:
    names = ["mail.test.", *(f"n{n}.test." for n in range(1, length))]
    chain = [
        dns.rrset.from_text(name, 60, "IN", "CNAME", names[(i + 1) % length])
        for i, name in enumerate(names)
    ]
    with pytest.raises(dnsmessage.WireError):
        dnsmessage.read(question(), response(*chain))


async def test_aliases_from_answer_to_answer(monkeypatch) -> None:
    """A server that always has one more name to ask for."""
    asked: list[str] = []

    async def exchange(self, question, server, seconds):  # type: ignore[no-untyped-def]
        asked.append(question.name)
        following = f"n{len(asked)}.test"
        return Answer(question.name, "A", AnswerStatus.NODATA, server="x", canonical=following)

    monkeypatch.setattr(dnswire.Client, "exchange", exchange)
    answer = await DnsResolver(("192.0.2.53", 53)).ask("mail.test", "A")
    assert answer.status is AnswerStatus.SERVFAIL
    assert len(asked) == CNAME_LIMIT


# IMAP

PREFIX = b"* OK hi\r\n"
FLOODS = [
    b"* " + b"x" * 200_000 + b"\r\n",
    b"* 1 FETCH {%d}\r\n" % (imap_wire.LITERAL_LIMIT + 1),
    b"* " + b"{0}\r\n" * 50_000,
    b"* 1 EXISTS\r\n" * 5_000,
    (b"* 1 FETCH {60000}\r\n" + b"x" * 60_000 + b")\r\n") * 40,
    (b"* " + b"x" * 60_000 + b"\r\n") * 40,
]


@pytest.mark.parametrize("flood", FLOODS, ids=range(len(FLOODS)))
async def test_imap_floods(flood: bytes) -> None:
    wire = imap_wire.ImapWire(Tape(PREFIX + flood + b"P1 OK\r\n"))
    await wire.greeting()
    with pytest.raises(NetworkFailure) as caught:
        await wire.command("CAPABILITY")
    assert caught.value.detail["reason"] == "too_big"


async def test_the_cap_of_imap_is_for_one_command() -> None:
    some = (b"* " + b"x" * 60_000 + b"\r\n") * 10
    answers = b"".join(some + b"P%d OK\r\n" % n for n in (1, 2, 3))
    wire = imap_wire.ImapWire(Tape(PREFIX + answers))
    await wire.greeting()
    assert [len(await wire.command("NOOP")) for _ in range(3)] == [10, 10, 10]


async def test_a_folder_name_cannot_be_a_command() -> None:
    rows = b'* LIST (\\Junk) "/" {13}\r\nx\r\nP9 DELETE a\r\n* LIST (\\Junk) "/" Spam\r\n'
    wire = imap_wire.ImapWire(Tape(PREFIX + rows + b"P1 OK\r\n"))
    await wire.greeting()
    assert await imap._spam_folders(wire) == ["Spam"]


# HTTP

REDIRECTS = [
    "//[",
    "https://[::1",
    "https://a\x01b.test/",
    "https://b\xfbcher\u200b.test/",
    "https://a b.test/",
    "https://" + "a" * URL_LIMIT + ".test/",
    "https://x.test:99999/",
    "https://x.test:0/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "ftp://x.test/",
]


@pytest.mark.parametrize("location", REDIRECTS, ids=lambda text: repr(text)[:30])
async def test_hostile_redirects(location: str) -> None:
    page = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(NetworkFailure) as caught:
        await NetHttp(TapeDialer(page.encode())).get("http://x.test/")
    assert caught.value.failure is Failure.BAD_REPLY


async def test_from_https_to_http_is_refused() -> None:
    for location in ("http://x.test/", "HTTP://x.test/", "//x.test/../http:/"):
        page = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
        with pytest.raises(NetworkFailure) as caught:
            await NetHttp(TapeDialer(page)).get("https://x.test/")
        reason = "downgrade" if "http" in location.lower()[:5] else "too_many_redirects"
        assert caught.value.detail["reason"] == reason


async def test_endless_information() -> None:
    """1xx answers without end are cut with the headers' cap or the time, not kept."""
    page = b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000
    with pytest.raises(NetworkFailure):
        await NetHttp(TapeDialer(page), seconds=5).get("http://x.test/")


# Certificates, TLS


def large_certificate(names: int, *, common: str = "mail.test") -> bytes:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    found = [x509.DNSName(f"n{n}.test") for n in range(names)]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2049, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName(found), critical=False)
        .sign(key, None)
    )
    return made.public_bytes(Encoding.DER)


def test_names_of_a_certificate() -> None:
    info = certificate.describe(large_certificate(5_000))
    assert info is not None
    assert len(info.names) == certificate.NAMES_LIMIT
    session = TlsSession("TLSv1.3", "x", 256, server_name="mail.test")
    judged = verify.judged(session, [info.der], at=datetime(2026, 1, 1, tzinfo=UTC))
    wrong = next(p for p in judged.problems if p.kind == "wrong_name")
    assert len(wrong.params["names"]) == verify.NAMES_SHOWN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x06\x03\x55\x1d\x13", b"\x06\x03\x55\x1d\x11"),  # two lists of names
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01"),  # version 2
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09"),  # no version at all
        (b"\x87\x04\xc0", b"\x87\x03\xc0"),  # an address of three octets
        (b"490101000000Z", b"999999999999Z"),
        (b"\x02\x02\x12\x67", b"\x02\x02\xff\xff"),  # a negative serial number
    ],
)
def test_malformed_certificates(old: bytes, new: bytes) -> None:
    (good,) = certificates()
    assert old in good
    bad = good.replace(old, new)
    session = TlsSession("TLSv1.3", "x", 256, server_name="mail.test")
    certificate.describe(bad)
    judged = verify.judged(session, [bad], at=datetime(2026, 1, 1, tzinfo=UTC))
    assert not judged.trusted
    assert judged.problems


async def test_length_of_a_chain(authority, tmp_path) -> None:
    """A server that sends sixty certificates."""
    import ssl

    from posthouse.net.stream import MemoryStream
    from posthouse.net.tls import TlsOptions

    issued = authority.issue()
    pem = issued.cert_file.read_bytes()
    (tmp_path / "long.pem").write_bytes(pem + authority.intermediate_file.read_bytes() * 60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "long.pem", issued.key_file)
    near, far = MemoryStream.pair()
    session, _ = await asyncio.gather(
        near.start_tls(TlsOptions("mail.test")), far.accept_tls(context)
    )
    assert len(session.chain) <= CHAIN_LIMIT


HELLOS = [
    b"\x16\x03\x03\x40\x00" + b"\x02\xff\xff\xff" + b"x" * 60_000,
    b"\x16\x03\x03\x00\x01\x02" * 10_000,
    b"\x16\x03\x03\x00\x00" * 10_000,
]


@pytest.mark.parametrize("data", HELLOS, ids=range(len(HELLOS)))
async def test_a_hello_without_end(data: bytes) -> None:
    tape = Tape(data * 3)
    answer = await _read(tape)
    assert answer is None or answer.kind is AnswerKind.NOT_TLS
    with soon(0.1):
        read_answer(data[:ANSWER_LIMIT])


async def test_a_reader_that_is_behind_stops_the_peer() -> None:
    class Transport:
        paused = False

        def get_extra_info(self, name: str) -> None:
            return None

        def pause_reading(self) -> None:
            self.paused = True

    pipe, transport = SocketPipe(), Transport()
    pipe.connection_made(transport)  # type: ignore[arg-type]
    for _ in range(BUFFER_LIMIT // 65_536 + 1):
        pipe.data_received(b"x" * 65_536)
    assert transport.paused


# Text


def test_lines_to_explain() -> None:
    for line in ("550 " + "x" * 5_000_000, b"550 " + b"\xe9" * 5_000_000, "授权码" * 500_000):
        assert len(reading.read(line).text) <= reading.TEXT_LIMIT
        assert explain.explain_reply(line).cause.id
    assert time_in("x" * TEXT_LIMIT + "Tue, 13 Jan 2026 10:00:00 +0100") is None


def test_a_cut_leaves_no_half_character() -> None:
    """Long UTF-8 is not taken for GBK because its last character was cut."""
    for extra in range(6):
        raw = b"550 " + b"x" * extra + ("授权码错误" * 5_000).encode()
        assert reading.read(raw).text.startswith("550 " + "x" * extra + "授权码错误")
        reply = parse_reply(raw)
        assert reply is not None
        assert reply.encoding == "utf-8"


@pytest.mark.parametrize("text", ["535 \udcca\udcda\udcc8\udca8\udcc2\udceb", "535 x\ud800y"])
def test_arguments_that_are_no_text(text: str) -> None:
    """What a shell hands over in another charset (PEP 383) is decoded like any other bytes."""
    found = reading.read(text)
    found.text.encode("utf-8")
    reply = parse_reply(text)
    assert reply is not None
    reply.text.encode("utf-8")
    assert "授权码" in found.text or "?" in found.text


def test_engine_keeps_no_commands() -> None:
    """A client's own commands wait for replies only as far as it sent them."""
    connection = client()
    connection.send(Ehlo("me.test"))
    connection.receive(b"250-x\r\n250 PIPELINING\r\n")
    connection.send(Mail("a@b.test"))
    connection.receive(b"250 ok\r\n" * 5_000)
    assert not connection.awaited
    connection.send(Noop())
    assert len(connection.awaited) == 1
