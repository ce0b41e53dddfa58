"""What is noticed beside the verdict."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fakes.certs import Authority, Kind
from posthouse.flow import Endpoint, Security, Status
from posthouse.net.certificate import describe
from posthouse.net.tls import CertificateInfo, CertificateProblem, Problem, TlsSession
from posthouse.protocol.smtp import Reply
from posthouse.setup.probe import findings

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def leaf(tmp_path_factory: pytest.TempPathFactory) -> CertificateInfo:
    issued = Authority(tmp_path_factory.mktemp("ca"), now=NOW).issue(Kind.GOOD)
    info = describe(issued.certificate.public_bytes(Encoding.DER))
    assert info is not None
    return info


def ids(found: tuple[Any, ...]) -> set[str]:
    return {finding.id for finding in found}


@pytest.mark.parametrize(
    ("version", "cipher", "bits", "expected"),
    [
        ("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, set()),
        ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", 128, set()),
        ("TLSv1.2", "AES256-GCM-SHA384", 256, {"tls_no_forward_secrecy"}),
        ("TLSv1.2", "ECDHE-RSA-DES-CBC3-SHA", 112, {"tls_weak_cipher"}),
        ("TLSv1.2", "RC4-SHA", 128, {"tls_weak_cipher", "tls_no_forward_secrecy"}),
    ],
)
def test_ciphers(version: str, cipher: str, bits: int, expected: set[str]) -> None:
    found = findings.of_session(TlsSession(version, cipher, bits, trusted=True), NOW)
    assert ids(found) == {"tls_version"} | expected


@pytest.mark.parametrize(
    ("before_end", "warned"), [(15, False), (14, True), (1, True), (-1, False)]
)
def test_expiry_within_two_weeks(leaf: CertificateInfo, before_end: int, warned: bool) -> None:
    session = TlsSession("TLSv1.3", "TLS_AES_128_GCM_SHA256", 128, chain=(leaf,), trusted=True)
    found = findings.of_session(session, leaf.not_after - timedelta(days=before_end))
    assert ("certificate_expires_soon" in ids(found)) is warned


def test_a_six_day_certificate_is_not_always_about_to_expire(leaf: CertificateInfo) -> None:
    short = replace(leaf, not_before=NOW, not_after=NOW + timedelta(days=6))
    session = TlsSession("TLSv1.3", "TLS_AES_128_GCM_SHA256", 128, chain=(short,), trusted=True)
    assert "certificate_expires_soon" not in ids(
        findings.of_session(session, NOW + timedelta(days=3))
    )
    assert "certificate_expires_soon" in ids(
        findings.of_session(session, NOW + timedelta(days=4, hours=1))
    )


def test_problems_and_interception(leaf: CertificateInfo) -> None:
    bad = CertificateProblem(Problem.WRONG_NAME, {"wanted": "x.test"})
    scan = CertificateProblem(Problem.INTERCEPTION, {"product": "Avast"})
    shared: dict[str, Any] = {"chain": (leaf,)}
    distrusted = TlsSession("TLSv1.3", "TLS_X", 128, problems=(bad, scan), **shared)
    assert [
        f.params["problem"]
        for f in findings.of_session(distrusted, NOW)
        if f.id == "certificate_problem"
    ] == ["wrong_name", "interception"]
    trusted = TlsSession("TLSv1.3", "TLS_X", 128, problems=(scan,), trusted=True, **shared)
    assert "certificate_intercepted" in ids(findings.of_session(trusted, NOW))


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        ({"TLSv1.2": True, "TLSv1.3": True, "TLSv1.0": False}, {"tls_modern"}),
        ({"TLSv1.2": True, "TLSv1.0": True}, {"tls_old_versions"}),
        ({"SSLv3": True, "TLSv1.2": False}, {"tls_old_versions", "tls_sslv3"}),
        ({"TLSv1.2": None}, set()),
    ],
)
def test_versions(spoken: dict[str, bool | None], expected: set[str]) -> None:
    assert ids(findings.of_hellos(spoken)) == expected


def test_broken_ciphers() -> None:
    spoken = {"TLSv1.2": True}
    assert "tls_weak_ciphers" in ids(findings.of_hellos(spoken, weak_ciphers=True))
    assert "tls_weak_ciphers" not in ids(findings.of_hellos(spoken, weak_ciphers=None))


@pytest.mark.parametrize(
    ("port", "security", "extensions", "expected"),
    [
        (587, Security.STARTTLS, {"STARTTLS": ""}, set()),
        (587, Security.STARTTLS, {"STARTTLS": "", "AUTH": "PLAIN"}, {"auth_before_tls"}),
        (25, Security.STARTTLS, {"STARTTLS": ""}, {"relay_port"}),
        (25, Security.NONE, {"SIZE": ""}, {"relay_port", "no_tls"}),
        (465, Security.TLS, {"AUTH": "PLAIN"}, set()),
        (1025, Security.STARTTLS, {"STARTTLS": ""}, {"dev_catcher"}),
    ],
)
def test_role(
    port: int, security: Security, extensions: dict[str, str], expected: set[str]
) -> None:
    assert ids(findings.of_role(Endpoint("x.test", port, security), extensions)) == expected


def test_change_since_an_earlier_run() -> None:
    before = {"SIZE": "1000", "STARTTLS": "", "DSN": ""}
    now = {"SIZE": "2000", "STARTTLS": "", "SMTPUTF8": ""}
    found = {f.id: f.params["extensions"] for f in findings.of_change(before, now)}
    assert found == {
        "extensions_gone": ["DSN"],
        "extensions_new": ["SMTPUTF8"],
        "extensions_changed": ["SIZE"],
    }
    assert findings.of_change(now, now) == ()


def test_replies() -> None:
    replies = [
        Reply(250, ("ok",), defects=("bare_lf",)),
        Reply(550, ("不",), encoding="gb18030", defects=("bare_lf", "long_line")),
    ]
    found = {f.id: f.params for f in findings.of_replies(replies)}
    assert found["reply_defects"]["defects"] == ["bare_lf", "long_line"]
    assert found["reply_encoding"]["encoding"] == "gb18030"
    assert findings.of_replies([Reply(250, ("ok",))]) == ()


def tlsa(leaf: CertificateInfo, usage: int, selector: int, matching: int) -> str:
    data = leaf.der
    if selector == 1:
        key = x509.load_der_x509_certificate(leaf.der).public_key()
        data = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = {0: data, 1: hashlib.sha256(data).digest(), 2: hashlib.sha512(data).digest()}
    return f"{usage} {selector} {matching} {digest[matching].hex()}"


@pytest.mark.parametrize(
    ("signed", "good", "expected"),
    [(True, True, "dane_ok"), (True, False, "dane_mismatch"), (False, True, "dane_unsigned")],
)
def test_dane_needs_dnssec(leaf: CertificateInfo, signed: bool, good: bool, expected: str) -> None:
    session = TlsSession("TLSv1.3", "X", 128, chain=(leaf,))
    record = tlsa(leaf, 3, 1, 1) if good else "3 1 1 " + "00" * 32
    assert ids(findings.of_tlsa("_25._tcp.x.test", (record,), signed, session)) == {expected}
    assert findings.of_tlsa("_25._tcp.x.test", (), signed, session) == ()


def test_mta_sts() -> None:
    found = findings.of_mta_sts("x.test", ("other", "v=STSv1; id=20260101T000000;"))
    assert (found[0].id, found[0].params["id"]) == ("mta_sts", "20260101T000000")
    assert found[0].status is Status.OK
    assert findings.of_mta_sts("x.test", ("v=spf1 -all",)) == ()


def test_every_list_that_can_be_asked_is_one_of_the_directory() -> None:
    from posthouse.directory.blocklists import blocklist
    from posthouse.setup.probe.listing import USUAL
    from posthouse.setup.probe.verdict.blocklists import BLOCKLISTS

    ids = {each.known_as for each in BLOCKLISTS if each.known_as} | set(USUAL)
    assert len(ids) >= 6
    assert all(blocklist(list_id).kind == "ip" for list_id in ids)
