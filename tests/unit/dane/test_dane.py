"""DANE for SMTP: records, chains, which names count, what to publish. RFC 6698, 7671, 7672."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from budget import soon
from fakes.certs import Authority, Kind
from posthouse.protocol import dane
from posthouse.protocol.dane import Outcome
from posthouse.protocol.dns import AnswerStatus, run
from unit.dane.table import Rows, Zone

NOW = datetime(2026, 6, 1, tzinfo=UTC)
D256, D512 = "ab" * 32, "cd" * 64
GOOD = f"3 1 1 {D256}"


@pytest.mark.parametrize(
    ("text", "shown", "usable"),
    [
        (GOOD, GOOD, True),
        (f"3 1 1 {D256[:20]} {D256[20:].upper()}", GOOD, True),
        (f"3 1 1 ( {D256} )", GOOD, True),
        (f"DANE-EE SPKI SHA2-256 {D256}", GOOD, True),
        (f"\\# 35 030101{D256}", GOOD, True),
        (f"2 0 2 {D512}", f"2 0 2 {D512}", True),
        ("3 0 0 3003020100", "3 0 0 3003020100", True),
        ("3 0 0 0102", "3 0 0 0102", False),  # no DER
        (f"1 1 1 {D256}", f"1 1 1 {D256}", False),
        (f"0 0 1 {D256}", f"0 0 1 {D256}", False),
        (f"4 1 1 {D256}", f"4 1 1 {D256}", False),
        (f"3 2 1 {D256}", f"3 2 1 {D256}", False),
        ("3 1 3 abcd", "3 1 3 abcd", False),
        ("255 255 255 00", "255 255 255 00", False),
    ],
)
def test_records(text: str, shown: str, usable: bool) -> None:
    record = dane.parse(text)
    assert (str(record), record.usable) == (shown, usable)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "fields"),
        ("3 1", "fields"),
        ("3 1 1", "empty"),
        ("3 1 1 zz", "hex"),
        ("3 1 1 abc", "hex"),
        ("3 1 1 abcd", "length"),
        (f"3 1 2 {D256}", "length"),
        (f"256 1 1 {D256}", "number"),
        (f"-3 1 1 {D256}", "number"),
        (f"\u0663 1 1 {D256}", "number"),
        (f"three 1 1 {D256}", "number"),
        ("\\# 4 0301", "length"),
        ("\\# x 0301", "fields"),
        ("3 1 0 " + "00" * 70_000, "too_long"),
    ],
)
def test_broken_records(text: str, reason: str) -> None:
    with pytest.raises(dane.TlsaError) as caught:
        dane.parse(text)
    assert caught.value.reason == reason


@given(st.text(max_size=80) | st.text(alphabet="0123 abf\\#()", max_size=100))
def test_nothing_else_escapes(text: str) -> None:
    try:
        record = dane.parse(text)
    except dane.TlsaError:
        return
    assert dane.parse(str(record)) == record


@pytest.mark.parametrize(
    ("kinds", "left"),
    [
        (["3 1 1", "3 1 2"], ["3 1 2"]),
        (["3 1 1", "3 0 2"], ["3 1 1", "3 0 2"]),  # per selector
        (["3 1 1", "2 1 2"], ["3 1 1", "2 1 2"]),  # per usage
        (["3 1 0", "3 1 1", "3 1 2"], ["3 1 0", "3 1 2"]),
        (["1 1 2", "3 1 1"], ["3 1 1"]),
    ],
)
def test_digest_agility(kinds: list[str], left: list[str]) -> None:
    data = {"0": "3000", "1": D256, "2": D512}
    records = [dane.parse(f"{kind} {data[kind[-1]]}") for kind in kinds]
    assert [record.kind for record in dane.agile(records)] == left


class Chain:
    """A leaf for mx.example.com, its intermediate and its root."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder, now=NOW)
        self.leaf = self.der(Kind.GOOD)
        self.expired = self.der(Kind.EXPIRED)
        self.intermediate = self._pem(self.authority.intermediate_file)
        self.root = self._pem(self.authority.ca_file)
        self.stranger = self.der(Kind.SELF_SIGNED)

    def der(self, kind: Kind) -> bytes:
        issued = self.authority.issue(kind, ["mx.example.com", "*.wild.example"])
        return issued.certificate.public_bytes(Encoding.DER)

    def _pem(self, path: Path) -> bytes:
        return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)

    def __getitem__(self, name: str) -> bytes:
        return bytes(getattr(self, name))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return Chain(tmp_path_factory.mktemp("ca"))


