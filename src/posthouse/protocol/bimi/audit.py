"""What keeps a domain's logo from being shown.

Enters: the record, what DMARC says, the logo and the mark certificate where someone fetched them.
Leaves: findings, "bimi.dmarc_weak" for example; their words are "bimi.finding.<rest>". Nothing
fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from posthouse.flow import Finding, Status
from posthouse.protocol.bimi.mark import check_mark
from posthouse.protocol.bimi.record import Asserted, Found, Record
from posthouse.protocol.bimi.svg import check_logo

STRONG: Final = ("quarantine", "reject")
_WHOLE: Final = 100  # percent

_LINE: Final = ("element", "line")
# Every id of a finding, here, in ``svg`` and in ``mark``, with the params its words may use.
FINDING_IDS: Final = {
    "bimi.none": ("domain", "name"),
    "bimi.several": ("name", "count"),
    "bimi.syntax": ("name", "record", "reason", "tag"),
    "bimi.dns_failed": ("name", "status"),
    "bimi.declined": ("name",),
    "bimi.no_evidence": ("name",),
    "bimi.odd_tag": ("name", "tags"),
    "bimi.format": ("name", "url"),
    "bimi.ok": ("domain", "name"),
    "bimi.dmarc_missing": ("domain",),
    "bimi.dmarc_weak": ("domain", "policy"),
    "bimi.dmarc_subdomains": ("domain", "policy"),
    "bimi.dmarc_share": ("domain", "percent"),
    "bimi.dmarc_testing": ("domain",),
    "bimi.logo_fetch": ("url", "problem"),
    "bimi.mark_fetch": ("url", "problem"),
    "bimi.svg_too_big": ("limit",),
    "bimi.svg_xml": ("reason", "line"),
    "bimi.svg_doctype": ("line",),
    "bimi.svg_root": ("element",),
    "bimi.svg_namespace": (),
    "bimi.svg_profile": ("profile",),
    "bimi.svg_version": ("version",),
    "bimi.svg_position": ("names",),
    "bimi.svg_title": (),
    "bimi.svg_title_long": ("length", "limit"),
    "bimi.svg_view_box": ("value",),
    "bimi.svg_not_square": ("width", "height"),
    "bimi.svg_script": _LINE,
    "bimi.svg_animation": _LINE,
    "bimi.svg_raster": _LINE,
    "bimi.svg_element": _LINE,
    "bimi.svg_style": _LINE,
    "bimi.svg_external": (*_LINE, "value"),
    "bimi.svg_large": ("size", "limit"),
    "bimi.mark_unreadable": ("reason",),
    "bimi.mark_usage": ("oid",),
    "bimi.mark_no_logo": (),
    "bimi.mark_name": ("domain", "names"),
    "bimi.mark_expired": ("date",),
    "bimi.mark_not_yet_valid": ("date",),
    "bimi.mark_expires_soon": ("date", "days"),
    "bimi.mark_logo_differs": (),
    "bimi.mark_ok": ("mark", "issuer", "date"),
}


@dataclass(frozen=True, slots=True)
class Dmarc:
    """What BIMI needs to know of the DMARC record of one domain."""

    domain: str
    policy: str  # p=
    subdomain_policy: str = ""  # sp=, "" where it is not there
    percent: int = _WHOLE  # pct=, which RFC 9989 no longer has
    testing: bool = False  # t=y of RFC 9989


def finding(id_: str, status: Status, /, **params: Any) -> Finding:
    """One finding; its params are those ``FINDING_IDS`` names."""
    return Finding(f"bimi.{id_}", status, None, params)


def prerequisites(domain: str, dmarc: Dmarc | None) -> tuple[Finding, ...]:
    """Section 8: without an enforcing DMARC policy no logo is shown."""
    if dmarc is None:
        return (finding("dmarc_missing", Status.FAIL, domain=domain),)
    return tuple(_policy(dmarc))


def _policy(dmarc: Dmarc) -> Iterator[Finding]:
    domain, policy, below = dmarc.domain, dmarc.policy.lower(), dmarc.subdomain_policy.lower()
    if policy not in STRONG:
        yield finding("dmarc_weak", Status.FAIL, domain=domain, policy=policy)
    if below and below not in STRONG:
        yield finding("dmarc_subdomains", Status.FAIL, domain=domain, policy=below)
    if policy == "quarantine" and dmarc.percent < _WHOLE:
        yield finding("dmarc_share", Status.FAIL, domain=domain, percent=dmarc.percent)
    if dmarc.testing:
        yield finding("dmarc_testing", Status.FAIL, domain=domain)


def audit(
    asserted: Asserted,
    dmarc: Dmarc | None,
    *,
    logo: bytes | str | None = None,
    mark: bytes | str | None = None,
    now: datetime | None = None,
    organizational: str = "",
) -> tuple[Finding, ...]:
    """All there is to say. ``logo`` and ``mark``: what was fetched, or a word for why it was not
    ("status", "certificate"...); None: nobody looked. ``now`` judges the certificate's dates."""
    found = [*_record(asserted)]
    record = asserted.record
    if record is None or record.declined:
        return tuple(found)
    found += prerequisites(asserted.domain, dmarc)
    if isinstance(logo, str):
        found.append(finding("logo_fetch", Status.FAIL, url=record.location, problem=logo))
    elif logo is not None:
        found += check_logo(logo).findings
    if not record.evidence:
        found.append(finding("no_evidence", Status.WARN, name=asserted.name))
    elif isinstance(mark, str):
        found.append(finding("mark_fetch", Status.FAIL, url=record.evidence, problem=mark))
    elif mark is not None and now is not None:
        picture = logo if isinstance(logo, bytes) else None
        found += check_mark(mark, asserted.domain, now, logo=picture, organizational=organizational)
    if not any(each.status in (Status.FAIL, Status.UNKNOWN) for each in found):
        found.append(finding("ok", Status.OK, domain=asserted.domain, name=asserted.name))
    return tuple(found)


def _record(asserted: Asserted) -> Iterator[Finding]:
    name, record, error = asserted.name, asserted.record, asserted.error
    match asserted.found:
        case Found.FAILED:
            yield finding("dns_failed", Status.UNKNOWN, name=name, status=asserted.status)
        case Found.NONE:
            yield finding("none", Status.SKIPPED, domain=asserted.domain, name=name)
        case Found.SEVERAL:
            yield finding("several", Status.FAIL, name=name, count=len(asserted.texts))
        case Found.INVALID if error is not None:
            params = {"record": asserted.texts[0][:200], "reason": error.reason, "tag": error.tag}
            yield finding("syntax", Status.FAIL, name=name, **params)
        case Found.ONE if record is not None:
            yield from _tags(name, record)


def _tags(name: str, record: Record) -> Iterator[Finding]:
    if record.declined:
        yield finding("declined", Status.OK, name=name)
    if record.odd:
        yield finding("odd_tag", Status.WARN, name=name, tags=list(record.odd))
    path = urlsplit(record.location).path.lower()
    if record.location and "." in path and not path.endswith((".svg", ".svgz")):  # section 4.3.2
        yield finding("format", Status.WARN, name=name, url=record.location)
