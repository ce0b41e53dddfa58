"""Writing DMARC aggregate reports. RFC 9990 section 3.1 and appendix A.

Enters: ``AggregateReport``. Leaves: XML that is valid by the RFC's schema, and its gzip. Called by
the receiving side, once a day for each domain with mail. Fails with ValueError where the report
has no record, or a word that the schema does not know.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterator
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from posthouse.protocol.dmarc.report.model import (
    DISPOSITIONS,
    DKIM_RESULTS,
    NAMESPACE,
    POLICIES,
    REASONS,
    SPF_RESULTS,
    AggregateReport,
    DkimResult,
    Extension,
    Metadata,
    Published,
    ReportRecord,
    SpfResult,
)

VERSION: Final = "1.0"  # the only value RFC 9990 section 3.1.1.2 knows
SIGNATURES: Final = 100  # of one record (section 3.1.3)

# What XML 1.0 cannot hold at all (its section 2.2), lone surrogates among them.
_FORBIDDEN: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME: Final = re.compile(r"[A-Za-z_][\w.-]{0,60}", re.ASCII)
_OLD: Final = {"forwarded": "other", "sampled_out": "other"}


def write_xml(report: AggregateReport) -> bytes:
    """The document, UTF-8."""
    if not report.records:
        raise ValueError("a report needs a record")  # section 3.1.1.2: "at least one"
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<feedback xmlns={quoteattr(NAMESPACE)}>"]
    lines.append(f"  <version>{VERSION}</version>")
    lines += _block("report_metadata", _metadata(report.metadata), 1)
    lines += _block("policy_published", _published(report.published), 1)
    if report.extensions:
        lines += _block("extension", _extensions(report.extensions), 1)
    for record in report.records:
        lines += _block("record", _record(record), 1)
    lines.append("</feedback>")
    return ("\n".join(lines) + "\n").encode("utf-8")


def write_gzip(report: AggregateReport) -> bytes:
    """The document as gzip; the same bytes for the same report, so that it can be sent again."""
    engine = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return engine.compress(write_xml(report)) + engine.flush()


def _block(name: str, inner: Iterator[str], depth: int) -> list[str]:
    indent = "  " * depth
    return [f"{indent}<{name}>", *(f"{indent}  {line}" for line in inner), f"{indent}</{name}>"]


def _text(value: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", value), {"\r": "&#13;"})


def _leaf(name: str, value: object) -> str:
    return f"<{name}>{_text(str(value))}</{name}>"


def _word(name: str, value: str, known: Collection[str]) -> str:
    if value not in known:
        raise ValueError(f"{name}: {value[:40]!r} is none of {sorted(known)}")
    return _leaf(name, value)


def _metadata(data: Metadata) -> Iterator[str]:
    yield _leaf("org_name", data.org_name)
    yield _leaf("email", data.email)
    if data.extra_contact_info:
        yield _leaf("extra_contact_info", data.extra_contact_info)
    yield _leaf("report_id", data.report_id)
    yield from _block("date_range", iter((_leaf("begin", data.begin), _leaf("end", data.end))), 0)
    if data.errors:
        yield _leaf("error", "; ".join(data.errors))
    if data.generator:
        yield _leaf("generator", data.generator)


def _published(data: Published) -> Iterator[str]:
    yield _leaf("domain", data.domain)
    yield _word("p", data.p or "none", POLICIES)
    for name, value, known in (
        ("sp", data.sp, POLICIES),
        ("np", data.np, POLICIES),
        ("adkim", data.adkim, ("r", "s")),
        ("aspf", data.aspf, ("r", "s")),
        ("discovery_method", data.discovery_method, ("psl", "treewalk")),
        ("testing", data.testing, ("y", "n")),
    ):
        if value:
            yield _word(name, value, known)
    if data.fo:
        yield _leaf("fo", data.fo)


def _record(record: ReportRecord) -> Iterator[str]:
    yield from _block("row", _row(record), 0)
    yield from _block("identifiers", _identifiers(record), 0)
    yield from _block("auth_results", _results(record), 0)
    yield from _extensions(record.extensions)


def _row(record: ReportRecord) -> Iterator[str]:
    yield _leaf("source_ip", record.source_ip)
    yield _leaf("count", record.count)
    yield from _block("policy_evaluated", _evaluated(record), 0)


def _evaluated(record: ReportRecord) -> Iterator[str]:
    yield _word("disposition", record.disposition, DISPOSITIONS)
    yield _word("dkim", record.dkim, ("pass", "fail"))
    yield _word("spf", record.spf, ("pass", "fail"))
    for reason in record.reasons:
        lines = [_word("type", _OLD.get(reason.type, reason.type), REASONS)]
        if reason.comment:
            lines.append(_leaf("comment", reason.comment))
        yield from _block("reason", iter(lines), 0)


def _identifiers(record: ReportRecord) -> Iterator[str]:
    yield _leaf("header_from", record.header_from)
    if record.envelope_from is not None:  # may be empty: the null sender
        yield _leaf("envelope_from", record.envelope_from)
    if record.envelope_to:
        yield _leaf("envelope_to", record.envelope_to)


def _results(record: ReportRecord) -> Iterator[str]:
    ranked = sorted(record.dkim_results, key=lambda one: _rank(one, record.header_from))
    for one in ranked[:SIGNATURES]:
        yield from _block("dkim", _dkim(one), 0)
    # One at most, and of MAIL FROM (section 3.1.1.13): old reports have several
    for spf in [one for one in record.spf_results if one.scope in ("mfrom", "")][:1]:
        yield from _block("spf", _spf(spf), 0)


def _rank(one: DkimResult, author: str) -> int:
    """Section 2.1.3: which signatures to keep, where there are too many."""
    if one.result != "pass":
        return 3
    if one.domain.lower() == author.lower():
        return 0
    close = author.lower().endswith("." + one.domain.lower())
    return 1 if close or one.domain.lower().endswith("." + author.lower()) else 2


def _dkim(one: DkimResult) -> Iterator[str]:
    yield _leaf("domain", one.domain)
    yield _leaf("selector", one.selector)
    yield _word("result", one.result, DKIM_RESULTS)
    if one.human:
        yield _leaf("human_result", one.human)


def _spf(one: SpfResult) -> Iterator[str]:
    yield _leaf("domain", one.domain)
    yield _leaf("scope", "mfrom")
    yield _word("result", one.result, SPF_RESULTS)
    if one.human:
        yield _leaf("human_result", one.human)


def _extensions(extensions: tuple[Extension, ...]) -> Iterator[str]:
    for one in extensions:
        if not _NAME.fullmatch(one.name) or not one.definition:
            raise ValueError(f"an extension needs a name and a namespace: {one.name[:40]!r}")
        space = quoteattr(_FORBIDDEN.sub("\ufffd", one.definition))
        yield f"<x:{one.name} xmlns:x={space}>{_text(one.text)}</x:{one.name}>"