def tlsa(der: bytes, kind: str) -> str:
    usage, selector, matching = kind.split()
    data = der
    if selector == "1":
        key = x509.load_der_x509_certificate(der).public_key()
        data = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = {"0": data, "1": hashlib.sha256(data).digest(), "2": hashlib.sha512(data).digest()}
    return f"{usage} {selector} {matching} {digest[matching].hex()}"


@pytest.mark.parametrize("selector", "01")
@pytest.mark.parametrize("matching", "012")
@pytest.mark.parametrize(("usage", "of"), [("3", "leaf"), ("2", "intermediate"), ("2", "root")])
def test_every_kind_fits(chain: Chain, usage: str, of: str, selector: str, matching: str) -> None:
    sent = [chain.leaf, chain.intermediate, chain.root]
    record = tlsa(chain[of], f"{usage} {selector} {matching}")
    judged = dane.judge_records([record], sent, ["mx.example.com"], NOW)
    assert judged.outcome is Outcome.MATCH
    assert [str(each) for each in judged.matched] == [record]


LATER = NOW + timedelta(days=5_000)
CHAIN = "leaf intermediate root"


@pytest.mark.parametrize(
    ("records", "sent", "name", "at", "outcome", "reason"),
    [
        # the server's own key: neither name nor date matters (RFC 7672 section 3.1.1)
        ("3 1 1 leaf", "leaf", "other.example", NOW, "match", ""),
        ("3 1 1 leaf", CHAIN, "mx.example.com", LATER, "match", ""),
        ("3 1 1 expired", "expired", "mx.example.com", NOW, "match", ""),
        ("3 1 1 stranger", "stranger", "mx.example.com", NOW, "match", ""),
        ("3 1 1 intermediate", CHAIN, "mx.example.com", NOW, "mismatch", "association"),
        ("3 1 1 stranger", CHAIN, "mx.example.com", NOW, "mismatch", "association"),
        # a trust anchor: both do (section 3.1.2)
        ("2 1 1 root", CHAIN, "a.wild.example", NOW, "match", ""),
        ("2 1 1 root", CHAIN, "a.b.wild.example", NOW, "mismatch", "name"),
        ("2 1 1 root", CHAIN, "other.example", NOW, "mismatch", "name"),
        ("2 1 1 root", CHAIN, "mx.example.com", LATER, "mismatch", "expired"),
        ("2 1 1 root", "expired intermediate root", "mx.example.com", NOW, "mismatch", "expired"),
        (
            "2 1 1 root",
            CHAIN,
            "mx.example.com",
            NOW - timedelta(days=100),
            "mismatch",
            "not_yet_valid",
        ),
        ("2 1 1 root", "leaf root intermediate", "mx.example.com", NOW, "match", ""),
        ("2 1 1 root", "leaf root", "mx.example.com", NOW, "mismatch", "path"),
        ("2 1 1 root", "stranger root", "mx.example.com", NOW, "mismatch", "path"),
        ("2 1 1 leaf", CHAIN, "mx.example.com", NOW, "mismatch", "association"),
        ("2 1 1 root", "leaf intermediate", "mx.example.com", NOW, "mismatch", "association"),
        ("2 0 0 root", "leaf intermediate", "mx.example.com", NOW, "match", ""),  # brought along
        # several: one that fits is enough
        ("3 1 1 stranger, 3 1 1 leaf", CHAIN, "mx.example.com", NOW, "match", ""),
        ("3 1 1 leaf, 2 1 1 stranger", CHAIN, "mx.example.com", NOW, "match", ""),
        # of two digests the stronger counts alone (RFC 7671 section 9)
        ("3 1 1 leaf, 3 1 2 stranger", CHAIN, "mx.example.com", NOW, "mismatch", "association"),
        # kinds that mail does not know
        ("1 1 1 leaf", CHAIN, "mx.example.com", NOW, "unusable", ""),
        ("1 1 1 leaf, 3 1 1 leaf", CHAIN, "mx.example.com", NOW, "match", ""),
        ("3 1 1 leaf", "", "mx.example.com", NOW, "mismatch", "no_chain"),
        ("", CHAIN, "mx.example.com", NOW, "no_tlsa", ""),
    ],
)
def test_chains(
    chain: Chain, records: str, sent: str, name: str, at: datetime, outcome: str, reason: str
) -> None:
    rows = [row.strip().rpartition(" ") for row in records.split(",") if row]
    texts = [tlsa(chain[of], kind) for kind, _, of in rows]
    judged = dane.judge_records(texts, [chain[of] for of in sent.split()], [name], at)
    assert (judged.outcome, judged.reason) == (outcome, reason)


