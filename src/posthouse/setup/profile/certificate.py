"""Certificates in profiles: only an authority may be trusted, and a profile may be signed.

Enters: PEM. Leaves: certificates, or a CMS signature around a profile. Called by ``model`` and
``apple``. Fails with CertificateError: ``ca_unreadable``, ``ca_leaf``, ``signer_unreadable``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography import x509

_MAX_CERTIFICATES: Final = 20  # a private chain has two or three; the whole system's list is no one
_MAX_PEM: Final = 100_000


class CertificateError(ValueError):
    """A certificate that cannot be used. ``detail`` is its subject, or empty."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def check_authorities(pem: str) -> tuple[x509.Certificate, ...]:
    """The authorities in ``pem``. A server's own certificate is refused: whoever trusts it as a
    root trusts one key for ever and everywhere, and it is replaced within months."""
    from cryptography import x509

    if len(pem) > _MAX_PEM:
        raise CertificateError("ca_unreadable")
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise CertificateError("ca_unreadable") from None
    if not found or len(found) > _MAX_CERTIFICATES:
        raise CertificateError("ca_unreadable")
    for certificate in found:
        if not _is_authority(certificate):
            raise CertificateError("ca_leaf", _subject(certificate))
    return tuple(found)


def _is_authority(certificate: x509.Certificate) -> bool:
    """RFC 5280 section 4.2.1.9: CA:TRUE; without the extension it is no authority."""
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _subject(certificate: x509.Certificate) -> str:
    text = certificate.subject.rfc4514_string()
    return "".join(c for c in text if c.isprintable())[:200]


def common_name(certificate: x509.Certificate) -> str:
    """What to call a certificate."""
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else _subject(certificate)


def sign(content: bytes, certificate_pem: bytes, key_pem: bytes) -> bytes:
    """``content`` inside a CMS signature (RFC 5652), in DER as Apple's profiles are signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import pkcs7

    try:
        first, *chain = x509.load_pem_x509_certificates(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, None)
    except (ValueError, TypeError):
        raise CertificateError("signer_unreadable") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise CertificateError("signer_unreadable")
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
    builder = builder.add_signer(first, key, hashes.SHA256())
    for certificate in chain:
        builder = builder.add_certificate(certificate)
    return builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
