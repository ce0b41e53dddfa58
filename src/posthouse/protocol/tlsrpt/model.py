"""A TLS report as facts. RFC 8460 section 4.

Enters: nothing. Leaves: ``TlsReport`` and its parts. Nothing fails. "" is "not told".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

POLICY_TYPES: Final = frozenset({"tlsa", "sts", "no-policy-found"})
# Section 4.3; others are kept as they come.
RESULT_TYPES: Final = frozenset(
    {
        "starttls-not-supported",
        "certificate-host-mismatch",
        "certificate-expired",
        "certificate-not-trusted",
        "validation-failure",
        "tlsa-invalid",
        "dnssec-invalid",
        "dane-required",
        "sts-policy-fetch-error",
        "sts-policy-invalid",
        "sts-webpki-invalid",
    }
)


class Note(NamedTuple):
    """One thing that is not as it should be. Its words are "tlsrpt.note.<id>"."""

    id: str
    params: Mapping[str, Any]


# Every id of a Note, with the params its words may use.
NOTE_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "word_unknown": ("field", "value"),
    "number": ("field", "value"),
    "date": ("field", "value"),
    "address": ("value",),
    "missing": ("field",),
    "kind": ("field",),
    "range_reversed": (),
    "over": ("field", "limit"),
    "sum_differs": ("told", "counted"),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Sessions that failed alike. Section 4.4, failure-details."""

    result_type: str
    count: int
    sending_mta_ip: str = ""
    receiving_mx_hostname: str = ""
    receiving_mx_helo: str = ""
    receiving_ip: str = ""
    additional_information: str = ""
    reason_code: str = ""


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """What happened under one policy: sessions, and failures."""

    policy_type: str
    policy_domain: str = ""
    policy_string: tuple[str, ...] = ()
    mx_hosts: tuple[str, ...] = ()
    successes: int = 0
    failures: int = 0  # sessions
    details: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsReport:
    """One report, about one day of one sender."""

    organization: str
    report_id: str
    start: datetime | None
    end: datetime | None
    policies: tuple[PolicyReport, ...]
    contact: str = ""
    notes: tuple[Note, ...] = ()
