"""BIMI: the record, the logo's profile, the mark certificate, what DMARC must say."""

from __future__ import annotations

import base64
import gzip
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol import bimi
from posthouse.protocol.bimi.mark import BIMI_USAGE, LOGOTYPE, MARK_TYPE
from posthouse.protocol.dns import AnswerStatus, run
from unit.dane.table import Rows, Zone

L, A = "https://example.com/logo.svg", "https://example.com/mark.pem"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"v=BIMI1; l={L}; a={A};", {"location": L, "evidence": A, "declined": False}),
        (f"v=BIMI1;l={L}", {"location": L, "evidence": "", "preference": "brand"}),
        (f"v=BIMI1; a=; l= {L} ", {"location": L, "evidence": ""}),
        ("v=BIMI1; l=; a=;", {"declined": True}),
        ("v=BIMI1; l=; lps=true", {"declined": True, "local_part_selector": True}),
        (f"v=BIMI1; l={L}; avp=personal", {"preference": "personal", "odd": ()}),
        (f"v=BIMI1; l={L}; avp=Personal", {"preference": "brand", "odd": ("avp",)}),
        (f"v=BIMI1; l={L}; x=y", {"location": L}),
        ("v=BIMI1; l=https://xn--bcher-kva.example/a%2Cb.svg", {"evidence": ""}),
    ],
)
def test_records(text: str, expected: dict[str, Any]) -> None:
    record = bimi.parse(text)
    assert {name: getattr(record, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "reason", "tag"),
    [
        ("", "version", "v"),
        (f"v=bimi1; l={L}", "version", "v"),
        (f"V=BIMI1; l={L}", "version", "v"),
        (f"v=BIMI2; l={L}", "version", "v"),
        (f"l={L}; v=BIMI1", "version", "v"),
        (f"v=BIMI1; l={L}; l={L}", "not_tags", "l"),
        (f"v=BIMI1; {L}", "not_tags", L),
        ("v=BIMI1", "no_location", "l"),
        (f"v=BIMI1; L={L}", "no_location", "l"),
        ("v=BIMI1; l=http://example.com/logo.svg", "not_https", "l"),
        ("v=BIMI1; l=/logo.svg", "not_https", "l"),
        (f"v=BIMI1; l={L},{L}", "url", "l"),
        ("v=BIMI1; l=https://example.com/a b.svg", "url", "l"),
        ("v=BIMI1; l=https://[::1/a.svg", "url", "l"),
        ("v=BIMI1; l=https://example.com:99999/a.svg", "url", "l"),
        ("v=BIMI1; l=https://192.0.2.1/a.svg", "host", "l"),
        ("v=BIMI1; l=https://localhost/a.svg", "host", "l"),
        ("v=BIMI1; l=https:///a.svg", "host", "l"),
        ("v=BIMI1; l=https://example.com/" + "a" * 2_000, "too_long", "l"),
        (f"v=BIMI1; l={L}; a=http://example.com/mark.pem", "not_https", "a"),
        (f"v=BIMI1; l={L}; a=self", "not_https", "a"),
        (f"v=BIMI1; l=; a={A}", "evidence_alone", "l"),
    ],
)
def test_broken_records(text: str, reason: str, tag: str) -> None:
    with pytest.raises(bimi.RecordError) as caught:
        bimi.parse(text)
    assert (caught.value.reason, caught.value.tag) == (reason, tag[:40])


@given(st.text(max_size=80).map(lambda rest: f"v=BIMI1;{rest}") | st.text(max_size=40))
def test_nothing_else_escapes(text: str) -> None:
    try:
        record = bimi.parse(text)
    except bimi.RecordError:
        return
    assert record.location.startswith(("https://", "HTTPS://")) or not record.location


RECORD = f"v=BIMI1; l={L}; a={A}"


