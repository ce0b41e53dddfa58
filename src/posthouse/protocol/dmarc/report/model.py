"""A DMARC aggregate report as facts. RFC 9990 section 3.1 and appendix A; RFC 7489 appendix C.

Enters: nothing. Leaves: ``AggregateReport`` and its parts. Made by ``read`` and by the receiving
side; written by ``write``. Nothing fails.

Results are words in lower case, as reports have them: those of the RFCs, and in reports from
others what they put there. "" is always "not told".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

NAMESPACE: Final = "urn:ietf:params:xml:ns:dmarc-2.0"
# Words of the schemas; a report may have others, and they are kept.
DISPOSITIONS: Final = frozenset({"none", "pass", "quarantine", "reject"})
POLICIES: Final = frozenset({"none", "quarantine", "reject"})
DKIM_RESULTS: Final = frozenset(
    {"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"}
)
SPF_RESULTS: Final = frozenset(
    {"none", "pass", "fail", "softfail", "policy", "neutral", "temperror", "permerror"}
)
REASONS: Final = frozenset(
    {"local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder"}
)
# RFC 7489 knew two more; RFC 9990 took them out with pct.
OLD_REASONS: Final = frozenset({"forwarded", "sampled_out"})


class Note(NamedTuple):
    """One thing repaired or left out while reading. Its words are "dmarc.report.<id>"."""

    id: str
    params: Mapping[str, Any]


# Every id of a Note, with the params its words may use.
NOTE_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "encoding": ("charset",),
    "not_well_formed": ("line",),
    "truncated": (),
    "word_case": ("field", "value"),
    "word_unknown": ("field", "value"),
    "number": ("field", "value"),
    "address": ("value",),
    "record_without_source": ("index",),
    "reason_empty": (),
    "records_over": ("limit",),
    "range_reversed": (),
}


class Extension(NamedTuple):
    """An element no RFC names: where it is defined, and what it is called."""

    name: str
    definition: str = ""
    text: str = ""


class Reason(NamedTuple):
    """Why the published policy was not applied."""

    type: str
    comment: str = ""


class DkimResult(NamedTuple):
    """DKIM of one signature, before alignment."""

    domain: str
    selector: str
    result: str
    human: str = ""


class SpfResult(NamedTuple):
    """SPF, before alignment. ``scope``: "mfrom"; "helo" in old reports."""

    domain: str
    result: str
    scope: str = ""
    human: str = ""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who reports, about when: seconds since 1970, UTC, both ends inclusive."""

    org_name: str
    email: str
    report_id: str
    begin: int
    end: int
    extra_contact_info: str = ""
    errors: tuple[str, ...] = ()  # RFC 9990 has one at most
    generator: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """The record the reporter saw. ``pct`` is RFC 7489's, None where it is not told."""

    domain: str
    p: str = ""
    sp: str = ""
    np: str = ""
    adkim: str = ""
    aspf: str = ""
    fo: str = ""
    testing: str = ""  # "y", "n"
    discovery_method: str = ""  # "treewalk", "psl"
    pct: int | None = None


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """Messages that were alike: from one address, with one outcome.

    ``dkim`` and ``spf`` are the aligned results ("pass", "fail"); what was found before alignment
    is in ``dkim_results`` and ``spf_results``.
    """

    source_ip: str
    count: int
    disposition: str
    dkim: str
    spf: str
    header_from: str
    envelope_from: str | None = None  # None: not told; "": the null sender
    envelope_to: str = ""
    reasons: tuple[Reason, ...] = ()
    dkim_results: tuple[DkimResult, ...] = ()
    spf_results: tuple[SpfResult, ...] = ()
    extensions: tuple[Extension, ...] = ()

    @property
    def passed(self) -> bool:
        """The messages passed DMARC."""
        return "pass" in (self.dkim, self.spf)


@dataclass(frozen=True, slots=True)
class AggregateReport:
    """One report. ``notes`` is empty for a report without fault."""

    metadata: Metadata
    published: Published
    records: tuple[ReportRecord, ...]
    version: str = ""
    namespace: str = ""
    extensions: tuple[Extension, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def messages(self) -> int:
        """All messages reported."""
        return sum(record.count for record in self.records)
