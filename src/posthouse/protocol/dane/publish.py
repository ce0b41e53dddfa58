"""TLSA records to publish, and how to change a key without losing mail. RFC 7671 section 8.

Enters: a certificate, public key or signing request, as PEM or DER. Leaves: records. Fails with
KeyMaterialError where nothing can be read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from posthouse.protocol.dane.lookup import SMTP, tlsa_name
from posthouse.protocol.dane.tlsa import Matching, Selector, Tlsa, Usage

INPUT_LIMIT: Final = 65_536  # octets: a chain as a file has some 8,000


class KeyMaterialError(Exception):
    """Octets of which no record can be made. ``reason`` is a stable id.

    Reasons: ``too_long``, ``unreadable``, ``private_key``, ``needs_certificate``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rollover:
    """The records to publish while a key changes, and for how long.

    ``before``: publish, and wait this many seconds before the server shows the new key.
    ``after``: what stays once it does. Its words are "dane.rollover.<step>".
    """

    before: tuple[str, ...]
    wait: int
    after: tuple[str, ...]


def build(
    material: bytes,
    usage: int = Usage.DANE_EE,
    selector: int = Selector.SPKI,
    matching: int = Matching.SHA256,
) -> Tlsa:
    """The record for a certificate or key; "3 1 1" is what RFC 7672 section 3.1 asks for.

    Raises KeyMaterialError; ValueError for numbers that mail can't use.
    """
    content = _certificate(material) if selector == Selector.CERT else _public_key(material)
    data = {
        Matching.FULL: lambda: content,
        Matching.SHA256: lambda: hashlib.sha256(content).digest(),
        Matching.SHA512: lambda: hashlib.sha512(content).digest(),
    }[Matching(matching)]()
    record = Tlsa(usage, selector, matching, data)
    if not record.usable:
        raise ValueError(f"not for mail: {record.kind}")
    return record


def record_line(record: Tlsa, host: str, port: int = SMTP) -> str:
    """The record as a line of a zone file."""
    return f"{tlsa_name(host, port)}. IN TLSA {record}"


def rollover(current: bytes, following: bytes, host: str, ttl: int) -> Rollover:
    """Both keys side by side before the server changes over. RFC 7671 section 8.1.

    ``ttl``: of the record set in DNS; two of them pass before every resolver has the new one.
    """
    old, new = (record_line(build(material), host) for material in (current, following))
    return Rollover((old, new), 2 * ttl, (new,))


def _certificate(material: bytes) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    if len(material) > INPUT_LIMIT:
        raise KeyMaterialError("too_long")
    for load in (x509.load_pem_x509_certificate, x509.load_der_x509_certificate):
        try:
            return load(material).public_bytes(Encoding.DER)
        except (ValueError, TypeError):
            continue
    _public_key(material)  # says better what is wrong where it is no key either
    raise KeyMaterialError("needs_certificate")


def _public_key(material: bytes) -> bytes:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form

    if len(material) > INPUT_LIMIT:
        raise KeyMaterialError("too_long")
    if b"PRIVATE KEY-----" in material:  # it should not be carried around for this
        raise KeyMaterialError("private_key")
    readers: tuple[Callable[[bytes], Any], ...] = (
        lambda data: x509.load_pem_x509_certificate(data).public_key(),
        lambda data: x509.load_der_x509_certificate(data).public_key(),
        lambda data: x509.load_pem_x509_csr(data).public_key(),
        lambda data: x509.load_der_x509_csr(data).public_key(),
        form.load_pem_public_key,
        form.load_der_public_key,
    )
    for read in readers:
        try:
            key = read(material)
            content = key.public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
            return bytes(content)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
    raise KeyMaterialError("unreadable")
