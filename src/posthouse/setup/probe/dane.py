"""Whether TLSA records fit a chain: the part of RFC 6698 and RFC 7672 that a report needs.

Enters: records in presentation form ("3 1 1 0123..."), certificates as DER. Leaves: True, False, or
None where no record is usable. Nothing fails: a record that can't be read counts for nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# RFC 7672 section 3.1: SMTP uses DANE-TA(2) and DANE-EE(3); 0 and 1 are not for mail.
TRUST_ANCHOR: Final = 2
END_ENTITY: Final = 3
_DIGESTS: Final = {1: hashlib.sha256, 2: hashlib.sha512}


def fits(records: Sequence[str], chain: Sequence[bytes]) -> bool | None:
    """Whether any usable record matches the leaf (usage 3) or a CA above it (usage 2)."""
    parsed = [p for p in (_parse(r) for r in records) if p is not None]
    if not parsed or not chain:
        return None
    return any(
        _associated(certificate, selector, matching) == data
        for usage, selector, matching, data in parsed
        for certificate in (chain[:1] if usage == END_ENTITY else chain[1:])
    )


def _parse(record: str) -> tuple[int, int, int, bytes] | None:
    parts = record.split()
    try:
        usage, selector, matching = (int(p) for p in parts[:3])
        data = bytes.fromhex("".join(parts[3:]))
    except ValueError:
        return None
    known = usage in (TRUST_ANCHOR, END_ENTITY) and selector in (0, 1) and matching in (0, 1, 2)
    return (usage, selector, matching, data) if known and data else None


def _associated(der: bytes, selector: int, matching: int) -> bytes | None:
    content = der
    if selector == 1:
        try:
            key = x509.load_der_x509_certificate(der).public_key()
            content = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except ValueError:
            return None
    digest = _DIGESTS.get(matching)
    return digest(content).digest() if digest else content
