"""A certificate authority for the tests, and every bad certificate a mail server can show.

``Authority(folder)`` makes a root and an intermediate. ``context(kind)`` gives a server's
``ssl.SSLContext`` with a certificate of that kind; ``ca_file`` is what a client has to trust for
``Kind.GOOD`` to be good. All names and keys are made on the spot; nothing is kept.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DEFAULT_HOSTS = ("mail.test", "localhost", "127.0.0.1", "::1")
DAY = timedelta(days=1)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Kind(StrEnum):
    """What is right or wrong with a certificate; the words of ``CertificateProblem.kind``."""

    GOOD = "good"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    SELF_SIGNED = "self_signed"
    UNKNOWN_CA = "unknown_ca"
    WRONG_NAME = "wrong_name"
    MISSING_INTERMEDIATE = "missing_intermediate"
    WEAK_KEY = "weak_key"  # RSA 1024
    WEAK_SIGNATURE = "weak_signature"  # SHA-1
    INTERCEPTION = "interception"  # issued by a virus scanner's own root
    EXPIRES_SOON = "expires_soon"  # still good, for three days
    PLAIN_CA = "plain_ca"  # good where ``plain_ca_file`` is trusted


@dataclass(frozen=True, slots=True)
class Signer:
    """One certificate that may sign others."""

    certificate: x509.Certificate
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A server's certificate as files; ``cert_file`` holds the leaf, then what is sent with it."""

    kind: Kind
    certificate: x509.Certificate
    cert_file: Path
    key_file: Path


