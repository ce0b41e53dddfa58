"""The record that asks for TLS reports. RFC 8460 section 3.

Enters: the text of a TXT record at _smtp._tls.<domain>, or the answer to that question. Leaves:
``Record``, findings, or the text of a record. Fails with RecordError, and ValueError where a
record can't be written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol.dmarc import ReportUri, report_uri
from posthouse.protocol.dns import Ask, Query
from posthouse.protocol.taglist import TagListError, parse_tags

URIS_LIMIT: Final = 20
_VERSION: Final = re.compile(r"v=TLSRPTv1[ \t]*(?:;|\Z)")

# Every id of a finding, with the params its words may use.
FINDING_IDS: Final = {
    "tlsrpt.none": ("domain",),
    "tlsrpt.several": ("domain", "count"),
    "tlsrpt.dns_failed": ("name", "status"),
    "tlsrpt.syntax": ("domain", "reason", "position"),
    "tlsrpt.uri": ("text",),
    "tlsrpt.published": ("count",),
}


class RecordError(Exception):
    """Text that is no TLSRPT record.

    Reasons: ``version``, ``tags``, ``rua`` (missing, or no URI that can be used).
    """

    def __init__(self, reason: str, position: int = 0) -> None:
        super().__init__(f"{reason} at {position}")
        self.reason = reason
        self.position = position


@dataclass(frozen=True, slots=True)
class Record:
    """Where reports go: mailto and https. ``bad`` are the URIs that are none of them."""

    text: str
    uris: tuple[ReportUri, ...]
    bad: tuple[str, ...] = ()
    extensions: tuple[tuple[str, str], ...] = ()


def is_record(text: str) -> bool:
    """Whether a TXT record is one of TLSRPT. Others at the name are discarded (section 3)."""
    return _VERSION.match(text) is not None


def parse(text: str) -> Record:
    """The record. Raises RecordError."""
    if not is_record(text):
        raise RecordError("version")
    try:
        tags = parse_tags(text)
    except TagListError as error:
        raise RecordError("tags", error.position) from None
    rua = tags.get("rua")
    if rua is None:
        raise RecordError("rua", len(text))
    uris: list[ReportUri] = []
    bad: list[str] = []
    for part in rua.value.split(","):
        uri = report_uri(part.strip())
        if uri is not None and (uri.usable or uri.uri.lower().startswith("https://")):
            uris.append(uri)
        else:
            bad.append(part.strip()[:100])
    if not uris:
        raise RecordError("rua", rua.position)
    rest = tuple((tag.name, tag.value) for tag in tags.values() if tag.name not in ("v", "rua"))
    return Record(text, tuple(uris[:URIS_LIMIT]), tuple(bad[:URIS_LIMIT]), rest)


def build(uris: Sequence[ReportUri]) -> str:
    """The text to publish. Raises ValueError without a URI."""
    if not uris:
        raise ValueError("a record needs a URI")
    return "v=TLSRPTv1; rua=" + ",".join(one.uri.replace(";", "%3B") for one in uris)


def fetch(domain: str) -> Query[tuple[Record | None, tuple[Finding, ...]]]:
    """The record of a domain, and what there is to say about it."""
    name = f"_smtp._tls.{domain}"
    answer = yield Ask(name, "TXT")
    if answer.failed:
        return None, (
            _finding("dns_failed", Status.UNKNOWN, name=name, status=answer.status.value),
        )
    texts = [text for text in answer.records if is_record(text)]
    if not texts:
        return None, (_finding("none", Status.WARN, domain=domain),)
    if len(texts) > 1:  # section 3: then the domain has none
        return None, (_finding("several", Status.FAIL, domain=domain, count=len(texts)),)
    try:
        record = parse(texts[0])
    except RecordError as error:
        params = {"domain": domain, "reason": error.reason, "position": error.position}
        return None, (_finding("syntax", Status.FAIL, **params),)
    return record, lint(record)


def lint(record: Record) -> tuple[Finding, ...]:
    """Findings about a record that can be read."""
    bad = (_finding("uri", Status.WARN, text=text) for text in record.bad)
    return (_finding("published", Status.OK, count=len(record.uris)), *bad)


def _finding(id_: str, status: Status, /, **params: Any) -> Finding:
    return Finding(f"tlsrpt.{id_}", status, None, params)