@pytest.mark.parametrize("garbage", [b"", b"x", b"\x30\x03\x02\x01\x00"])
def test_garbage_fits_nothing(chain: Chain, garbage: bytes) -> None:
    for kind, of in (("3 1 1", "leaf"), ("2 1 1", "root")):
        judged = dane.judge_records([tlsa(chain[of], kind)], [garbage, chain.root], ["x"], NOW)
        assert judged.outcome is Outcome.MISMATCH


@pytest.mark.parametrize(
    ("outcome", "needs_tls", "may_deliver"),
    [
        ("no_tlsa", False, True),
        ("insecure", False, True),
        ("unusable", True, True),
        ("match", True, True),
        ("mismatch", True, False),
        ("temperror", True, False),
    ],
)
def test_what_it_means(outcome: str, needs_tls: bool, may_deliver: bool) -> None:
    got = Outcome(outcome)
    assert (got.needs_tls, got.may_deliver) == (needs_tls, may_deliver)


MX = "mx.example.com"
ADDRESS: Rows = {f"{MX} A": ["192.0.2.1"]}
PLAIN: Rows = {**ADDRESS, f"_25._tcp.{MX} TLSA": [GOOD]}
ALIAS: Rows = {f"{MX} CNAME": ["mx.host.example"], "mx.host.example A": ["192.0.2.1"]}
HOST_TLSA, OWN_TLSA = "_25._tcp.mx.host.example", f"_25._tcp.{MX}"


@pytest.mark.parametrize(
    ("rows", "unsigned", "outcome", "why", "names"),
    [
        (PLAIN, [], None, "", [OWN_TLSA]),
        (ADDRESS, [], "no_tlsa", "", [OWN_TLSA]),
        (PLAIN, ["example.com"], "insecure", "address", []),  # nobody asks for TLSA then
        (PLAIN, ["_tcp.mx.example.com"], "insecure", "tlsa", [OWN_TLSA]),
        ({**ADDRESS, f"{OWN_TLSA} TLSA": [f"1 1 1 {D256}"]}, [], "unusable", "", [OWN_TLSA]),
        ({**ADDRESS, f"{OWN_TLSA} TLSA": ["3 1 1 00"]}, [], "unusable", "", [OWN_TLSA]),
        (
            {**ADDRESS, f"{OWN_TLSA} TLSA": AnswerStatus.SERVFAIL},
            [],
            "temperror",
            OWN_TLSA,
            [OWN_TLSA],
        ),
        (
            {f"{MX} A": AnswerStatus.SERVFAIL, f"{MX} AAAA": AnswerStatus.TIMEOUT},
            [],
            "temperror",
            MX,
            [],
        ),
        ({f"{MX} A": AnswerStatus.SERVFAIL}, [], "temperror", MX, []),
        (
            {
                f"{MX} A": AnswerStatus.SERVFAIL,
                f"{MX} AAAA": ["2001:db8::1"],
                f"{OWN_TLSA} TLSA": [GOOD],
            },
            [],
            None,
            "",
            [OWN_TLSA],
        ),
        # an alias: first where it leads, then its own name (section 2.1.3)
        ({**ALIAS, f"{HOST_TLSA} TLSA": [GOOD]}, [], None, "", [HOST_TLSA]),
        ({**ALIAS, f"{OWN_TLSA} TLSA": [GOOD]}, [], None, "", [HOST_TLSA, OWN_TLSA]),
        (ALIAS, [], "no_tlsa", "", [HOST_TLSA, OWN_TLSA]),
        (
            {**ALIAS, f"{HOST_TLSA} TLSA": AnswerStatus.TIMEOUT},
            [],
            "temperror",
            HOST_TLSA,
            [HOST_TLSA],
        ),
        # it leads to where nothing is signed: its own name alone counts
        ({**ALIAS, f"{OWN_TLSA} TLSA": [GOOD]}, ["host.example"], None, "", [OWN_TLSA]),
        ({**ALIAS, f"{HOST_TLSA} TLSA": [GOOD]}, ["host.example"], "no_tlsa", "", [OWN_TLSA]),
        ({**ALIAS, f"{OWN_TLSA} TLSA": [GOOD]}, ["example.com"], "insecure", "address", []),
    ],
)
def test_which_names_are_asked(
    rows: Rows, unsigned: Sequence[str], outcome: str | None, why: str, names: list[str]
) -> None:
    zone = Zone(rows, unsigned=unsigned)
    got = run(dane.lookup("MX.example.com."), zone)
    assert (got.outcome, got.why, list(got.names)) == (outcome, why, names)
    assert [asked for asked in zone.asked if asked.endswith("TLSA")] == [f"{n} TLSA" for n in names]


