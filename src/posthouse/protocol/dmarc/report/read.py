"""Reading DMARC aggregate reports, new ones (RFC 9990), old ones (RFC 7489) and wild ones.

Enters: bytes as they come. Leaves: ``AggregateReport``s, with a note for each thing repaired.
Called through the package. Fails with ReportError alone. Sections and fields are found by name, in
any order and any namespace, as receivers of reports have to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, Final

from posthouse.protocol.dmarc.report.model import (
    DISPOSITIONS,
    DKIM_RESULTS,
    OLD_REASONS,
    POLICIES,
    REASONS,
    SPF_RESULTS,
    AggregateReport,
    DkimResult,
    Extension,
    Metadata,
    Note,
    Published,
    Reason,
    ReportRecord,
    SpfResult,
)
from posthouse.protocol.dmarc.report.unpack import (
    DEFAULT_LIMITS,
    Document,
    Limits,
    ReportError,
    unpack,
)
from posthouse.protocol.dmarc.report.xml import (
    MENDED,
    Element,
    Sections,
    decoded,
    mended,
    parse,
)

VALUE: Final = 4_096  # characters kept of one field: an error text is the longest
NOTES: Final = 100  # of one report; the same mistake often stands in every record
RESULTS: Final = 100  # of one mechanism in one record (RFC 9990 section 3.1.3)
COUNT: Final = 10**12  # messages in one record: more than the whole world sends a day
SECONDS: Final = 253_402_300_799  # the end of the year 9999

_NUMBER: Final = re.compile(r"([0-9]{1,18})(?:\.[0-9]{0,6})?", re.ASCII)
_ALIGNED: Final = frozenset({"pass", "fail"})


def read(raw: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[AggregateReport, ...]:
    """All reports in a file or mail, at least one. Raises ReportError."""
    reports: list[AggregateReport] = []
    error: ReportError | None = None
    for document in unpack(raw, limits):
        if document.is_json:
            continue
        try:
            reports.append(_document(document, limits))
        except ReportError as found:
            error = error or found
    if not reports:
        raise error or ReportError("not_a_report")
    return tuple(reports)


def _document(document: Document, limits: Limits) -> AggregateReport:
    text, charset = decoded(document.data)
    reader = _Reader(limits)
    if charset:
        reader.note("encoding", charset=charset)
    sections = Sections(reader.take, limits.elements)
    line = parse(text, sections)
    if line is not None and not sections.complete and len(text) <= MENDED:
        reader = _Reader(limits, reader.notes[:1] if charset else [])
        sections = Sections(reader.take, limits.elements)
        parse(mended(text), sections)
    if not sections.complete:
        reader.note("truncated")
    if line is not None:
        reader.note("not_well_formed", line=line)
    return reader.report(sections.namespace, well_formed=line is None)


class _Reader:
    """One report on its way in, section by section."""

    def __init__(self, limits: Limits, notes: list[Note] | None = None) -> None:
        self.notes = list(notes or ())
        self._limits = limits
        self._version = ""
        self._metadata: Metadata | None = None
        self._published: Published | None = None
        self._records: list[ReportRecord] = []
        self._extensions: list[Extension] = []

    def note(self, id_: str, /, **params: Any) -> None:
        """Say once what was repaired."""
        note = Note(id_, params)
        if len(self.notes) < NOTES and note not in self.notes:
            self.notes.append(note)

    def report(self, namespace: str, *, well_formed: bool) -> AggregateReport:
        """All that came. Raises ReportError where a part is missing that a report needs."""
        if self._metadata is None and self._published is None and not self._records:
            raise ReportError("not_a_report" if well_formed else "not_xml")
        if self._metadata is None:
            raise ReportError("no_metadata")
        if self._published is None:
            raise ReportError("no_policy")
        if not self._records:
            raise ReportError("no_record")
        return AggregateReport(
            self._metadata,
            self._published,
            tuple(self._records),
            self._version,
            namespace,
            tuple(self._extensions),
            tuple(self.notes),
        )

    def take(self, section: Element) -> None:
        """One child of <feedback>."""
        if section.name == "record":
            if len(self._records) < self._limits.records:
                self._records.append(self._record(section))
            else:
                self.note("records_over", limit=self._limits.records)
        elif section.name == "report_metadata":
            self._metadata = self._metadata or self._meta(section)
        elif section.name == "policy_published":
            self._published = self._published or self._policy(section)
        elif section.name == "version":
            self._version = section.text[:20]
        elif section.name in ("extension", "extensions"):
            self._extensions += _extensions(section)

    def _meta(self, section: Element) -> Metadata:
        period = section.first("date_range") or section
        begin = self._seconds(period.value("begin"), "begin")
        end = self._seconds(period.value("end"), "end")
        if end < begin:
            self.note("range_reversed")
            begin, end = end, begin
        return Metadata(
            _text(section, "org_name"),
            _text(section, "email"),
            _text(section, "report_id"),
            begin,
            end,
            _text(section, "extra_contact_info"),
            tuple(one.text[:VALUE] for one in section.all("error") if one.text)[:RESULTS],
            _text(section, "generator"),
        )

    def _policy(self, section: Element) -> Published:
        percent = section.value("pct")
        return Published(
            _text(section, "domain"),
            self._word(section, "p", POLICIES),
            self._word(section, "sp", POLICIES),
            self._word(section, "np", POLICIES),
            self._word(section, "adkim", frozenset("rs")),
            self._word(section, "aspf", frozenset("rs")),
            _text(section, "fo"),
            self._word(section, "testing", frozenset("yn")),
            self._word(section, "discovery_method", frozenset({"psl", "treewalk"})),
            self._number(percent, "pct", 100) if percent else None,
        )

    def _record(self, section: Element) -> ReportRecord:
        row = section.first("row") or section
        judged = row.first("policy_evaluated") or row
        names = section.first("identifiers") or section.first("identities") or section
        results = section.first("auth_results") or section
        sender = names.first("envelope_from")
        return ReportRecord(
            self._address(row.value("source_ip")),
            self._number(row.value("count"), "count", COUNT),
            self._word(judged, "disposition", DISPOSITIONS),
            self._word(judged, "dkim", _ALIGNED),
            self._word(judged, "spf", _ALIGNED),
            _text(names, "header_from"),
            sender.text[:VALUE] if sender is not None else None,
            _text(names, "envelope_to"),
            tuple(self._reasons(judged))[:RESULTS],
            tuple(self._dkim(one) for one in results.all("dkim") if one.children)[:RESULTS],
            tuple(self._spf(one) for one in results.all("spf") if one.children)[:RESULTS],
            tuple(_record_extensions(section)),
        )

    def _reasons(self, judged: Element) -> Iterator[Reason]:
        for one in judged.all("reason"):
            kind = self._word(one, "type", REASONS | OLD_REASONS)
            reason = Reason(kind, _text(one, "comment"))
            if any(reason):
                yield reason
            else:
                self.note("reason_empty")

    def _dkim(self, one: Element) -> DkimResult:
        return DkimResult(
            _text(one, "domain"),
            _text(one, "selector"),
            self._word(one, "result", DKIM_RESULTS),
            _text(one, "human_result"),
        )

    def _spf(self, one: Element) -> SpfResult:
        return SpfResult(
            _text(one, "domain"),
            self._word(one, "result", SPF_RESULTS),
            self._word(one, "scope", frozenset({"mfrom", "helo"})),
            _text(one, "human_result"),
        )

    def _word(self, parent: Element, name: str, known: frozenset[str]) -> str:
        text = parent.value(name)[:100]
        word = text.lower()
        if word and word not in known:
            self.note("word_unknown", field=name, value=text)
        elif word != text:
            self.note("word_case", field=name, value=text)
        return word

    def _number(self, text: str, field: str, most: int) -> int:
        found = _NUMBER.fullmatch(text)
        if found is None or int(found[1]) > most:
            self.note("number", field=field, value=text[:40])
            return 0
        return int(found[1])

    def _seconds(self, text: str, field: str) -> int:
        """Some write milliseconds."""
        found = _NUMBER.fullmatch(text)
        if found is not None and SECONDS < int(found[1]) <= SECONDS * 1000:
            self.note("number", field=field, value=text[:40])
            return int(found[1]) // 1000
        return self._number(text, field, SECONDS)

    def _address(self, text: str) -> str:
        if not text:
            self.note("record_without_source", index=len(self._records))
            return ""
        try:
            return str(ipaddress.ip_address(text.strip("[]")))
        except ValueError:
            self.note("address", value=text[:100])
            return text[:100]


def _text(parent: Element, name: str) -> str:
    return parent.value(name)[:VALUE]


def _extensions(section: Element) -> Iterator[Extension]:
    """RFC 9990 section 5: elements in a namespace of their own; older: name and definition."""
    for child in section.children[:RESULTS]:
        attributes = child.attributes
        if child.name == "extension" and attributes.get("name"):
            text = " ".join(inner.text for inner in child.children)[:VALUE]
            yield Extension(attributes["name"][:VALUE], attributes.get("definition", ""), text)
        else:
            yield Extension(child.name, child.namespace, child.text[:VALUE])


_RECORD_PARTS: Final = frozenset({"row", "identifiers", "identities", "auth_results"})


def _record_extensions(section: Element) -> Iterator[Extension]:
    for child in section.children:
        if child.name in ("extension", "extensions"):
            yield from _extensions(child)
        elif child.name not in _RECORD_PARTS and child.namespace != section.namespace:
            yield Extension(child.name, child.namespace, child.text[:VALUE])
