"""One certificate from DER to facts for people.

Enters: DER bytes from the wire, of any quality. Leaves: ``CertificateInfo``, or None where the
bytes are no certificate. Called by ``net.verify``. Never raises for what a server sent.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID

from posthouse.net.tls import CertificateInfo

NAMES_LIMIT: Final = 500  # SAN entries kept; CDN certificates have some hundreds

# What parsing a malformed certificate lazily may raise, far from load_der.
UNREADABLE: Final = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

T = TypeVar("T")


def parse(der: bytes) -> x509.Certificate | None:
    """The certificate, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd serial numbers are the server's business
        return _or(None, lambda: x509.load_der_x509_certificate(der))


def describe(der: bytes) -> CertificateInfo | None:
    """Facts for people, or None where ``der`` is no certificate."""
    certificate = parse(der)
    if certificate is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _describe(certificate, der)
    except UNREADABLE:
        return None


def _describe(certificate: x509.Certificate, der: bytes) -> CertificateInfo:
    key, bits = _key(certificate)
    digest = certificate.fingerprint(hashes.SHA256()).hex().upper()
    return CertificateInfo(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        common_name=common_name(certificate.subject),
        names=_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        serial=f"{certificate.serial_number:x}",
        key=key,
        key_bits=bits,
        signature_hash=_or("", lambda: _hash_name(certificate)),
        sha256=":".join(digest[i : i + 2] for i in range(0, len(digest), 2)),
        is_ca=_is_ca(certificate),
        self_signed=is_self_signed(certificate),
        issuer_url=_issuer_url(certificate),
        pem=certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"),
        der=der,
    )


def common_name(name: x509.Name) -> str:
    """The last (most specific) common name, or ""."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[-1].value) if found else ""


def organisation(name: x509.Name) -> str:
    """The organisation, or ""."""
    found = name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else ""


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether its own key signed it; equal names alone prove nothing."""
    if certificate.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(certificate)
    except InvalidSignature:
        return False
    except UNREADABLE:
        return True  # a signature too odd to check, under the same name
    return True


def end_point_hash(certificate: x509.Certificate) -> bytes | None:
    """The tls-server-end-point channel binding. RFC 5929 section 4.1."""
    algorithm = _or(None, lambda: certificate.signature_hash_algorithm)
    if algorithm is None:
        return None  # no hash of its own (Ed25519): the RFC leaves it undefined
    weak = isinstance(algorithm, hashes.MD5 | hashes.SHA1)
    return certificate.fingerprint(hashes.SHA256() if weak else algorithm)


def extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> Any:
    """The value of one extension, or None where it is missing or malformed."""
    return _or(None, lambda: certificate.extensions.get_extension_for_oid(oid).value)


def _or(default: T, get: Callable[[], T]) -> T:
    try:
        return get()
    except UNREADABLE:
        return default


def _hash_name(certificate: x509.Certificate) -> str:
    algorithm = certificate.signature_hash_algorithm
    return algorithm.name if algorithm is not None else ""


def _key(certificate: x509.Certificate) -> tuple[str, int]:
    key = _or(None, certificate.public_key)
    match key:
        case rsa.RSAPublicKey():
            return "RSA", key.key_size
        case ec.EllipticCurvePublicKey():
            return "EC", key.key_size
        case dsa.DSAPublicKey():
            return "DSA", key.key_size
        case ed25519.Ed25519PublicKey():
            return "Ed25519", 256
        case ed448.Ed448PublicKey():
            return "Ed448", 448
    return "unknown", 0


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    found = extension(certificate, ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    if found is None:
        return ()
    names = found.get_values_for_type(x509.DNSName)
    addresses = found.get_values_for_type(x509.IPAddress)
    return tuple([*names, *(str(a) for a in addresses)][:NAMES_LIMIT])


def _is_ca(certificate: x509.Certificate) -> bool:
    found = extension(certificate, ExtensionOID.BASIC_CONSTRAINTS)
    return bool(found is not None and found.ca)


def _issuer_url(certificate: x509.Certificate) -> str:
    """RFC 5280 section 4.2.2.1, caIssuers by HTTP; other schemes lead nowhere outside a company."""
    found = extension(certificate, ExtensionOID.AUTHORITY_INFORMATION_ACCESS)
    for access in found or ():
        location = access.access_location
        if access.access_method == AuthorityInformationAccessOID.CA_ISSUERS and isinstance(
            location, x509.UniformResourceIdentifier
        ):
            url = str(location.value)
            if url.lower().startswith(("http://", "https://")):
                return url
    return ""
