"""What many aggregate reports say together.

Enters: ``AggregateReport``s of one domain or several. Leaves: ``Summary`` (totals, each source,
each day, the worst sources) and ``rollout.Evidence``. Called by whoever watches a domain. Pure
functions; nothing fails. A report that comes twice counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from posthouse.protocol.dmarc.report.model import AggregateReport, ReportRecord
from posthouse.protocol.dmarc.rollout import Evidence
from posthouse.protocol.dmarc.walk import is_within

DAY: Final = 86_400  # seconds
TOP: Final = 20
# Overrides that say the message came another way, which breaks SPF or DKIM and is nobody's fault.
MAILING_LIST: Final = "mailing_list"
INDIRECT: Final = frozenset({MAILING_LIST, "forwarded", "trusted_forwarder"})


@dataclass(frozen=True, slots=True)
class Source:
    """All messages from one address."""

    ip: str
    count: int
    passed: int
    spf_aligned: int
    dkim_aligned: int
    dispositions: Mapping[str, int]
    reasons: Mapping[str, int]
    domains: tuple[str, ...]  # of From

    @property
    def failed(self) -> int:
        """Messages that failed DMARC."""
        return self.count - self.passed


@dataclass(frozen=True, slots=True)
class Day:
    """All messages of one day, UTC: of the reports whose middle lies in it."""

    day: date
    count: int
    passed: int
    spf_aligned: int
    dkim_aligned: int

    @property
    def share(self) -> float:
        """Messages that passed, of a hundred."""
        return 100 * self.passed / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole. ``sources`` with the most messages first; ``failing`` those with failures."""

    reports: int
    reporters: tuple[str, ...]
    domains: tuple[str, ...]  # policy domains
    begin: int
    end: int
    messages: int
    passed: int
    spf_aligned: int
    dkim_aligned: int
    dispositions: Mapping[str, int]
    reasons: Mapping[str, int]
    sources: tuple[Source, ...]
    days: tuple[Day, ...]

    @property
    def failed(self) -> int:
        """Messages that failed DMARC."""
        return self.messages - self.passed

    @property
    def share(self) -> float:
        """Messages that passed, of a hundred."""
        return 100 * self.passed / self.messages if self.messages else 0.0

    @property
    def failing(self) -> tuple[Source, ...]:
        """The sources with the most failures, at most ``TOP``."""
        bad = sorted((one for one in self.sources if one.failed), key=lambda one: -one.failed)
        return tuple(bad[:TOP])


class _Tally:
    """Counters of some records."""

    __slots__ = ("count", "dispositions", "dkim", "domains", "passed", "reasons", "spf")

    def __init__(self) -> None:
        self.count = self.passed = self.spf = self.dkim = 0
        self.dispositions: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.domains: dict[str, None] = {}

    def add(self, record: ReportRecord) -> None:
        self.count += record.count
        self.passed += record.count * record.passed
        self.spf += record.count * (record.spf == "pass")
        self.dkim += record.count * (record.dkim == "pass")
        self.dispositions[record.disposition] += record.count
        for kind in _overrides(record):
            self.reasons[kind] += record.count
        self.domains[record.header_from.lower()] = None


def summary(reports: Iterable[AggregateReport]) -> Summary:
    """The reports together."""
    unique = list(_unique(reports))
    whole, sources, days = _Tally(), dict[str, _Tally](), dict[date, _Tally]()
    for report in unique:
        day = days.setdefault(_day(report), _Tally())
        for record in report.records:
            source = sources.setdefault(record.source_ip, _Tally())
            for tally in (whole, source, day):
                tally.add(record)
    ranked = sorted(sources.items(), key=lambda item: (-item[1].count, item[0]))
    return Summary(
        len(unique),
        tuple(sorted({report.metadata.org_name for report in unique})),
        tuple(sorted({report.published.domain.lower() for report in unique})),
        min((report.metadata.begin for report in unique), default=0),
        max((report.metadata.end for report in unique), default=0),
        whole.count,
        whole.passed,
        whole.spf,
        whole.dkim,
        dict(whole.dispositions),
        dict(whole.reasons),
        tuple(_source(ip, tally) for ip, tally in ranked),
        tuple(
            Day(day, one.count, one.passed, one.spf, one.dkim) for day, one in sorted(days.items())
        ),
    )


def _source(ip: str, tally: _Tally) -> Source:
    return Source(
        ip,
        tally.count,
        tally.passed,
        tally.spf,
        tally.dkim,
        dict(tally.dispositions),
        dict(tally.reasons),
        tuple(tally.domains),
    )


def _unique(reports: Iterable[AggregateReport]) -> Iterator[AggregateReport]:
    """RFC 9990 section 3.5.4: the Report-ID is unique among reports to one domain."""
    seen: set[tuple[str, ...]] = set()
    for report in reports:
        data = report.metadata
        key = (data.org_name, data.email, data.report_id, report.published.domain.lower())
        if key not in seen:
            seen.add(key)
            yield report


def _day(report: AggregateReport) -> date:
    """The day most of its period is in."""
    return _utc((report.metadata.begin + report.metadata.end) // 2)


def _utc(seconds: int) -> date:
    try:
        return datetime.fromtimestamp(seconds, UTC).date()
    except (ValueError, OverflowError, OSError):
        return date.min


def evidence(
    reports: Iterable[AggregateReport],
    known: Callable[[ReportRecord], bool | None] = lambda record: None,
) -> Evidence:
    """What the reports say for or against a stricter policy.

    ``known`` is the owner's word on a record: True for a sender of theirs, False for a stranger
    looked at, None for one nobody has looked at. What passes is theirs unless they say no: only
    they can sign and be listed. What fails on its way through a list or forwarder counts apart.
    """
    unique = list(_unique(reports))
    found: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    strangers: set[str] = set()
    for report in unique:
        for record in report.records:
            kind = _kind(record, known(record))
            found[kind] += record.count
            found["lists"] += record.count * (MAILING_LIST in _overrides(record))
            if kind == "unknown":
                strangers.add(record.source_ip)
            elif kind in ("passing", "failing"):
                found["spf"] += record.count * _breaks_spf(record, report.published.domain)
                sources[record.source_ip] += record.count * (kind == "failing")
    days = {_day(report) for report in unique if report.records}
    return Evidence(
        _period(unique),
        len(days),
        found["passing"] + found["failing"],
        found["failing"],
        found["spf"],
        found["unknown"],
        len(strangers),
        found["lists"],
        tuple((+sources).most_common(TOP)),
    )


def _kind(record: ReportRecord, word: bool | None) -> str:
    """What a record is evidence of: "passing", "failing", "unknown", or "" for nothing."""
    if word is False:
        return ""
    if record.passed:
        return "passing"
    if _overrides(record) & INDIRECT:
        return ""
    return "failing" if word else "unknown"


def _overrides(record: ReportRecord) -> set[str]:
    return {reason.type for reason in record.reasons}


def _breaks_spf(record: ReportRecord, domain: str) -> bool:
    """SPF of the domain itself, or of one below, did not pass: -all would have spoken here."""
    results = [one for one in record.spf_results if is_within(one.domain.lower(), domain.lower())]
    return bool(results) and all(one.result != "pass" for one in results)


def _period(reports: list[AggregateReport]) -> int:
    """Days from the first second reported to the last, begun days whole."""
    if not reports:
        return 0
    begin = min(report.metadata.begin for report in reports)
    end = max(report.metadata.end for report in reports)
    return timedelta(seconds=max(0, end - begin) + DAY - 1).days