@pytest.mark.parametrize(
    ("rows", "found", "name"),
    [
        ({"s._bimi.m.example.com TXT": [RECORD]}, "one", "s._bimi.m.example.com"),
        ({"s._bimi.m.example.com TXT": ["other", RECORD]}, "one", "s._bimi.m.example.com"),
        ({"s._bimi.m.example.com TXT": [RECORD] * 2}, "several", "s._bimi.m.example.com"),
        ({"s._bimi.m.example.com TXT": ["v=BIMI1"]}, "invalid", "s._bimi.m.example.com"),
        ({"s._bimi.m.example.com TXT": ["v=bimi1; l="]}, "invalid", "s._bimi.m.example.com"),
        ({"s._bimi.example.com TXT": [RECORD]}, "one", "s._bimi.example.com"),
        (
            {
                "s._bimi.m.example.com TXT": ["v=BIMI1; l=; a=;"],
                "s._bimi.example.com TXT": [RECORD],
            },
            "one",
            "s._bimi.m.example.com",
        ),
        ({"s._bimi.m.example.com TXT": AnswerStatus.TIMEOUT}, "failed", "s._bimi.m.example.com"),
        ({}, "none", "s._bimi.m.example.com"),
    ],
)
def test_lookup(rows: Rows, found: str, name: str) -> None:
    got = run(bimi.lookup("m.example.com", "s", organizational="example.com"), Zone(rows))
    assert (got.found, got.name) == (found, name)


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" '
    'viewBox="0 0 64 64">\n<title>Example</title>\n<g fill="url(#a)"><path d="M0 0h64v64z"/></g>'
    '\n<defs><linearGradient id="a"><stop offset="0"/></linearGradient></defs></svg>'
)


def ids(logo: bimi.Logo) -> list[str]:
    for finding in logo.findings:
        assert set(finding.params) == set(bimi.FINDING_IDS[finding.id])
    return [finding.id.removeprefix("bimi.") for finding in logo.findings]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ("<title>", '<?xml version="1.0"?><title>', ["svg_xml"]),
        (' xmlns="http://www.w3.org/2000/svg"', "", ["svg_namespace"]),
        ("tiny-ps", "tiny", ["svg_profile"]),
        ('baseProfile="tiny-ps" ', "", ["svg_profile"]),
        ('version="1.2" ', 'version="1.1" ', ["svg_version"]),
        ('version="1.2" ', 'version="1.2" x="0" y="0" ', ["svg_position"]),
        ("<title>Example</title>", "", ["svg_title"]),
        ("<title>Example</title>", "<title> </title>", ["svg_title"]),
        ("<title>Example</title>", "<g><title>Example</title></g>", ["svg_title"]),
        (">Example<", f">{'x' * 65}<", ["svg_title_long"]),
        ('viewBox="0 0 64 64"', "", ["svg_view_box"]),
        ('viewBox="0 0 64 64"', 'viewBox="0 0 64"', ["svg_view_box"]),
        ('viewBox="0 0 64 64"', 'viewBox="0 0 64 0"', ["svg_view_box"]),
        ('viewBox="0 0 64 64"', 'viewBox="0,0,64.1,64"', []),
        ('viewBox="0 0 64 64"', 'viewBox="0 0 128 64"', ["svg_not_square"]),
        ("<defs>", "<script>alert(1)</script><defs>", ["svg_script"]),
        ("<path ", '<path onclick="x()" ', ["svg_script"]),
        ("<defs>", '<animate attributeName="x"/><defs>', ["svg_animation"]),
        ("<defs>", '<set attributeName="x"/><defs>', ["svg_animation"]),
        ("<defs>", '<image width="1"/><defs>', ["svg_raster"]),
        ("<defs>", "<style>path{}</style><defs>", ["svg_element"]),
        ("<defs>", "<foreignObject/><defs>", ["svg_element"]),
        ("<defs>", "<svg/><defs>", ["svg_element"]),
        ("<defs>", "<a/><defs>", ["svg_element"]),
        ("<path ", '<path style="fill:red" ', ["svg_style"]),
        ("url(#a)", "url(https://x.example/a.svg#a)", ["svg_external"]),
        ("url(#a)", "url( '#a' )", []),
        ("<defs>", '<use href="#a"/><defs>', []),
        ("<defs>", '<use href="other.svg#a"/><defs>', ["svg_external"]),
        (
            "<defs>",
            '<use xmlns:k="http://www.w3.org/1999/xlink" k:href="data:image/png;base64,A"/><defs>',
            ["svg_external"],
        ),
        ("<defs>", "<metadata><x><y onclick='1'/></x></metadata><defs>", []),
        ("<svg", '<!DOCTYPE svg [<!ENTITY x "y">]><svg', ["svg_doctype"]),
        ("<svg", '<?xml-stylesheet href="https://x.example/a.css"?><svg', ["svg_external"]),
        ("svg", "html", ["svg_root"]),
        ("M0 0", "M0 0" + "h1 " * 11_000, ["svg_large"]),
        ("M0 0", "M0 0" + "h1 " * 100_000, ["svg_too_big"]),
        ("</svg>", "", ["svg_xml"]),
    ],
)
def test_logos(old: str, new: str, expected: list[str]) -> None:
    text = SVG.replace(old, new) if old == "svg" else SVG.replace(old, new, 1) if old else SVG
    assert ids(bimi.check_logo(text.encode())) == expected
    packed = bimi.check_logo(gzip.compress(text.encode()))
    assert ids(packed) == expected


