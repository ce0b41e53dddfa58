"""Certificates: every kind of bad chain is named, and none of them fails the handshake."""

from __future__ import annotations

import asyncio
import ssl
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.certs import Authority, Kind
from posthouse.flow import Failure, NetworkFailure
from posthouse.net import certificate, verify
from posthouse.net.stream import MemoryStream, PipeStream
from posthouse.net.tls import Problem, TlsOptions, TlsSession, a_label

SESSION = TlsSession("TLSv1.3", "TLS_AES_128_GCM_SHA256", 128, server_name="mail.test")


async def shake(
    authority: Authority, kind: Kind, name: str = "mail.test", **options: object
) -> TlsSession:
    """A handshake with a server that shows ``kind``."""
    near, far = MemoryStream.pair()
    options.setdefault("ca_file", str(authority.ca_file))
    asked = TlsOptions(name, **options)  # type: ignore[arg-type]
    session, _ = await asyncio.gather(
        near.start_tls(asked), PipeStream.accept_tls(far, authority.context(kind))
    )
    return session


KINDS = [
    (Kind.GOOD, set()),
    (Kind.EXPIRES_SOON, set()),
    (Kind.EXPIRED, {Problem.EXPIRED}),
    (Kind.NOT_YET_VALID, {Problem.NOT_YET_VALID}),
    (Kind.SELF_SIGNED, {Problem.SELF_SIGNED}),
    (Kind.UNKNOWN_CA, {Problem.UNKNOWN_CA}),
    (Kind.WRONG_NAME, {Problem.WRONG_NAME}),
    (Kind.MISSING_INTERMEDIATE, {Problem.MISSING_INTERMEDIATE}),
    (Kind.WEAK_KEY, {Problem.WEAK_KEY}),
    (Kind.WEAK_SIGNATURE, {Problem.WEAK_SIGNATURE}),
    (Kind.INTERCEPTION, {Problem.UNKNOWN_CA, Problem.INTERCEPTION}),
]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(("kind", "problems"), KINDS)
async def test_each_kind_is_named(
    authority: Authority, kind: Kind, problems: set[Problem], legacy: bool
) -> None:
    session = await shake(authority, kind, legacy=legacy)
    assert {p.kind for p in session.problems} == problems
    assert session.trusted == (not problems)
    assert session.leaf is not None
    assert session.leaf.names  # the chain is there, whatever it is worth
    assert session.leaf.pem.startswith("-----BEGIN CERTIFICATE-----")


async def test_without_the_ca_file_a_private_chain_is_an_unknown_ca(authority: Authority) -> None:
    session = await shake(authority, Kind.GOOD, ca_file=None)
    assert [p.kind for p in session.problems] == [Problem.UNKNOWN_CA]
    assert not session.trusted


async def test_an_installed_scanner_is_trusted_and_said(authority: Authority) -> None:
    session = await shake(authority, Kind.INTERCEPTION, ca_file=str(authority.scanner_file))
    assert session.trusted
    problem = session.problem(Problem.INTERCEPTION)
    assert problem is not None
    assert problem.params["product"] == "Avast"
    assert problem.params["kind"] == "antivirus"


async def test_an_intermediate_in_the_ca_file_is_an_anchor(authority: Authority) -> None:
    file = str(authority.intermediate_file)
    assert (await shake(authority, Kind.MISSING_INTERMEDIATE, ca_file=file)).trusted


async def test_a_self_signed_certificate_may_be_the_ca_file(authority: Authority) -> None:
    file = str(authority.issue(Kind.SELF_SIGNED).cert_file)
    assert (await shake(authority, Kind.SELF_SIGNED, ca_file=file)).trusted


async def test_an_unreadable_ca_file_is_told(authority: Authority, tmp_path: Path) -> None:
    for name, text in (("absent.pem", None), ("empty.pem", ""), ("junk.pem", "hello")):
        file = tmp_path / name
        if text is not None:
            file.write_text(text)
        with pytest.raises(NetworkFailure) as caught:
            await shake(authority, Kind.GOOD, ca_file=str(file))
        assert caught.value.failure is Failure.CERTIFICATE
        assert caught.value.detail["reason"] == "ca_file"


async def test_details_of_expired_and_not_yet_valid(authority: Authority) -> None:
    expired = (await shake(authority, Kind.EXPIRED)).problems[0].params
    assert expired["days"] in (4, 5)
    assert expired["date"] < datetime.now(UTC).date().isoformat()
    early = (await shake(authority, Kind.NOT_YET_VALID)).problems[0].params
    assert early["days"] in (9, 10)
    assert early["date"] > datetime.now(UTC).date().isoformat()


async def test_the_time_of_judgement_can_be_set(authority: Authority) -> None:
    then = datetime.now(UTC) - timedelta(days=10)
    assert (await shake(authority, Kind.EXPIRED, at=then)).trusted
    later = datetime.now(UTC) + timedelta(days=5000)
    session = await shake(authority, Kind.GOOD, at=later)
    assert [p.kind for p in session.problems] == [Problem.EXPIRED]


