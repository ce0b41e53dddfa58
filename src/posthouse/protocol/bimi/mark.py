"""Mark certificates, verified (VMC) or common (CMC): what one says of itself.

Enters: a PEM file as the record's a= names it. Leaves: ``Mark``, and findings. Read, not proven:
the path to a mark authority's root is not looked at. The rules are the Minimum Security
Requirements for Issuance of Mark Certificates; the logo inside is RFC 3709's. Fails with MarkError
alone.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol.bimi.svg import unpacked

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, ExtensionType

FILE_LIMIT: Final = 512 * 1024  # octets: a chain of three with a logo in it has some 30,000
CHAIN_LIMIT: Final = 10
SOON: Final = timedelta(days=30)  # a new one takes days of checks by people
NAMES_SHOWN: Final = 10
BIMI_USAGE: Final = "1.3.6.1.5.5.7.3.31"  # id-kp-BrandIndicatorforMessageIdentification
LOGOTYPE: Final = "1.3.6.1.5.5.7.1.12"  # RFC 3709 section 4.1
MARK_TYPE: Final = "1.3.6.1.4.1.53087.1.13"  # of the subject
_COMMON: Final = ("prior use mark", "modified registered trademark", "modified registered mark")
_EMBEDDED: Final = re.compile(rb"data:image/svg\+xml[^,]{0,80},([A-Za-z0-9+/=]+)")


class MarkError(Exception):
    """Octets that are no mark certificate. ``reason`` is a stable id.

    Reasons: ``too_big``, ``not_pem``, ``unreadable``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Mark:
    """One certificate. ``kind`` is "vmc", "cmc" or "" where it does not say."""

    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    for_bimi: bool
    has_logotype: bool
    logo: bytes | None = None  # the SVG inside, not packed
    kind: str = ""
    mark_type: str = ""
    issuer: str = ""
    chain: int = 1  # certificates in the file


def read_mark(data: bytes) -> Mark:
    """The first certificate of a file. Raises MarkError."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    if len(data) > FILE_LIMIT:
        raise MarkError("too_big")
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise MarkError("not_pem")
    try:
        return _mark(x509.load_pem_x509_certificates(data)[:CHAIN_LIMIT])
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise MarkError("unreadable") from None
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise MarkError("unreadable") from None


def _mark(chain: list[Certificate]) -> Mark:
    from cryptography import x509

    leaf = chain[0]
    names = _extension(leaf, x509.SubjectAlternativeName)
    usages = _extension(leaf, x509.ExtendedKeyUsage)
    logotype = next((e.value for e in leaf.extensions if e.oid.dotted_string == LOGOTYPE), None)
    raw = logotype.value if isinstance(logotype, x509.UnrecognizedExtension) else None
    type_ = _subject(leaf, MARK_TYPE)
    return Mark(
        tuple(n.lower() for n in names.get_values_for_type(x509.DNSName)) if names else (),
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        usages is not None and any(u.dotted_string == BIMI_USAGE for u in usages),
        logotype is not None,
        _logo(raw) if raw is not None else None,
        ("cmc" if type_.lower() in _COMMON else "vmc") if type_ else "",
        type_,
        _organization(leaf),
        len(chain),
    )


def _extension(certificate: Certificate, kind: type[ExtensionType]) -> Any:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _subject(certificate: Certificate, oid: str) -> str:
    found = (a for a in certificate.subject if a.oid.dotted_string == oid)
    return next((str(attribute.value)[:100] for attribute in found), "")


def _organization(certificate: Certificate) -> str:
    from cryptography.x509.oid import NameOID

    found = certificate.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value)[:100] if found else ""


def _logo(extension: bytes) -> bytes | None:
    """The picture in the extension: a data: URL (RFC 6170 section 5), packed or not."""
    found = _EMBEDDED.search(extension)
    if found is None:
        return None
    try:
        return unpacked(base64.b64decode(found[1], validate=True))
    except (binascii.Error, ValueError):
        return None


def _finding(id_: str, status: Status = Status.FAIL, /, **params: Any) -> Finding:
    return Finding(f"bimi.{id_}", status, None, params)


def check_mark(
    data: bytes, domain: str, now: datetime, *, logo: bytes | None = None, organizational: str = ""
) -> tuple[Finding, ...]:
    """All there is to say about a mark certificate. ``logo``: the one the record's l= names."""
    try:
        mark = read_mark(data)
    except MarkError as error:
        return (_finding("mark_unreadable", reason=error.reason),)
    found = [*_purpose(mark), *_names(mark, domain, organizational), *_dates(mark, now)]
    if logo is not None and mark.logo is not None and not _same(mark.logo, logo):
        found.append(_finding("mark_logo_differs"))
    if not any(each.status is Status.FAIL for each in found):
        date = mark.not_after.date().isoformat()
        params = {"mark": mark.kind, "issuer": mark.issuer, "date": date}
        found.append(_finding("mark_ok", Status.OK, **params))
    return tuple(found)


def _purpose(mark: Mark) -> Iterator[Finding]:
    if not mark.for_bimi:
        yield _finding("mark_usage", oid=BIMI_USAGE)
    if not mark.has_logotype:
        yield _finding("mark_no_logo")


def _names(mark: Mark, domain: str, organizational: str) -> Iterator[Finding]:
    """Receivers take the domain, the one it belongs to, and either with its selector in front."""
    wanted = {name.lower().removesuffix(".") for name in (domain, organizational) if name}
    named = {name.partition("._bimi.")[2] or name for name in mark.names}
    if not wanted & named:
        names = list(mark.names[:NAMES_SHOWN])
        yield _finding("mark_name", domain=domain, names=names)


def _dates(mark: Mark, now: datetime) -> Iterator[Finding]:
    date = mark.not_after.date().isoformat()
    if now > mark.not_after:
        yield _finding("mark_expired", date=date)
    elif now < mark.not_before:
        yield _finding("mark_not_yet_valid", date=mark.not_before.date().isoformat())
    elif mark.not_after - now < SOON:
        yield _finding(
            "mark_expires_soon", Status.WARN, date=date, days=(mark.not_after - now).days
        )


def _same(one: bytes, other: bytes) -> bool:
    content = unpacked(other)
    return content is not None and one.split() == content.split()