def test_an_unsigned_way_to_the_server_makes_records_worthless() -> None:
    got = run(dane.lookup(MX, mx_secure=False), Zone(PLAIN))
    assert (got.outcome, got.why) == (Outcome.INSECURE, "mx")
    assert got.texts == (GOOD,)
    assert got.judged_by([]).outcome is Outcome.INSECURE


@pytest.mark.parametrize(
    ("rows", "hosts"),
    [
        (
            {"example.com MX": ["20 b.example.", "10 A.example.", "10 a.example."]},
            ["a.example", "b.example"],
        ),
        ({"example.com MX": ["0 ."]}, []),
        ({"example.com A": ["192.0.2.1"]}, ["example.com"]),
        ({}, []),
        ({"example.com MX": AnswerStatus.SERVFAIL}, []),
    ],
)
def test_mail_hosts(rows: Rows, hosts: list[str]) -> None:
    got = run(dane.mail_hosts("example.com"), Zone(rows))
    assert list(got.hosts) == hosts
    assert got.secure is (got.status is not AnswerStatus.SERVFAIL)


def test_names_of_a_trust_anchor(chain: Chain) -> None:
    """The server's name, where its alias leads, and the domain. RFC 7672 section 3.2.2."""
    sent = [chain.leaf, chain.intermediate, chain.root]
    rows = {"m.example A": ["192.0.2.1"], "_25._tcp.m.example TLSA": [tlsa(chain.root, "2 1 1")]}
    host = run(dane.lookup("m.example"), Zone(rows))
    assert host.judged_by(sent, "", NOW).reason == "name"
    assert host.judged_by(sent, "mx.example.com", NOW).outcome is Outcome.MATCH


AUDIT: list[tuple[Rows, Sequence[str], list[str]]] = [
    (PLAIN, [], ["ok"]),
    (ADDRESS, [], ["none"]),
    (PLAIN, ["example.com"], ["address_unsigned"]),
    (PLAIN, ["_tcp.mx.example.com"], ["tlsa_unsigned"]),
    ({**ADDRESS, f"{OWN_TLSA} TLSA": [f"1 1 1 {D256}"]}, [], ["pkix_usage"]),
    ({**ADDRESS, f"{OWN_TLSA} TLSA": ["3 1 9 00", GOOD]}, [], ["unusable"]),
    ({**ADDRESS, f"{OWN_TLSA} TLSA": ["3 1 1 00", GOOD]}, [], ["syntax"]),
    ({**ADDRESS, f"{OWN_TLSA} TLSA": [f"3 0 1 {D256}"]}, [], ["not_advised", "ok"]),
    ({**ADDRESS, f"{OWN_TLSA} TLSA": [f"2 1 1 {D256}"]}, [], ["ok"]),
    ({**ADDRESS, f"{OWN_TLSA} TLSA": [f"3 1 2 {D512}"]}, [], ["sha512_alone", "ok"]),
    ({**ADDRESS, f"{OWN_TLSA} TLSA": ["3 1 0 3000"]}, [], ["whole", "ok"]),
    ({**ADDRESS, f"{OWN_TLSA} TLSA": AnswerStatus.REFUSED}, [], ["dns_failed"]),
]


