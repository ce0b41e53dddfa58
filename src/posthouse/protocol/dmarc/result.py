"""What comes out of an evaluation. RFC 9989 sections 5.3 and 5.4; RFC 8601 section 2.7.

Enters: nothing. Leaves: ``Spf`` and ``Dkim`` (what was checked before), ``Note`` (one step),
``Discovery``, ``Alignment``, ``Verdict``. Made by ``walk``, ``evaluate`` and ``former``. Nothing
fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from posthouse.protocol.dmarc.record import Action, Policy, Record


class Code(StrEnum):
    """The results of RFC 8601 for DMARC."""

    PASS = "pass"  # noqa: S105  a result, not a password
    FAIL = "fail"
    NONE = "none"  # no record applies
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class Method(StrEnum):
    """How the organizational domain was found; the words of the aggregate report."""

    TREEWALK = "treewalk"  # RFC 9989
    PSL = "psl"  # RFC 7489


class Spf(NamedTuple):
    """How SPF came out for MAIL FROM; for a null sender, for postmaster@HELO (RFC 7208, 2.4)."""

    domain: str
    result: str  # a word of RFC 8601 section 2.7.2


class Dkim(NamedTuple):
    """How DKIM came out for one signature."""

    domain: str  # d=
    result: str  # a word of RFC 8601 section 2.7.1
    selector: str = ""


class Note(NamedTuple):
    """One step. Its words are "dmarc.trace.<id>", filled with ``params``."""

    id: str
    params: Mapping[str, Any]  # plain JSON values


class Found(NamedTuple):
    """One name that was asked, and what was there."""

    domain: str  # without _dmarc
    record: Record | None = None
    problem: str = ""  # "", "several", "dns"


@dataclass(frozen=True, slots=True)
class Discovery:
    """Which record applies to a domain.

    ``domain`` is where it was found ("" for nowhere), ``organizational`` the author's
    organizational domain. ``failed``: DNS gave no proper answer, so nothing is sure.
    """

    author: str
    domain: str = ""
    record: Record | None = None
    organizational: str = ""
    method: Method = Method.TREEWALK
    failed: bool = False
    problem: str = ""  # id of the note that tells why no record applies
    asked: tuple[Found, ...] = ()
    trace: tuple[Note, ...] = ()

    @property
    def policy(self) -> Policy | None:
        """What to act on; None where DMARC does not apply."""
        return self.record.effective if self.record is not None else None

    @property
    def inherited(self) -> bool:
        """The record is not the author domain's own."""
        return self.record is not None and self.domain != self.author


@dataclass(frozen=True, slots=True)
class Alignment:
    """One authenticated identifier beside the author's domain."""

    mechanism: str  # "spf", "dkim"
    domain: str
    result: str  # of SPF or DKIM
    aligned: bool | None  # None: not looked at, or DNS failed
    mode: str = "r"
    organizational: str = ""  # of ``domain``, where it was needed
    selector: str = ""

    @property
    def passed(self) -> bool:
        """It lets the message pass."""
        return self.result == "pass" and bool(self.aligned)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a message came out.

    ``policy`` is what the owner published for this domain, before ``testing``; ``disposition``
    what is recommended: "none" for all that is no fail. A receiver must not reject for p=reject
    alone (RFC 9989 section 7.4): ``disposition`` is one thing of several to weigh.
    ``exists`` is None where nobody had to know. ``sampled``: RFC 7489's pct, of a hundred.
    """

    code: Code
    author: str = ""
    discovery: Discovery | None = None
    policy: Action | None = None
    source: str = ""  # the tag the policy is from: "p", "sp", "np"
    disposition: Action = Action.NONE
    testing: bool = False
    exists: bool | None = None
    alignments: tuple[Alignment, ...] = ()
    problem: str = ""  # id of the note that tells why there is no pass or fail
    sampled: int = 100
    trace: tuple[Note, ...] = ()

    @property
    def spf_aligned(self) -> bool:
        """SPF passed for an aligned domain: "spf" of policy_evaluated in a report."""
        return any(one.passed for one in self.alignments if one.mechanism == "spf")

    @property
    def dkim_aligned(self) -> bool:
        """A signature passed for an aligned domain."""
        return any(one.passed for one in self.alignments if one.mechanism == "dkim")


# Every id a Note may have, with the params its words may use.
TRACE_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "author": ("domain",),
    "author_none": (),
    "author_malformed": ("name",),
    "author_several": ("domains",),
    "each_author": ("domains",),
    "record_found": ("name", "record"),
    "record_none": ("name",),
    "record_several": ("name", "count"),
    "record_foreign": ("name", "count"),
    "record_unusable": ("name", "tags"),
    "record_without_policy": ("name",),
    "record_monitoring": ("name",),
    "dns_failed": ("name", "type", "status"),
    "stop_psd": ("name", "psd"),
    "shortened": ("name", "labels"),
    "organizational": ("name", "organizational"),
    "organizational_psl": ("name", "organizational"),
    "policy_own": ("name", "policy"),
    "policy_inherited": ("name", "tag", "policy"),
    "no_policy": ("name",),
    "same": ("mechanism", "domain"),
    "strict_differs": ("mechanism", "domain", "author"),
    "outside": ("mechanism", "domain", "organizational"),
    "relaxed": ("mechanism", "domain", "organizational"),
    "other_organizational": ("mechanism", "domain", "organizational", "author"),
    "not_passed": ("mechanism", "domain", "result"),
    "align_failed": ("mechanism", "domain"),
    "temporary": ("mechanism", "domain"),
    "exists": ("name",),
    "exists_not": ("name",),
    "passed": ("mechanism", "domain"),
    "failed": ("policy",),
    "testing": ("policy", "milder"),
    "sampled": ("percent", "policy", "milder"),
    "reject_alone": (),
}