async def test_wrong_name_lists_the_names(authority: Authority) -> None:
    problem = (await shake(authority, Kind.WRONG_NAME)).problems[0]
    assert problem.params["names"] == ["mx.elsewhere.test"]
    assert problem.params["wanted"] == "mail.test"


NAMES = [  # RFC 9525 section 6
    (["mail.test"], "mail.test", True),
    (["mail.test"], "MAIL.test.", True),
    (["mail.test"], "smtp.mail.test", False),
    (["*.mail.test"], "smtp.mail.test", True),
    (["*.mail.test"], "mail.test", False),
    (["*.mail.test"], "a.b.mail.test", False),
    (["127.0.0.1"], "127.0.0.1", True),
    (["127.0.0.1"], "127.0.0.2", False),
    (["::1"], "::1", True),
    (["mail.test"], "127.0.0.1", False),
    (["xn--mnchen-3ya.test"], "münchen.test", True),
    (["mail.test"], "mail_test", False),
    (["mail.test"], "", True),  # no name asked for
]


@pytest.mark.parametrize(("names", "wanted", "fits"), NAMES)
def test_names(authority: Authority, names: list[str], wanted: str, fits: bool) -> None:
    leaf = authority.issue(Kind.GOOD, names).certificate
    info = certificate.describe(leaf.public_bytes(Encoding.DER))
    assert info is not None
    problems = verify.problems_of([info], wanted, ca_file=str(authority.intermediate_file))
    assert (Problem.WRONG_NAME not in {p.kind for p in problems}) is fits


async def test_sni_and_name_for_internationalised_hosts(authority: Authority) -> None:
    session = await shake(authority, Kind.GOOD, name="münchen.test")
    problem = session.problem(Problem.WRONG_NAME)
    assert problem is not None
    assert problem.params["wanted"] == "münchen.test"


@pytest.mark.parametrize(
    ("host", "label"),
    [
        ("Mail.Test", "mail.test"),
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("邮件.中国", "xn--5nq051n.xn--fiqs8s"),
        ("", ""),
        ("\u2028", "\u2028"),
    ],
)
def test_a_label(host: str, label: str) -> None:
    assert a_label(host) == label


# -- chains made here, for what the authority does not show

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def make(
    issuer: str,
    *extensions: x509.ExtensionType,
    organisation: str = "",
    key: ec.EllipticCurvePrivateKey = OTHER,
    subject: str = "mail.test",
) -> bytes:
    """A leaf by an authority that nobody knows."""

    def name(common: str, org: str = "") -> x509.Name:
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
        if org:
            parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, org))
        return x509.Name(parts)

    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer, organisation))
        .public_key(KEY.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mail.test")]), critical=False)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def aia(url: str) -> x509.AuthorityInformationAccess:
    return x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(url)
            )
        ]
    )


