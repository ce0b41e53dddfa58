"""Which addresses a user may send as.

Enters: patterns (``alice@example.com``, ``*@example.com``, ``*`` for all) and addresses as MAIL or
From had them. Leaves: yes or no, and the patterns for the reply that says what would be right.
Called by ``session`` and ``accounts``. Fails with PatternError for a pattern that is none.

Compared without regard to case: a domain's name has none (RFC 5321 section 2.4), and no server of
today tells Alice and alice apart. A domain in Unicode and its A-labels are the same.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from posthouse.protocol.address import AddressError, HostError, parse_address, to_ascii

EVERYBODY: Final = "*"  # a gateway that sends for others; nobody has it unless an admin says so


class PatternError(ValueError):
    """Neither an address nor ``*@domain``."""


@dataclass(frozen=True, slots=True)
class Senders:
    """The patterns of one user."""

    patterns: tuple[str, ...] = ()
    _exact: frozenset[str] = field(default=frozenset(), repr=False)
    _domains: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Senders:
        """From patterns that are ``canonical``."""
        kept = tuple(patterns)
        return cls(
            kept,
            frozenset(one for one in kept if not one.startswith("*@")),
            frozenset(one[2:] for one in kept if one.startswith("*@")),
        )

    def allow(self, address: str) -> bool:
        """Whether the user may send as this address."""
        if EVERYBODY in self.patterns and address:
            return True
        plain = _normal(address)
        return plain in self._exact or plain.rpartition("@")[2] in self._domains


def canonical(pattern: str) -> str:
    """The form a pattern is kept in. ``@domain`` is ``*@domain``. Raises PatternError."""
    text = pattern.strip()
    if text == EVERYBODY:
        return text
    star = text.startswith(("*@", "@"))
    try:
        address = parse_address("any@" + text.partition("@")[2] if star else text)
    except AddressError:
        raise PatternError(pattern) from None
    if star:
        return f"*@{address.ascii_domain.lower()}"
    return _normal(address.wire)


def _normal(address: str) -> str:
    if address.isascii():
        return address.lower()
    local, _, domain = unicodedata.normalize("NFC", address).rpartition("@")
    try:
        domain = to_ascii(domain)
    except HostError:
        return ""  # no domain: nobody's address
    return f"{local.lower()}@{domain.lower()}"
