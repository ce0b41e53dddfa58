"""One rule of routing, and what it is asked about, as facts.

Enters: nothing. Leaves: ``Rule``, made by ``read_routes``; ``Facts``, made of each letter; and
``Check``, one condition as it came out. Used by ``routes``. Nothing here fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from posthouse.letter import Letter
from posthouse.protocol.message.headers import HEADER_LIMIT, parse_headers
from posthouse.protocol.smtp.data import unstuff
from posthouse.send.hop import Choice
from posthouse.send.route.pattern import Pattern

Header = Mapping[str, Sequence[str]]  # lower-case name -> its values, unfolded and decoded


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """A header field one of whose values must fit one of the globs."""

    name: str  # lower case
    globs: tuple[str, ...]  # as written
    compiled: tuple[re.Pattern[str], ...]

    def fits(self, header: Header) -> bool:
        """Whether a letter with this header meets the condition."""
        values = header.get(self.name, ())
        return any(one.match(value) for value in values for one in self.compiled)


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions, all of which must hold, and what is done then. Empty: no such condition.

    Of the patterns of one condition any may fit.
    """

    name: str  # "#2" for the second where it has none; "" is a default without a name
    choice: Choice
    sender: tuple[Pattern, ...] = ()
    recipient: tuple[Pattern, ...] = ()
    user: tuple[str, ...] = ()
    header: tuple[HeaderRule, ...] = ()
    larger: int | None = None  # octets
    smaller: int | None = None

    @property
    def is_default(self) -> bool:
        """Whether it has no conditions."""
        sizes = self.larger is not None or self.smaller is not None
        return not (self.sender or self.recipient or self.user or self.header or sizes)


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may ask of one letter. ``header`` is called only where a rule asks for a field."""

    sender: str = ""  # "" is the null path
    user: str = ""
    size: int = 0  # octets
    header: Callable[[], Header] = dict


def facts_of(letter: Letter) -> Facts:
    """The facts of a letter; its header is parsed once, when it is first asked for."""

    parsed: list[Header] = []  # ``functools.cache`` takes longer to make than most rules to judge

    def header() -> Header:
        if not parsed:
            parsed.append(read_header(unstuff(letter.content[:HEADER_LIMIT])))
        return parsed[0]

    return Facts(letter.sender, letter.user, len(letter.content), header)


def read_header(message: bytes) -> Header:
    """The header of a message that is not dot-stuffed."""
    found: dict[str, list[str]] = {}
    for field in parse_headers(message).fields:
        found.setdefault(field.name, []).append(field.text)
    return found


class Condition(StrEnum):
    """What a condition looks at."""

    SENDER = "sender"
    RECIPIENT = "recipient"
    USER = "user"
    HEADER = "header"
    LARGER = "larger"
    SMALLER = "smaller"


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of one rule for one recipient."""

    condition: Condition
    holds: bool
    wanted: tuple[str, ...]  # as written in the rule
    found: tuple[str, ...]  # of the letter; () where it has none
    name: str = ""  # of the header field


@dataclass(frozen=True, slots=True)
class Checked:
    """One rule and how its conditions came out; the rule decided where all hold."""

    rule: Rule
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether all conditions hold."""
        return all(check.holds for check in self.checks)