def test_a_logo_is_good_or_not() -> None:
    good = bimi.check_logo(SVG.encode())
    assert (good.good, good.title, good.size) == (True, "Example", len(SVG))
    assert bimi.check_logo(SVG.replace("0 0 64 64", "0 0 64 32").encode()).good  # only advice
    assert not bimi.check_logo(SVG.replace("tiny-ps", "full").encode()).good


def test_what_is_packed_to_burst() -> None:
    bomb = gzip.compress(b"<svg>" + b" " * 50_000_000)
    assert ids(bimi.check_logo(bomb)) == ["svg_too_big"]
    assert ids(bimi.check_logo(gzip.compress(SVG.encode())[:40])) == ["svg_too_big"]


def test_many_of_one_kind_are_told_ten_times() -> None:
    text = SVG.replace("<defs>", "<script/>" * 500 + "<defs>")
    assert ids(bimi.check_logo(text.encode())) == ["svg_script"] * 10


@given(st.binary(max_size=200) | st.text(alphabet="<>/svg\"'= a&;#", max_size=80).map(str.encode))
def test_no_logo_is_too_strange(data: bytes) -> None:
    assert not bimi.check_logo(data).good


def mark(
    names: tuple[str, ...] = ("example.com",),
    *,
    usage: str = BIMI_USAGE,
    logo: str | None = SVG,
    days: tuple[int, int] = (-10, 200),
    type_: str = "Registered Mark",
) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Marks")]
    issuer = x509.Name(attributes)
    if type_:
        attributes = [*attributes, x509.NameAttribute(ObjectIdentifier(MARK_TYPE), type_)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
    )
    builder = builder.add_extension(x509.ExtendedKeyUsage([ObjectIdentifier(usage)]), False)
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, False)
    if logo is not None:
        packed = base64.b64encode(gzip.compress(logo.encode()))
        value = b"\x30\x82\x00\x00" + b"data:image/svg+xml;base64," + packed
        extension = x509.UnrecognizedExtension(ObjectIdentifier(LOGOTYPE), value)
        builder = builder.add_extension(extension, False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("changed", "domain", "expected"),
    [
        ({}, "example.com", ["mark_ok"]),
        ({}, "EXAMPLE.com", ["mark_ok"]),
        ({"names": ("default._bimi.example.com",)}, "example.com", ["mark_ok"]),
        ({"names": ("org.example",)}, "m.org.example", ["mark_ok"]),
        ({"names": ("other.example",)}, "example.com", ["mark_name"]),
        ({"names": ()}, "example.com", ["mark_name"]),
        ({"usage": ExtendedKeyUsageOID.SERVER_AUTH.dotted_string}, "example.com", ["mark_usage"]),
        ({"logo": None}, "example.com", ["mark_no_logo"]),
        ({"logo": SVG.replace("64z", "63z")}, "example.com", ["mark_logo_differs"]),
        ({"days": (-100, -1)}, "example.com", ["mark_expired"]),
        ({"days": (1, 100)}, "example.com", ["mark_not_yet_valid"]),
        ({"days": (-100, 10)}, "example.com", ["mark_expires_soon", "mark_ok"]),
    ],
)
def test_marks(changed: dict[str, Any], domain: str, expected: list[str]) -> None:
    made = bimi.check_mark(
        mark(**changed), domain, NOW, logo=SVG.encode(), organizational="org.example"
    )
    assert [finding.id for finding in made] == [f"bimi.{id_}" for id_ in expected]
    for finding in made:
        assert set(finding.params) == set(bimi.FINDING_IDS[finding.id])


