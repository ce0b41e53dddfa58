"""A feedback report as facts. RFC 5965 section 3, RFC 6591 section 3, RFC 9991 section 4.

Enters: nothing. Leaves: ``FeedbackReport``. Nothing fails. "" is "not told" everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

# The registered types. Others are kept as they come.
FEEDBACK_TYPES: Final = frozenset(
    {"abuse", "fraud", "virus", "other", "not-spam", "auth-failure", "opt-out", "opt-out-list"}
)
AUTH_FAILURES: Final = frozenset({"adsp", "bodyhash", "revoked", "signature", "spf", "dmarc"})
DELIVERY_RESULTS: Final = frozenset({"delivered", "spam", "policy", "reject", "other"})


class Note(NamedTuple):
    """One thing that is not as it should be. Its words are "dmarc.feedback.<id>"."""

    id: str
    params: Mapping[str, Any]


# Every id of a Note, with the params its words may use.
NOTE_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "no_feedback_part": (),
    "type_unknown": ("value",),
    "word_unknown": ("field", "value"),
    "address": ("value",),
    "number": ("field", "value"),
    "date": ("value",),
    "field_missing": ("field",),
    "repeated": ("field",),
    "no_message": (),
}


@dataclass(frozen=True, slots=True)
class FeedbackReport:
    """One report, about one message or several that are alike (``incidents``)."""

    feedback_type: str  # lower case
    user_agent: str = ""
    version: str = "1"
    incidents: int = 1
    source_ip: str = ""  # in its plain form
    source_port: int = 0  # RFC 6692; 0: not told
    arrival: datetime | None = None
    original_mail_from: str | None = None  # "": the null sender
    original_rcpt_to: tuple[str, ...] = ()
    original_envelope_id: str = ""
    reporting_mta: str = ""
    reported_domains: tuple[str, ...] = ()
    reported_uris: tuple[str, ...] = ()
    authentication_results: tuple[str, ...] = ()
    # RFC 6591
    auth_failure: str = ""
    delivery_result: str = ""
    # RFC 9991: the mechanisms that did not authenticate an aligned identifier: "dkim", "spf".
    identity_alignment: tuple[str, ...] | None = None  # (): "none"; None: not told
    dkim_domain: str = ""
    dkim_identity: str = ""
    dkim_selector: str = ""
    dkim_selector_dns: str = ""
    dkim_adsp_dns: str = ""
    dkim_canonicalized_header: bytes = field(default=b"", repr=False)
    dkim_canonicalized_body: bytes = field(default=b"", repr=False)
    spf_dns: tuple[str, ...] = ()
    # What else the mail holds
    other: tuple[tuple[str, str], ...] = ()  # fields no RFC names
    original: bytes = field(default=b"", repr=False)  # the message, or its headers
    headers_only: bool = False
    text: str = field(default="", repr=False)  # for people
    subject: str = ""
    notes: tuple[Note, ...] = ()
