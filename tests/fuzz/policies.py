"""Targets of what a domain publishes about its mail: MTA-STS, DANE, BIMI, lists, names, servers."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fuzz.seeds import certificates
from fuzz.smtp import text_of
from posthouse.flow import Finding
from posthouse.protocol import bimi, dane, dnsbl, fcrdns, mtasts, mx
from posthouse.protocol.dns import Answer, AnswerStatus, run

NOW = datetime(2026, 6, 1, tzinfo=UTC)
_LIST = dnsbl.Blocklist("x", "X", "bl.test", dnsbl.Kind.IP, "", ipv6=True)
_DOMAINS = dnsbl.Blocklist("d", "D", "dbl.test", dnsbl.Kind.DOMAIN, "")

STS_RECORDS = (b"v=STSv1; id=20260101T000000;", b"v=STSv1;id=1; a.b-c=d!;")
STS_POLICIES = (
    b"version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmx: *.example.net\r\n"
    b"max_age: 86400\r\n",
    b"version: STSv1\nmode: none\nmax_age: 0\nnew: \xe4\xbd\xa0\n",
)
TLSA = (
    b"3 1 1 " + b"ab" * 32,
    b"DANE-TA SPKI SHA2-512 " + b"cd" * 64,
    b"\\# 35 030101" + b"ab" * 32,
)
BIMI = (
    b"v=BIMI1; l=https://example.com/a.svg; a=https://example.com/a.pem; avp=brand; lps=true;",
    b"v=BIMI1; l=; a=;",
)
_SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps"'
    b' viewBox="0 0 64 64"><title>Example</title><g fill="url(#a)"><path d="M0 0"/></g></svg>'
)
LOGOS = (_SVG, gzip.compress(_SVG, mtime=0))
SUBJECTS = (
    b"192.0.2.1",
    b"2001:db8::1",
    b"::ffff:192.0.2.1",
    b"example.com",
    "例子.example".encode(),
)
HOSTS = (b"192-0-2-25.dyn.isp.example", b"mail.example.com", b"[IPv6:2001:db8::1]")
MX = (b"10 mx.example.com.\n20 b.example.", b"0 .", b"10 192.0.2.1")


def marks() -> tuple[bytes, ...]:
    """A certificate in PEM form; a chain of two."""
    (der,) = certificates()
    pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
    return pem, pem + pem


def _told(findings: tuple[Finding, ...], known: dict[str, tuple[str, ...]]) -> None:
    for finding in findings:
        assert set(finding.params) == set(known[finding.id])
        f"{dict(finding.params)}".encode()


def sts_record(data: bytes) -> None:
    text = text_of(data)
    try:
        found = mtasts.parse_record(text)
    except mtasts.RecordError as error:
        assert 0 <= error.position <= max(len(text), 1)  # noqa: PT017
        return
    assert found.id.isalnum()
    assert mtasts.is_record(text)


def sts_policy(data: bytes) -> None:
    fetched = mtasts.judge_fetch(
        status=200, content_type="text/plain", redirected=False, tls_trusted=True, body=data
    )
    assert (fetched.policy is None) is (fetched.problem is not None)
    if fetched.policy is not None:
        assert fetched.policy.mx or fetched.policy.mode is mtasts.Mode.NONE
        assert 0 <= fetched.policy.max_age <= mtasts.MAX_AGE
    record = mtasts.Record("v=STSv1; id=1", "1")
    discovery = mtasts.Discovery("example.com", mtasts.Found.ONE, record)
    _told(mtasts.audit(discovery, fetched, ["mx.example.com"]), dict(mtasts.FINDING_IDS))


def tlsa(data: bytes) -> None:
    try:
        found = dane.parse(text_of(data))
    except dane.TlsaError:
        return
    assert dane.parse(str(found)) == found
    dane.judge([found], [data, b"\x30\x00"], ["mx.example.com"], NOW)


def tlsa_chain(data: bytes) -> None:
    records = ["3 1 1 " + "ab" * 32, "2 0 1 " + "cd" * 32, f"2 0 0 {data[:2_000].hex() or '00'}"]
    for chain in ([data], [data, data], [b"", data]):
        judged = dane.judge_records(records, chain, ["mx.example.com"], NOW)
        assert judged.outcome in (dane.Outcome.MATCH, dane.Outcome.MISMATCH)
    try:
        dane.build(data)
    except dane.KeyMaterialError:
        return


def bimi_record(data: bytes) -> None:
    try:
        found = bimi.parse(text_of(data))
    except bimi.RecordError:
        return
    for url in (found.location, found.evidence):
        assert not url or url.lower().startswith("https://")


def logo(data: bytes) -> None:
    found = bimi.check_logo(data)
    _told(found.findings, dict(bimi.FINDING_IDS))
    assert len(found.findings) <= 200


def mark(data: bytes) -> None:
    _told(bimi.check_mark(data, "example.com", NOW, logo=data), dict(bimi.FINDING_IDS))


def listed(data: bytes) -> None:
    """A subject, and a list that answers with the same octets."""
    text = text_of(data)
    for known in (_LIST, _DOMAINS):
        try:
            name = dnsbl.question(text, known)
        except dnsbl.SubjectError:
            name = ""
        assert len(name) <= 253
    answer = Answer("", "A", AnswerStatus.OK, tuple(text.split("\n")))
    found = run(dnsbl.check("192.0.2.1", _LIST), lambda ask: answer)
    assert len(found.evidence) <= dnsbl.EVIDENCE_LIMIT
    _told((found.finding,), dict(dnsbl.FINDING_IDS))


def named(data: bytes) -> None:
    """Names that a reverse zone and a greeting give."""
    text = text_of(data)
    answer = Answer("", "", AnswerStatus.OK, tuple(text.split("\n")))
    for address in ("192.0.2.25", "2001:db8::25"):
        fcrdns.is_generic(text, address)
        reverse = run(fcrdns.check(address), lambda ask: answer)
        _told(reverse.findings, dict(fcrdns.FINDING_IDS))
        greeted = run(fcrdns.check_helo(text, reverse), lambda ask: answer)
        _told(greeted, dict(fcrdns.FINDING_IDS))


def exchanges(data: bytes) -> None:
    answer = Answer("", "", AnswerStatus.OK, tuple(text_of(data).split("\n")))
    _, servers, made = run(mx.survey("example.com"), lambda ask: answer)
    assert len(servers) <= mx.HOSTS_LIMIT
    _told(made, dict(mx.FINDING_IDS))
