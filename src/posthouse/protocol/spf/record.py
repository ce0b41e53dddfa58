"""An SPF record as facts: its mechanisms and modifiers in order, macros ready to be filled in.

Enters: nothing. Leaves: the classes that ``parse`` makes and that ``check``, ``survey``, ``lint``
and ``edit`` read. RFC 7208 sections 4.6, 5, 6 and 7. What fails is parsing, with RecordError.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

VERSION: Final = "v=spf1"

Network = IPv4Network | IPv6Network


class Code(StrEnum):
    """The seven results. RFC 7208 section 2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


# RFC 7208 section 4.6.2
QUALIFIERS: Final = {"+": Code.PASS, "-": Code.FAIL, "~": Code.SOFTFAIL, "?": Code.NEUTRAL}


class RecordError(Exception):
    """Text that is no SPF record. ``reason`` is a stable id, ``position`` an index into the text.

    Reasons: ``version``, ``too_long``, ``not_ascii``, ``control``, ``unknown_mechanism``,
    ``redirect_colon``, ``modifier_name``, ``argument_missing``, ``argument_forbidden``,
    ``domain_empty``, ``domain_end``, ``domain_ip``, ``character``, ``macro``, ``macro_exp_only``,
    ``macro_zero``, ``ip4``, ``ip6``, ``cidr``, ``duplicate``, ``comma``.
    """

    def __init__(self, reason: str, position: int = 0, term: str = "") -> None:
        super().__init__(f"{reason} at {position}: {term}" if term else f"{reason} at {position}")
        self.reason = reason
        self.position = position
        self.term = term


class Expand(NamedTuple):
    """One macro, ``%{l1r-}``. RFC 7208 section 7.1."""

    letter: str  # lower case
    keep: int  # right-hand parts that stay; 0 is all
    reverse: bool
    delimiters: str
    escape: bool  # written in upper case: the value is URL-escaped


@dataclass(frozen=True, slots=True)
class MacroString:
    """Text with macros in it. ``literal`` is its value where there are none."""

    text: str
    parts: tuple[str | Expand, ...]
    literal: str | None
    letters: frozenset[str]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One directive, in the order of the record.

    ``domain`` is None where none was written. For ip4 and ip6, ``shift`` is how many low bits of
    an address are not compared and ``base`` what the others must be.
    """

    text: str  # as written
    position: int
    qualifier: str
    name: str  # lower case
    domain: MacroString | None = None
    cidr4: int = 32
    cidr6: int = 128
    base: int | None = None
    shift: int = 0

    @property
    def code(self) -> Code:
        """The result where it matches."""
        return QUALIFIERS[self.qualifier]

    @property
    def network(self) -> Network | None:
        """What ip4 and ip6 name."""
        if self.base is None:
            return None
        first = self.base << self.shift
        if self.name == "ip4":
            return IPv4Network((first, 32 - self.shift))
        return IPv6Network((first, 128 - self.shift))

    @property
    def asks(self) -> bool:
        """Whether it counts against the limit of ten. RFC 7208 section 4.6.4."""
        return self.name not in ("all", "ip4", "ip6")


@dataclass(frozen=True, slots=True)
class Modifier:
    """``redirect=``, ``exp=`` or one nobody knows. RFC 7208 section 6."""

    text: str
    position: int
    name: str  # lower case
    value: MacroString


class Networks(NamedTuple):
    """ip4 and ip6 terms that stand together: most of most records, compared in one go.

    A row is (bits not compared, what the others must be, the term).
    """

    text: str
    ip4: tuple[tuple[int, int, Mechanism], ...]
    ip6: tuple[tuple[int, int, Mechanism], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One parsed record. ``steps`` are its mechanisms as a check goes through them."""

    text: str
    mechanisms: tuple[Mechanism, ...]
    modifiers: tuple[Modifier, ...]
    steps: tuple[Mechanism | Networks, ...]
    redirect: Modifier | None = None
    exp: Modifier | None = None

    @property
    def terms(self) -> tuple[Mechanism | Modifier, ...]:
        """Everything, in the order written."""
        return tuple(sorted((*self.mechanisms, *self.modifiers), key=lambda term: term.position))

    @property
    def all(self) -> Mechanism | None:
        """The first ``all``; whatever stands after it is never reached."""
        return next((each for each in self.mechanisms if each.name == "all"), None)
