"""The assertion record: where the logo is, and who vouches for it. Sections 4.3 and 4.4.

Enters: a domain and a selector, and answers to the questions. Leaves: ``Asserted``. ``parse`` fails
with RecordError alone. Receivers may repair nothing: one mistake and there is no logo.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from posthouse.protocol.dns import Ask, Query
from posthouse.protocol.host import HostError, parse_ip, to_ascii
from posthouse.protocol.taglist import TagListError, parse_tags

VERSION: Final = "BIMI1"
DEFAULT_SELECTOR: Final = "default"
URL_LIMIT: Final = 2_000  # characters; certificate makers use some hundred

_BEGINS: Final = re.compile(r"[ \t]*v[ \t]*=[ \t]*BIMI1[ \t]*(?:;|$)", re.ASCII)
_URL: Final = re.compile(r"[!#$%&'()*+\-./0-9:;=?@A-Z\[\]_a-z~]+", re.ASCII)  # RFC 3986, no comma


class RecordError(Exception):
    """Text that is no BIMI record. ``reason`` is a stable id, ``tag`` the tag it is about.

    Reasons: ``version``, ``not_tags``, ``no_location``, ``url``, ``not_https``, ``host``,
    ``too_long``, ``evidence_alone``.
    """

    def __init__(self, reason: str, tag: str = "") -> None:
        super().__init__(f"{reason}: {tag}" if tag else reason)
        self.reason = reason
        self.tag = tag


@dataclass(frozen=True, slots=True)
class Record:
    """One record. Empty ``location`` and ``evidence``: the domain declines to show a logo."""

    text: str
    location: str
    evidence: str = ""
    preference: str = "brand"  # or "personal": the sender's own picture first
    local_part_selector: bool = False
    odd: tuple[str, ...] = ()  # tags whose value has no meaning and is passed over

    @property
    def declined(self) -> bool:
        """Section 4.3.1."""
        return not self.location and not self.evidence


class Found(StrEnum):
    """How the question came out."""

    ONE = "one"
    NONE = "none"
    SEVERAL = "several"
    INVALID = "invalid"
    FAILED = "failed"  # DNS did not answer


@dataclass(frozen=True, slots=True)
class Asserted:
    """What stands in DNS. ``name`` is where it was found, or looked for first."""

    domain: str
    name: str
    found: Found
    record: Record | None = None
    error: RecordError | None = None
    texts: tuple[str, ...] = ()
    status: str = ""  # of DNS


def record_name(domain: str, selector: str = DEFAULT_SELECTOR) -> str:
    """Where a record stands."""
    return f"{selector}._bimi.{domain}"


def is_record(text: str) -> bool:
    """Whether a record counts at all; others are passed over."""
    return _BEGINS.match(text) is not None


def lookup(
    domain: str, selector: str = DEFAULT_SELECTOR, *, organizational: str = ""
) -> Query[Asserted]:
    """The record of ``domain``; where it has none, that of its organizational domain."""
    first = yield from _ask(domain, selector)
    other = organizational.lower().removesuffix(".")
    if first.found is not Found.NONE or not other or other == domain.lower().removesuffix("."):
        return first
    second = yield from _ask(other, selector)
    return first if second.found is Found.NONE else second


def _ask(domain: str, selector: str) -> Query[Asserted]:
    try:
        host = to_ascii(domain)
    except HostError:
        return Asserted(domain, record_name(domain, selector), Found.NONE)
    name = record_name(host, selector)
    answer = yield Ask(name, "TXT")
    if answer.failed:
        return Asserted(domain, name, Found.FAILED, status=answer.status)
    texts = tuple(text for text in answer.records if is_record(text))
    meant = texts or tuple(text for text in answer.records if "bimi" in text[:40].lower())
    if not meant:
        return Asserted(domain, name, Found.NONE, status=answer.status)
    if len(texts) > 1:  # section 7.2: none of them counts
        return Asserted(domain, name, Found.SEVERAL, None, None, texts, answer.status)
    try:
        return Asserted(domain, name, Found.ONE, parse(meant[0]), None, meant, answer.status)
    except RecordError as error:
        return Asserted(domain, name, Found.INVALID, None, error, meant, answer.status)


def parse(text: str) -> Record:
    """The record in ``text``. Raises RecordError."""
    if not is_record(text):
        raise RecordError("version", "v")
    try:
        tags = parse_tags(text)
    except TagListError as error:
        raise RecordError("not_tags", error.name) from None
    if "l" not in tags:
        raise RecordError("no_location", "l")
    location = _url(tags["l"].value, "l")
    evidence = _url(tags["a"].value, "a") if "a" in tags else ""
    if evidence and not location:
        raise RecordError("evidence_alone", "l")
    preference = tags["avp"].value if "avp" in tags else "brand"
    odd = ["avp"] if preference not in ("brand", "personal") else []
    selector = tags["lps"].value if "lps" in tags else "false"
    odd += ["lps"] if selector not in ("true", "false") else []
    kept = "brand" if "avp" in odd else preference
    return Record(text, location, evidence, kept, selector == "true", tuple(odd))


def _url(value: str, tag: str) -> str:
    if not value:
        return ""
    if len(value) > URL_LIMIT:
        raise RecordError("too_long", tag)
    if not _URL.fullmatch(value):  # also where several stand there, parted by commas
        raise RecordError("url", tag)
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise RecordError("url", tag) from None
    if parts.scheme.lower() != "https":
        raise RecordError("not_https", tag)
    if parse_ip(host) is not None or "." not in host:
        raise RecordError("host", tag)
    try:
        to_ascii(host)
    except HostError:
        raise RecordError("host", tag) from None
    return value
