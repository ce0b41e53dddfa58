"""A DMARC policy record as facts. RFC 9989 sections 4.7 and 4.8.

Enters: nothing. Leaves: ``Policy`` (what a domain asks for), ``Record`` (a Policy as it was
published, with what is wrong in its text), ``ReportUri``. Made by ``parse``, written by ``build``.
Nothing here fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple

# Tags of RFC 7489 that RFC 9989 took away (its appendix C.5). They are reported, never obeyed.
REMOVED: Final = ("pct", "rf", "ri")
TAGS: Final = ("v", "p", "sp", "np", "adkim", "aspf", "fo", "psd", "rua", "ruf", "t")


class Action(StrEnum):
    """What is to happen to mail that fails; from the mildest to the strictest."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"

    @property
    def strength(self) -> int:
        """0, 1, 2."""
        return _ORDER.index(self)

    @property
    def milder(self) -> Action:
        """One level below, as testing asks for. RFC 9989 section 4.7, tag t."""
        return _ORDER[max(0, self.strength - 1)]


_ORDER: Final = tuple(Action)


class Mode(StrEnum):
    """How alike two domains must be. Section 4.4."""

    RELAXED = "r"  # same organizational domain
    STRICT = "s"  # same domain


class Psd(StrEnum):
    """Whether the record's domain is a public suffix."""

    YES = "y"
    NO = "n"  # it is an organizational domain
    UNKNOWN = "u"


class ReportUri(NamedTuple):
    """Where reports go. Only mailto can be served; what else there is must be ignored."""

    uri: str  # as written, without a size limit
    address: str = ""  # of a mailto, decoded; "" for other schemes
    host: str = ""  # domain of the address, or host of the URI, lower case
    limit: int | None = None  # octets: RFC 7489's "!10m", gone since RFC 9989

    @property
    def usable(self) -> bool:
        """It can be sent to."""
        return bool(self.address)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a domain owner asks of receivers. ``p`` is None where a record gives no valid one."""

    p: Action | None = Action.NONE
    sp: Action | None = None  # existing subdomains; as p where it is not given
    np: Action | None = None  # subdomains that don't exist; as sp, else p
    adkim: Mode = Mode.RELAXED
    aspf: Mode = Mode.RELAXED
    psd: Psd = Psd.UNKNOWN
    testing: bool = False  # t=y
    fo: tuple[str, ...] = ("0",)
    rua: tuple[ReportUri, ...] = ()
    ruf: tuple[ReportUri, ...] = ()

    def for_subdomain(self, *, exists: bool) -> Action:
        """The policy for a subdomain. RFC 9989 section 4.10.1."""
        chosen = self.sp if exists else self.np if self.np is not None else self.sp
        return chosen or self.p or Action.NONE


class Problem(NamedTuple):
    """One thing wrong in a record's text. Its words are "dmarc.problem.<id>"."""

    id: str
    position: int  # index into the text
    tag: str = ""
    text: str = ""  # the part at fault, cut to a length fit to be shown


@dataclass(frozen=True, slots=True)
class Record:
    """A record as published.

    ``broken``: the tags of p, sp and np whose values are none. ``former`` has the values of the
    removed tags. ``published`` names all tags that are there, known or not.
    """

    text: str
    policy: Policy
    problems: tuple[Problem, ...] = ()
    broken: frozenset[str] = frozenset()
    former: Mapping[str, str] | None = None
    published: tuple[str, ...] = ("v",)

    @property
    def reports_wanted(self) -> bool:
        """rua= has at least one well-formed URI."""
        return bool(self.policy.rua)

    @property
    def effective(self) -> Policy | None:
        """The policy to act on; None where the record leads to no DMARC at all.

        RFC 9989 section 4.10.1: without a valid p, or with an sp or np that is none, a record is
        one with p=none if its owner wants reports, else it is as if there were none.
        """
        if self.policy.p is not None and not self.broken:
            return self.policy
        if not self.reports_wanted:
            return None
        return replace(self.policy, p=Action.NONE, sp=None, np=None)

    def has(self, tag: str) -> bool:
        """The tag stands in the record, whatever its value."""
        return tag in self.published


class RecordError(Exception):
    """Text that is no DMARC record: it does not begin with v=DMARC1, or is far too long.

    Reasons: ``version``, ``too_long``.
    """

    def __init__(self, reason: str, position: int = 0) -> None:
        super().__init__(f"{reason} at {position}")
        self.reason = reason
        self.position = position

    def params(self) -> dict[str, Any]:
        """For the words."""
        return {"reason": self.reason, "position": self.position}