@pytest.mark.parametrize(
    ("type_", "kind"),
    [("Registered Mark", "vmc"), ("Government Mark", "vmc"), ("Prior Use Mark", "cmc"), ("", "")],
)
def test_kinds_of_marks(type_: str, kind: str) -> None:
    got = bimi.read_mark(mark(type_=type_))
    assert (got.kind, got.logo, got.issuer) == (kind, SVG.encode(), "Example Marks")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_pem"),
        (b"\x30\x82", "not_pem"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "unreadable"),
        (b"-----BEGIN CERTIFICATE-----", "unreadable"),
        (b"x" * 600_000, "too_big"),
    ],
)
def test_no_marks(data: bytes, reason: str) -> None:
    with pytest.raises(bimi.MarkError) as caught:
        bimi.read_mark(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("dmarc", "expected"),
    [
        (None, ["dmarc_missing"]),
        (("reject",), []),
        (("quarantine",), []),
        (("Reject", "none"), ["dmarc_subdomains"]),
        (("none",), ["dmarc_weak"]),
        (("quarantine", "reject", 50), ["dmarc_share"]),
        (("reject", "", 50), []),
        (("reject", "", 100, True), ["dmarc_testing"]),
    ],
)
def test_what_dmarc_must_say(dmarc: tuple[Any, ...] | None, expected: list[str]) -> None:
    given_ = bimi.Dmarc("example.com", *dmarc) if dmarc else None
    made = bimi.prerequisites("example.com", given_)
    assert [finding.id for finding in made] == [f"bimi.{id_}" for id_ in expected]


STRICT = bimi.Dmarc("example.com", "reject")


@pytest.mark.parametrize(
    ("records", "dmarc", "logo", "expected"),
    [
        ([RECORD], STRICT, SVG.encode(), ["ok"]),
        ([RECORD], None, None, ["dmarc_missing"]),
        ([RECORD], STRICT, "status", ["logo_fetch"]),
        ([RECORD], STRICT, b"<svg/>", None),
        ([f"v=BIMI1; l={L}"], STRICT, None, ["no_evidence", "ok"]),
        (["v=BIMI1; l=https://example.com/a.png"], STRICT, None, ["format", "no_evidence", "ok"]),
        ([f"{RECORD}; avp=x"], STRICT, None, ["odd_tag", "ok"]),
        (["v=BIMI1; l=; a="], None, None, ["declined"]),
        (["v=BIMI1; l=x"], STRICT, None, ["syntax"]),
        ([RECORD, RECORD], STRICT, None, ["several"]),
        ([], None, None, ["none"]),
    ],
)
def test_audit(records: list[str], dmarc: Any, logo: Any, expected: list[str] | None) -> None:
    zone = Zone({"default._bimi.example.com TXT": records})
    asserted = run(bimi.lookup("example.com"), zone)
    made = bimi.audit(asserted, dmarc, logo=logo, mark=mark() if logo else None, now=NOW)
    found = [f.id.removeprefix("bimi.") for f in made if f.id != "bimi.mark_ok"]
    if expected is None:
        assert "svg_title" in found
        assert "ok" not in found
    else:
        assert found == expected
    for finding in made:
        assert set(finding.params) == set(bimi.FINDING_IDS[finding.id])