def policy(oid: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies(
        [x509.PolicyInformation(x509.ObjectIdentifier(oid), policy_qualifiers=None)]
    )


ISSUERS = [
    ((), Problem.UNKNOWN_CA, []),
    ((aia("http://ca.example/issuer.crt"),), Problem.MISSING_INTERMEDIATE, ["issuer_url"]),
    ((aia("ldap:///CN=Company"),), Problem.UNKNOWN_CA, []),
    ((policy("2.23.140.1.2.1"),), Problem.MISSING_INTERMEDIATE, ["public_policy"]),
    ((policy("1.2.3.4"),), Problem.UNKNOWN_CA, []),
]


@pytest.mark.parametrize(("extensions", "kind", "evidence"), ISSUERS)
def test_forgotten_intermediate_or_unknown_authority(
    extensions: tuple[x509.ExtensionType, ...], kind: Problem, evidence: list[str]
) -> None:
    session = verify.judged(SESSION, [make("Some Issuing CA", *extensions)])
    assert [p.kind for p in session.problems] == [kind]
    assert session.problems[0].params["evidence"] == evidence


def test_a_client_certificate_is_no_server_certificate() -> None:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    session = verify.judged(SESSION, [make("X", usage)])
    problem = session.problem(Problem.INVALID)
    assert problem is not None
    assert problem.params["reason"] == "not for servers"


def test_a_leaf_that_only_pretends_to_sign_itself() -> None:
    """Subject and issuer are equal, the signature is another key's."""
    session = verify.judged(SESSION, [make("mail.test", key=OTHER)])
    assert session.leaf is not None
    assert not session.leaf.self_signed
    assert not session.trusted


PRODUCTS = [
    ("ESET SSL Filter CA", "ESET, spol. s r. o.", "ESET"),
    ("Kaspersky Anti-Virus Personal Root Certificate", "AO Kaspersky Lab", "Kaspersky"),
    ("Huorong Anti-Virus Personal Root Certificate", "", "火绒 Huorong"),
    ("sangfor CA", "", "深信服 Sangfor"),
    ("FG100D", "Fortinet", "Fortinet FortiGate"),
    ("Zscaler Intermediate Root CA (zscaler.net)", "Zscaler Inc.", "Zscaler"),
    ("DO_NOT_TRUST_FiddlerRoot", "DO_NOT_TRUST", "Fiddler"),
    ("mitmproxy", "mitmproxy", "mitmproxy"),
    ("DigiCert Global G2 TLS RSA SHA256 2020 CA1", "DigiCert Inc", None),
    ("Cloudflare TLS Issuing ECC CA 1", "SSL Corporation", None),
    ("R11", "Let's Encrypt", None),
    ("TrustAsia DV TLS RSA CA 2025", "TrustAsia Technologies, Inc.", None),
]


@pytest.mark.parametrize(("issuer", "organisation", "product"), PRODUCTS)
def test_scanners_are_known_by_their_issuer(
    issuer: str, organisation: str, product: str | None
) -> None:
    session = verify.judged(SESSION, [make(issuer, organisation=organisation)])
    problem = session.problem(Problem.INTERCEPTION)
    assert (problem.params["product"] if problem else None) == product


def test_a_public_certificate_of_a_scanner_maker_is_not_an_interception() -> None:
    """The subject may be anybody; only who signed counts."""
    session = verify.judged(
        SESSION, [make("R11", organisation="Let's Encrypt", subject="avast.com")]
    )
    assert session.problem(Problem.INTERCEPTION) is None


@pytest.mark.parametrize("ders", [[], [b""], [b"junk"], [make("A"), b"\x30\x03\x02\x01\x05"]])
def test_what_is_no_certificate_is_not_trusted(ders: list[bytes]) -> None:
    session = verify.judged(SESSION, ders)
    assert not session.trusted
    assert [p.kind for p in session.problems] == [Problem.INVALID]


GOOD_DER = make("A", aia("http://x.example/"), policy("2.23.140.1.2.1"))


def test_a_certificate_that_only_one_library_reads_is_not_trusted() -> None:
    """OpenSSL reads some octets more strictly than ``cryptography``, which reads them first."""
    for at in range(len(GOOD_DER)):
        mangled = GOOD_DER[:at] + b"\x00\x01" + GOOD_DER[at + 2 :]
        assert not verify.judged(SESSION, [mangled]).trusted


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(GOOD_DER) - 1), st.binary(min_size=1, max_size=4))
def test_a_mangled_certificate_never_raises_and_is_never_trusted(at: int, bad: bytes) -> None:
    der = GOOD_DER[:at] + bad + GOOD_DER[at + len(bad) :]
    session = verify.judged(SESSION, [der])
    assert not session.trusted


def test_facts_of_one_certificate(authority: Authority) -> None:
    info = certificate.describe(authority.issue().certificate.public_bytes(Encoding.DER))
    assert info is not None
    assert info.common_name == "mail.test"
    assert info.names == ("mail.test", "localhost", "127.0.0.1", "::1")
    assert (info.key, info.key_bits, info.signature_hash) == ("EC", 256, "sha256")
    assert not info.is_ca
    assert not info.self_signed
    assert len(info.sha256) == 32 * 3 - 1
    assert info.issuer == "CN=Posthouse Test Intermediate,O=Posthouse Tests"


async def test_channel_bindings(authority: Authority) -> None:
    """RFC 5929 section 4.1: the hash of the certificate by its own signature's hash."""
    leaf = authority.issue().certificate
    session = await shake(authority, Kind.GOOD)
    assert session.channel_binding == leaf.fingerprint(hashes.SHA256())
    assert session.bindings == {"tls-server-end-point": session.channel_binding}
    weak = await shake(authority, Kind.WEAK_SIGNATURE)  # SHA-1 counts as SHA-256 here
    issued = authority.issue(Kind.WEAK_SIGNATURE).certificate
    assert weak.channel_binding == issued.fingerprint(hashes.SHA256())


def test_a_signature_without_a_hash_has_no_end_point_binding() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, None)
    )
    assert certificate.end_point_hash(made) is None


def test_no_pattern_of_a_scanner_fits_a_public_root() -> None:
    """A public authority must never be called an interception."""
    roots = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not roots:
        pytest.skip("no root certificates on this machine")
    for der in roots:
        info = certificate.describe(der)
        assert info is not None
        assert verify._interception_problems([info]) == [], info.subject


def test_the_table_of_scanners_is_complete() -> None:
    table = tomllib.loads(verify.INTERCEPTION_FILE.read_text("utf-8"))
    names = [product["name"] for product in table["product"]]
    assert len(names) == len(set(names))
    for product in table["product"]:
        assert set(product) == {"name", "kind", "trust", "patterns", "source"}
        assert product["kind"] in {"antivirus", "gateway", "filter", "debug"}
        assert product["trust"] in {"seen", "vendor"}
        assert product["source"]
        assert all(p == p.lower() for p in product["patterns"])
    assert isinstance(table["checked"], date)
