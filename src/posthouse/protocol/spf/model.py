"""What comes out of a check, and the limits it keeps. RFC 7208 sections 2.6 and 4.6.4.

Enters: nothing. Leaves: ``Limits``, ``Note`` (one line of the trace) and ``Result``. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from posthouse.protocol.spf.record import Code

# How long all questions of a check may take is the caller's to say: at least 20 s, then
# temperror (section 4.6.4). Answering what is still asked with TIMEOUT gives just that.
LOOKUPS: Final = 10  # terms that ask DNS
VOIDS: Final = 2  # of those, how many may find nothing
MX_NAMES: Final = 10  # address lookups of one mx
PTR_NAMES: Final = 10  # address lookups of one ptr or %{p}; further names are ignored
MAX_EXPLANATION: Final = 1_000  # characters; it is going into a reply line of SMTP
NOTES: Final = 1_000  # of one trace; records with more terms than that are attacks


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of section 4.6.4. A receiver may only loosen ``voids``."""

    lookups: int = LOOKUPS
    voids: int = VOIDS
    mx_names: int = MX_NAMES
    ptr_names: int = PTR_NAMES


DEFAULT_LIMITS: Final = Limits()


class Note(NamedTuple):
    """One step of a check. Its words are "spf.trace.<id>", filled with ``params``.

    ip4 and ip6 terms that stand together and don't match are one step.
    """

    id: str
    depth: int  # includes around it
    domain: str  # whose record is being read
    term: str  # as written there (several for ip_miss); "" where it is about the record
    params: Mapping[str, Any]  # plain JSON values


@dataclass(frozen=True, slots=True)
class Result:
    """How a check came out.

    ``domain`` is whose record decided (another one after redirect), ``term`` the directive that
    matched, "" where none did. ``problem`` is the id of the note that tells why there is no
    verdict (none, temperror, permerror). ``explanation`` is the domain owner's own text for fail:
    printable ASCII, "" where there is none.
    """

    code: Code
    domain: str
    term: str = ""
    problem: str = ""
    explanation: str = ""
    lookups: int = 0
    voids: int = 0
    record: str = ""  # the text of the record that decided
    trace: tuple[Note, ...] = ()


# Every id a Note may have, with the params its words may use.
TRACE_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "domain_malformed": ("name",),
    "record_found": ("record",),
    "record_none": ("name",),
    "record_several": ("name", "count"),
    "record_syntax": ("reason", "position", "text"),
    "dns_failed": ("name", "type", "status"),
    "all": ("result",),
    "ip_match": ("ip", "result"),
    "ip_miss": ("ip",),
    "a_match": ("name", "ip", "result"),
    "a_miss": ("name", "addresses"),
    "mx_match": ("name", "host", "ip", "result"),
    "mx_miss": ("name", "hosts"),
    "mx_many": ("name", "count", "limit"),
    "ptr_match": ("name", "host", "result"),
    "ptr_miss": ("name", "hosts"),
    "ptr_failed": ("name", "status"),
    "exists_match": ("name", "result"),
    "void": ("name", "type", "status", "count", "limit"),
    "voids_over": ("name", "type", "count", "limit"),
    "lookups_over": ("limit",),
    "target_malformed": ("name",),
    "target_local": (),
    "include": ("name",),
    "include_match": ("name", "result"),
    "include_miss": ("name", "inner"),
    "include_none": ("name",),
    "redirect": ("name",),
    "redirect_none": ("name",),
    "no_match": ("result",),
    "client_name": ("host",),
    "explained": ("name",),
    "explanation_unusable": ("name",),
}