class Authority:
    """Root -> intermediate -> servers, all good from ``now`` minus a month on."""

    def __init__(self, folder: Path, *, now: datetime | None = None) -> None:
        self._folder = folder
        self._now = now or datetime.now(UTC)
        self._root = self._signer("Posthouse Test Root", None)
        self._intermediate = self._signer("Posthouse Test Intermediate", self._root)
        self._stranger = self._signer("Some Private Root", None)
        self._scanner = self._signer("Avast Web/Mail Shield Root", None, organization="Avast")
        # As ``openssl req -x509`` has made the CAs of many companies.
        self._plain = self._signer("Some Company Root", None, usage=False)
        self._contexts: dict[tuple[Kind, tuple[str, ...], bool], Issued] = {}
        self.ca_file = folder / "root.pem"
        self.ca_file.write_bytes(_pem(self._root.certificate))
        self.intermediate_file = folder / "intermediate.pem"
        self.intermediate_file.write_bytes(_pem(self._intermediate.certificate))
        self.plain_ca_file = folder / "plain.pem"
        self.plain_ca_file.write_bytes(_pem(self._plain.certificate))
        self.scanner_file = folder / "scanner.pem"
        self.scanner_file.write_bytes(_pem(self._scanner.certificate))

    def issue(
        self, kind: Kind = Kind.GOOD, hosts: Sequence[str] = DEFAULT_HOSTS, *, rsa: bool = False
    ) -> Issued:
        """A certificate of that kind for ``hosts`` (DNS names and IP addresses), kept as files.

        Its key is of an elliptic curve, or ``rsa``.
        """
        name = (kind, tuple(hosts), rsa)
        known = self._contexts.get(name)
        if known is not None:
            return known
        key: PrivateKey = _rsa_key(2048) if rsa else _ec_key()
        if kind is Kind.WEAK_KEY:
            key = _rsa_key(1024)
        signer, extra = self._signed_by(kind)
        names = ["mx.elsewhere.test"] if kind is Kind.WRONG_NAME else list(hosts)
        leaf = self._leaf(kind, names, key, signer)
        stem = f"{kind}-{len(self._contexts)}"
        issued = Issued(kind, leaf, self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        issued.cert_file.write_bytes(_pem(leaf) + b"".join(_pem(c) for c in extra))
        issued.key_file.write_bytes(_key_pem(key))
        self._contexts[name] = issued
        return issued

    def context(
        self,
        kind: Kind = Kind.GOOD,
        hosts: Sequence[str] = DEFAULT_HOSTS,
        *,
        versions: tuple[ssl.TLSVersion, ssl.TLSVersion] | None = None,
    ) -> ssl.SSLContext:
        """A server context that shows ``kind``; ``versions`` are the lowest and highest spoken."""
        issued = self.issue(kind, hosts)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        old = versions is not None and versions[0] < ssl.TLSVersion.TLSv1_2
        if old or kind in (Kind.WEAK_KEY, Kind.WEAK_SIGNATURE):
            context.set_ciphers("ALL:@SECLEVEL=0")  # what OpenSSL no longer does by itself
        if versions is not None:
            with warnings.catch_warnings():  # the old versions are what the test is about
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version, context.maximum_version = versions
        context.load_cert_chain(issued.cert_file, issued.key_file)
        return context

    def tls10_context(self, kind: Kind = Kind.GOOD) -> ssl.SSLContext:
        """A server of 2005: TLS 1.0 and nothing else."""
        return self.context(kind, versions=(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1))

    def client_context(self) -> ssl.SSLContext:
        """What a correct client uses: trusts this root alone, checks names."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def _signed_by(self, kind: Kind) -> tuple[Signer | None, list[x509.Certificate]]:
        if kind is Kind.SELF_SIGNED:
            return None, []
        if kind is Kind.UNKNOWN_CA:
            return self._stranger, [self._stranger.certificate]
        if kind is Kind.PLAIN_CA:
            return self._plain, []
        if kind is Kind.INTERCEPTION:
            return self._scanner, [self._scanner.certificate]
        if kind is Kind.WEAK_SIGNATURE:
            old = self._signer("Posthouse Test Old Intermediate", self._root, key=_rsa_key(2048))
            return old, [old.certificate]
        if kind is Kind.MISSING_INTERMEDIATE:
            return self._intermediate, []
        return self._intermediate, [self._intermediate.certificate]

    def _leaf(
        self, kind: Kind, names: list[str], key: PrivateKey, signer: Signer | None
    ) -> x509.Certificate:
        begin, end = self._now - 30 * DAY, self._now + 60 * DAY
        if kind is Kind.EXPIRED:
            end = self._now - 5 * DAY
        elif kind is Kind.NOT_YET_VALID:
            begin = self._now + 10 * DAY
        elif kind is Kind.EXPIRES_SOON:
            end = self._now + 3 * DAY
        subject = _name(names[0])
        builder = _builder(subject, signer.certificate.subject if signer else subject, key)
        builder = builder.not_valid_before(begin).not_valid_after(end)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False
        )
        builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        issuer_key = signer.key if signer else key
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        certificate = builder.sign(issuer_key, hashes.SHA256())
        if kind is Kind.WEAK_SIGNATURE and isinstance(issuer_key, rsa.RSAPrivateKey):
            return _resigned_with_sha1(certificate, issuer_key)
        return certificate

    def _signer(
        self,
        common_name: str,
        parent: Signer | None,
        *,
        organization: str = "Posthouse Tests",
        key: PrivateKey | None = None,
        usage: bool = True,
    ) -> Signer:
        key = key or _ec_key()
        subject = _name(common_name, organization)
        builder = _builder(subject, parent.certificate.subject if parent else subject, key)
        builder = builder.not_valid_before(self._now - 365 * DAY)
        builder = builder.not_valid_after(self._now + 3650 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        if usage:  # RFC 5280 section 4.2.1.3 wants it of each CA
            signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(signs, critical=True)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        if parent is not None:
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(parent.key.public_key()),
                critical=False,
            )
        return Signer(builder.sign(parent.key if parent else key, hashes.SHA256()), key)


def _ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def _resigned_with_sha1(certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> x509.Certificate:
    """The same certificate under SHA-1, which no library makes any more.

    The object identifiers of the two algorithms, and their signatures, are of equal length.
    """
    sha256, sha1 = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    body = certificate.tbs_certificate_bytes.replace(sha256, sha1)
    signature = key.sign(body, padding.PKCS1v15(), hashes.SHA1())
    der = certificate.public_bytes(serialization.Encoding.DER).replace(sha256, sha1)
    return x509.load_der_x509_certificate(der[: -len(signature)] + signature)


def _name(common_name: str, organization: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    return builder.public_key(key.public_key()).serial_number(x509.random_serial_number())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
