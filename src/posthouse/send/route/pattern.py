"""Addresses and patterns of addresses, brought to one form and compared.

Enters: patterns of the configuration, addresses of envelopes. Leaves: ``Pattern``, ``Parts``.
``routes`` looks both up in tables. A wrong pattern fails with ValueError, whose text is an id for
the catalogue; an address never fails, whatever a client has made of it.

    alice@example.com    that address; its local part in any case, though only the domain's host may
                         know whether case matters (RFC 5321 section 2.4): here a rule catches both
    *@example.com        every address of that domain; "@example.com" is the same
    .example.com         every address below that domain, at any depth, but not at the domain itself
                         (as in Postfix's tables): give both where both are meant
    <>                   the null path: bounces

Domains in their own script and as A-labels are the same (RFC 5890 section 2.3.2.1).
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from posthouse.protocol.address import AddressError, parse_address
from posthouse.protocol.host import FULL_WIDTH, HostError, to_ascii

NULL: Final = "<>"
REMEMBERED: Final = 4_096  # domains in their own script: few, and each costs some 20 us to turn


class Kind(StrEnum):
    """What a pattern is compared with."""

    ADDRESS = "address"
    DOMAIN = "domain"
    BELOW = "below"  # every domain below one
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Pattern:
    """``value`` is in the form of ``Parts``: an address, or a domain without dot in front."""

    kind: Kind
    value: str
    text: str  # as it was written


class Parts(NamedTuple):
    """One address to look up. The null path has two empty parts."""

    address: str
    domain: str


def parse(text: str) -> Pattern:
    """A pattern as written. Raises ValueError: "pattern", "pattern_domain", "pattern_glob"."""
    plain = text.translate(FULL_WIDTH).strip()
    if plain == NULL:
        return Pattern(Kind.NULL, "", text)
    local, at, domain = plain.rpartition("@")
    if not at:
        if plain.startswith("."):
            return Pattern(Kind.BELOW, _domain(plain[1:]), text)
        raise ValueError("pattern_domain" if _is_domain(plain) else "pattern")
    if local in ("", "*"):
        return Pattern(Kind.DOMAIN, _domain(domain), text)
    if "*" in plain:
        raise ValueError("pattern_glob")
    try:
        address = parse_address(plain)
    except AddressError:
        raise ValueError("pattern") from None
    return Pattern(Kind.ADDRESS, parts(address.wire).address, text)


def parts(address: str) -> Parts:
    """An address of an envelope in the form that is compared."""
    local, at, domain = address.rpartition("@")
    if not at:  # the null path, or "postmaster" alone (RFC 5321 section 4.5.1)
        return Parts(address.lower(), "")
    if domain.isascii() and not domain.startswith("["):
        domain = domain.lower().removesuffix(".")
    else:
        domain = _odd_domain(domain)
    plain = local.isascii() and not local.startswith('"')
    return Parts(f"{local.lower() if plain else _odd_local(local)}@{domain}", domain)


def parents(domain: str) -> list[str]:
    """The domains above this one: "b.c" and "c" for "a.b.c"."""
    above = []
    dot = domain.find(".")
    while dot >= 0:
        above.append(domain[dot + 1 :])
        dot = domain.find(".", dot + 1)
    return above


def glob(text: str) -> re.Pattern[str]:
    """``*`` and ``?``, in any case; brackets are themselves, as in "[list] *".

    What fnmatch makes of it finds each piece once and never goes back: no value costs much.
    """
    return re.compile(fnmatch.translate(text.replace("[", "[[]")), re.IGNORECASE)


def _domain(text: str) -> str:
    if text.startswith("["):
        if _literal(text) is None:
            raise ValueError("pattern")
        return _odd_domain(text)
    try:
        return to_ascii(text)
    except HostError:
        raise ValueError("pattern_glob" if "*" in text else "pattern") from None


def _is_domain(text: str) -> bool:
    try:
        return "." in to_ascii(text)
    except HostError:
        return False


@lru_cache(REMEMBERED)
def _odd_domain(domain: str) -> str:
    """A domain in its own script, or an address literal."""
    if domain.startswith("["):
        return _literal(domain) or domain.lower()
    try:
        return to_ascii(domain)
    except HostError:
        return domain.lower()


def _literal(text: str) -> str | None:
    try:
        return parse_address(f"x@{text}").ascii_domain.lower()
    except AddressError:
        return None


def _odd_local(local: str) -> str:
    """A local part past ASCII, or in quotes: ``"bob"`` is bob (RFC 5321 section 4.1.2)."""
    if local.startswith('"'):
        with suppress(AddressError):
            local = parse_address(f"{local}@x.example").local
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())
