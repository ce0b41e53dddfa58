"""Whether a server's certificates fit its TLSA records. RFC 7671 section 5, RFC 7672 section 3.

Enters: records, the chain as sent (DER, the server's own first), the names it may have, a point in
time. Leaves: ``Judged``. Nothing fails: what can't be read fits nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from posthouse.protocol.dane.tlsa import Matching, Tlsa, Usage, agile, parse_all

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

CHAIN_LIMIT: Final = 10  # certificates looked at; real chains have two to four
RECORDS_LIMIT: Final = 50  # compared; each may cost signatures, and nobody needs more than four
_DIGESTS: Final[Mapping[int, Any]] = {
    Matching.SHA256: hashlib.sha256,
    Matching.SHA512: hashlib.sha512,
}


class Outcome(StrEnum):
    """What DANE says about one server. RFC 7672 section 2.2."""

    NO_TLSA = "no_tlsa"  # proven absent: opportunistic TLS
    INSECURE = "insecure"  # something on the way is not signed: opportunistic TLS
    UNUSABLE = "unusable"  # records, none of use: TLS is needed, whoever answers
    MATCH = "match"
    MISMATCH = "mismatch"  # not to this server
    TEMPERROR = "temperror"  # DNS failed: not to this server now

    @property
    def needs_tls(self) -> bool:
        """Whether going on without TLS is out of the question."""
        return self not in (Outcome.NO_TLSA, Outcome.INSECURE)

    @property
    def may_deliver(self) -> bool:
        """Whether mail may go to the server (over TLS, where ``needs_tls``)."""
        return self not in (Outcome.MISMATCH, Outcome.TEMPERROR)


@dataclass(frozen=True, slots=True)
class Judged:
    """One comparison.

    ``reason`` for MISMATCH: "association" (no record is of these certificates), "name", "expired",
    "not_yet_valid", "path" (trust anchor named, but the leaf does not lead to it) or "no_chain".
    """

    outcome: Outcome
    reason: str = ""
    matched: tuple[Tlsa, ...] = ()
    unmatched: tuple[Tlsa, ...] = ()


def judge_records(
    texts: Sequence[str],
    chain: Sequence[bytes],
    names: Sequence[str] = (),
    at: datetime | None = None,
) -> Judged:
    """The same as ``judge``, of records in presentation form; those unreadable are unusable."""
    if not texts:
        return Judged(Outcome.NO_TLSA)
    return judge(parse_all(texts)[0], chain, names, at)


def judge(
    records: Sequence[Tlsa],
    chain: Sequence[bytes],
    names: Sequence[str] = (),
    at: datetime | None = None,
) -> Judged:
    """Whether any record fits. ``names`` and ``at`` matter to trust anchors alone; ``names`` empty:
    any name will do; ``at`` None: any time."""
    counted = agile(records)[:RECORDS_LIMIT]
    if not counted:
        return Judged(Outcome.UNUSABLE)
    shown = list(chain[:CHAIN_LIMIT])
    if not shown:
        return Judged(Outcome.MISMATCH, "no_chain", (), counted)
    reasons = {record: _reason(record, shown, names, at) for record in counted}
    matched = tuple(record for record in counted if not reasons[record])
    unmatched = tuple(record for record in counted if reasons[record])
    if matched:
        return Judged(Outcome.MATCH, "", matched, unmatched)
    # the record that came closest tells most
    closest = next((r for r in reasons.values() if r != "association"), "association")
    return Judged(Outcome.MISMATCH, closest, (), unmatched)


def _reason(record: Tlsa, chain: list[bytes], names: Sequence[str], at: datetime | None) -> str:
    """Why a record does not fit; "" where it does."""
    if record.usage == Usage.DANE_EE:  # RFC 7672 section 3.1.1: no name, no date
        return "" if associated(record, chain[0]) else "association"
    return _anchored(record, chain, names, at)


def associated(record: Tlsa, der: bytes) -> bool:
    """Whether a record is of this certificate. RFC 6698 section 2.1."""
    content = der if record.selector == 0 else public_key(der)
    if content is None:
        return False
    digest = _DIGESTS.get(record.matching)
    return bool((digest(content).digest() if digest else content) == record.data)


def public_key(der: bytes) -> bytes | None:
    """The SubjectPublicKeyInfo of a certificate, or None."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    certificate = load(der)
    if certificate is None:
        return None
    try:
        key = certificate.public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def load(der: bytes) -> Certificate | None:
    """A certificate, or None."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _anchored(record: Tlsa, chain: list[bytes], names: Sequence[str], at: datetime | None) -> str:
    """RFC 7672 section 3.1.2: a path from the leaf to the anchor, names and dates checked."""
    anchors = [der for der in chain[1:] if associated(record, der)]
    if record.selector == 0 and record.matching == Matching.FULL and not anchors:
        anchors = [record.data]  # the record brings the anchor along
    if not anchors:
        return "association"
    leaf = load(chain[0])
    if leaf is None:
        return "path"
    known = [c for c in (load(der) for der in (*chain[1:], *anchors)) if c is not None]
    wanted = {c for c in (load(der) for der in anchors) if c is not None}
    path = _path(leaf, known, wanted)
    if path is None:
        return "path"
    if names and not any(_named(leaf, name) for name in names):  # section 3.2
        return "name"
    return _dates(path, at)


def _path(
    leaf: Certificate, known: list[Certificate], wanted: set[Certificate]
) -> list[Certificate] | None:
    """The certificates from the leaf up to an anchor, each signed by the next."""
    path, current = [leaf], leaf
    while True:
        issuers = [c for c in known if c not in path and _issued(current, c, len(path) - 1)]
        if not issuers:
            return None
        current = next((c for c in issuers if c in wanted), issuers[0])
        path.append(current)
        if current in wanted:
            return path


def _issued(certificate: Certificate, issuer: Certificate, below: int) -> bool:
    """Whether ``issuer`` may sign, and did. ``below``: CA certificates between it and the leaf."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not basic.ca or (basic.path_length is not None and basic.path_length < below):
            return False  # RFC 5280 section 4.2.1.9
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False
    return True


def _dates(path: Sequence[Certificate], at: datetime | None) -> str:
    if at is None:
        return ""
    for certificate in path:
        if at > certificate.not_valid_after_utc:
            return "expired"
        if at < certificate.not_valid_before_utc:
            return "not_yet_valid"
    return ""


def _named(leaf: Certificate, name: str) -> bool:
    """Section 3.2.3: DNS names, of which "*." may stand for one label; else the common name."""
    wanted = name.lower().removesuffix(".")
    return any(_fits(claimed, wanted) for claimed in certificate_names(leaf))


def certificate_names(certificate: Certificate) -> list[str]:
    """Its DNS names; its common name where it has none."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        found = extension.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        found = []
    except x509.UnsupportedGeneralNameType:
        found = []
    if found:
        return found
    try:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return []
    return [str(attribute.value) for attribute in common[:1]]


def _fits(claimed: str, wanted: str) -> bool:
    pattern = claimed.lower().removesuffix(".")
    if pattern.startswith("*."):
        return wanted.partition(".")[2] == pattern[2:] and not wanted.startswith(".")
    return pattern == wanted