@pytest.mark.parametrize(("rows", "unsigned", "ids"), AUDIT)
def test_audit(rows: Rows, unsigned: Sequence[str], ids: list[str]) -> None:
    made = dane.audit_host(run(dane.lookup(MX), Zone(rows, unsigned=unsigned)))
    assert [finding.id for finding in made] == [f"dane.{id_}" for id_ in ids]
    for finding in made:
        assert set(finding.params) == set(dane.FINDING_IDS[finding.id])


def test_audit_of_a_domain(chain: Chain) -> None:
    rows: Rows = {
        "example.com MX": ["10 mx.example.com.", "20 b.example.", "30 c.example."],
        **PLAIN,
        "b.example A": ["192.0.2.2"],
        "c.example A": ["192.0.2.3"],
        "_25._tcp.c.example TLSA": [tlsa(chain.leaf, "3 1 1"), GOOD],
    }
    zone = Zone(rows)
    mx = run(dane.mail_hosts("example.com"), zone)
    hosts = [run(dane.lookup(host, mx_secure=mx.secure), zone) for host in mx.hosts]
    shown = {MX: [chain.leaf], "c.example": [chain.leaf]}
    found = {(f.id, f.params.get("host")) for f in dane.audit(mx, hosts, shown, NOW)}
    assert found == {
        ("dane.mismatch", MX),
        ("dane.none", "b.example"),
        ("dane.stale", "c.example"),
        ("dane.ok", "c.example"),
        ("dane.some_hosts", None),
    }
    unsigned = [run(dane.lookup(host, mx_secure=False), zone) for host in mx.hosts]
    assert [f.id for f in dane.audit(mx, unsigned)].count("dane.mx_unsigned") == 2


def test_records_to_publish(chain: Chain) -> None:
    pem = chain.authority.issue(Kind.GOOD, ["mx.example.com", "*.wild.example"])
    certificate = pem.certificate.public_bytes(Encoding.PEM)
    key = pem.certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    expected = tlsa(chain.leaf, "3 1 1")
    for material in (certificate, chain.leaf, key):
        assert str(dane.build(material)) == expected
    assert str(dane.build(chain.root, 2, 0, 2)) == tlsa(chain.root, "2 0 2")
    line = dane.record_line(dane.build(key), "mx.example.com")
    assert line == f"_25._tcp.mx.example.com. IN TLSA {expected}"
    plan = dane.rollover(certificate, chain.root, "mx.example.com", 3_600)
    assert plan.before[0] == line
    assert plan.after == plan.before[1:]
    assert plan.wait == 7_200


@pytest.mark.parametrize(
    ("material", "selector", "reason"),
    [
        (b"", 1, "unreadable"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 1, "unreadable"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 1, "private_key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0, "private_key"),
        (b"x" * 70_000, 0, "too_long"),
    ],
)
def test_material_that_is_none(material: bytes, selector: int, reason: str) -> None:
    with pytest.raises(dane.KeyMaterialError) as caught:
        dane.build(material, 3, selector)
    assert caught.value.reason == reason


def test_a_key_is_no_certificate(chain: Chain) -> None:
    key = x509.load_der_x509_certificate(chain.leaf).public_key()
    material = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(dane.KeyMaterialError, match="needs_certificate"):
        dane.build(material, 3, 0)
    with pytest.raises(ValueError, match="not for mail"):
        dane.build(material, 1)


def test_a_flood_of_records_costs_little(chain: Chain) -> None:
    """Each names an authority that is brought along, and leads nowhere."""
    record = tlsa(chain.stranger, "2 0 0")
    flood = [f"{record}{n:04x}" for n in range(200)]
    sent = [chain.leaf, *[chain.intermediate] * 50]
    with soon(1):
        judged = dane.judge_records(flood, sent, ["mx.example.com"], NOW)
    assert judged.outcome is Outcome.MISMATCH
