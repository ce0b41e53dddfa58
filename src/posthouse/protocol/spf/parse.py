"""One SPF record, read by the grammar of RFC 7208 section 12.

Enters: the text of a TXT record. Leaves: ``Record``. Called by ``check``, ``survey`` and ``edit``.
Fails with RecordError alone, whatever the text: any mistake anywhere makes the whole record void
(section 4.6), which check_host answers with permerror.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address
from itertools import groupby
from typing import Final, NamedTuple

from posthouse.protocol.spf.macro import read, read_domain
from posthouse.protocol.spf.record import (
    QUALIFIERS,
    VERSION,
    Mechanism,
    Modifier,
    Networks,
    Record,
    RecordError,
)

# One TXT record could hold 65,535 octets. The longest seen in use, flattened by machines, have
# some 4,000; what is longer is made to cost time.
MAX_RECORD: Final = 16_384
CACHED: Final = 512  # records kept parsed: a busy relay meets the same ones again and again
CACHED_LENGTH: Final = 1_024  # octets; so that a hostile sender can fill some MB, not more

_TERM = re.compile(r"[^ ]+")
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
# ABNF: "0", or digits that do not begin with one; its length is part of the grammar
_DUAL_CIDR = re.compile(r"/(0|[1-9][0-9]?)(?://(0|[1-9][0-9]{0,2}))?\Z|//(0|[1-9][0-9]{0,2})\Z")
_DUAL_LENGTH: Final = len("/32//128")
_CIDR4 = re.compile(r"/(0|[1-9][0-9]?)")
_CIDR6 = re.compile(r"/(0|[1-9][0-9]{0,2})")
_QNUM: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IP4 = re.compile(rf"({_QNUM})\.({_QNUM})\.({_QNUM})\.({_QNUM})")
# Most terms are of this form; one look does for them what the long way would.
_PLAIN_IP4 = re.compile(
    rf"([+\-?~]?)ip4:({_QNUM})\.({_QNUM})\.({_QNUM})\.({_QNUM})(?:/(3[0-2]|[12][0-9]|[0-9]))?"
)
_ODD = re.compile(r"[^ -~]")


class _Term(NamedTuple):
    """One mechanism taken apart."""

    text: str
    at: int  # of the term in the record
    sign: str
    name: str
    rest: str  # what follows the name
    where: int  # of the rest in the record


def is_record(text: str) -> bool:
    """Whether a TXT record is meant as SPF: the version, then a space or the end. Section 4.5."""
    return text[:6].lower() == VERSION and text[6:7] in ("", " ")


def parse(text: str) -> Record:
    """A record by the strict grammar. Raises RecordError."""
    return _cached(text) if len(text) <= CACHED_LENGTH else parse_anew(text)


def parse_anew(text: str) -> Record:
    """The same, without a look at what was parsed before."""
    if not is_record(text):
        raise RecordError("version")
    if len(text) > MAX_RECORD:
        raise RecordError("too_long", MAX_RECORD)
    if (odd := _ODD.search(text)) is not None:
        raise RecordError("control" if odd[0].isascii() else "not_ascii", odd.start())
    mechanisms: list[Mechanism] = []
    modifiers: list[Modifier] = []
    for found in _TERM.finditer(text, len(VERSION)):
        term, at = found[0], found.start()
        plain = _PLAIN_IP4.fullmatch(term)
        if plain is not None:
            sign, *numbers, length = plain.groups()
            mechanisms.append(_network4(term, at, sign or "+", numbers, int(length or 32)))
            continue
        named = _MODIFIER.match(term)
        if named is None:
            mechanisms.append(_mechanism(term, at))
        else:
            modifiers.append(_modifier(term, at, named))
    return Record(
        text,
        tuple(mechanisms),
        tuple(modifiers),
        _steps(mechanisms),
        _only("redirect", modifiers),
        _only("exp", modifiers),
    )


_cached = lru_cache(CACHED)(parse_anew)


def _steps(mechanisms: list[Mechanism]) -> tuple[Mechanism | Networks, ...]:
    made: list[Mechanism | Networks] = []
    for asking, group in groupby(mechanisms, lambda each: each.base is None):
        terms = list(group)
        if asking:
            made += terms
            continue
        four = [(term.shift, term.base or 0, term) for term in terms if term.name == "ip4"]
        six = [(term.shift, term.base or 0, term) for term in terms if term.name == "ip6"]
        made.append(Networks(" ".join([term.text for term in terms]), tuple(four), tuple(six)))
    return tuple(made)


def _only(name: str, modifiers: list[Modifier]) -> Modifier | None:
    """Section 6: each of the two at most once."""
    found = [each for each in modifiers if each.name == name]
    if len(found) > 1:
        raise RecordError("duplicate", found[1].position, found[1].text)
    return found[0] if found else None


def _modifier(term: str, at: int, named: re.Match[str]) -> Modifier:
    name, start = named[1].lower(), named.end()
    reader = read_domain if name in ("redirect", "exp") else read
    return Modifier(term, at, name, reader(term[start:], at + start))


def _mechanism(term: str, at: int) -> Mechanism:
    sign = term[0] if term[0] in QUALIFIERS else ""
    found = _NAME.match(term, len(sign))
    if found is None:
        raise RecordError("modifier_name" if "=" in term else "unknown_mechanism", at, term)
    name = found[0].lower()
    rest, where = term[found.end() :], at + found.end()
    reader = _READERS.get(name)
    if reader is None:
        raise RecordError(_unknown(name, term), at, term)
    if rest and rest[0] not in ":/":
        raise RecordError("comma" if rest[0] in ",;" else "unknown_mechanism", where, term)
    try:
        return reader(_Term(term, at, sign or "+", name, rest, where))
    except RecordError as error:
        raise RecordError(_hint(error.reason, term), error.position, term) from None


def _unknown(name: str, term: str) -> str:
    if name in ("redirect", "exp"):
        return "redirect_colon"
    return "modifier_name" if "=" in term and ":" not in term else "unknown_mechanism"


def _hint(reason: str, term: str) -> str:
    """What people mostly did where a term ends in a comma."""
    return "comma" if term[-1] in ",;" else reason


def _all(term: _Term) -> Mechanism:
    if term.rest:
        raise RecordError("argument_forbidden", term.where)
    return Mechanism(term.text, term.at, term.sign, term.name)


def _needs_domain(term: _Term) -> Mechanism:
    if not term.rest.startswith(":"):
        raise RecordError("argument_missing" if not term.rest else "argument_forbidden", term.where)
    return Mechanism(
        term.text, term.at, term.sign, term.name, read_domain(term.rest[1:], term.where + 1)
    )


def _ptr(term: _Term) -> Mechanism:
    if term.rest:
        return _needs_domain(term)
    return Mechanism(term.text, term.at, term.sign, term.name)


def _host(term: _Term) -> Mechanism:
    """``a`` and ``mx``: a domain-spec may have slashes in it, so the lengths are the end."""
    cut, cidr4, cidr6 = len(term.rest), 32, 128
    found = _DUAL_CIDR.search(term.rest, max(0, cut - _DUAL_LENGTH))
    if found is not None:
        cut, cidr4, cidr6 = found.start(), int(found[1] or 32), int(found[2] or found[3] or 128)
    if cut and term.rest[0] != ":":
        raise RecordError("cidr", term.where)
    domain = read_domain(term.rest[1:cut], term.where + 1) if cut else None
    if cidr4 > 32 or cidr6 > 128:
        raise RecordError("cidr", term.where + cut)
    return Mechanism(term.text, term.at, term.sign, term.name, domain, cidr4, cidr6)


def _argument(term: _Term) -> tuple[str, str]:
    """Address and length, the length with its slash."""
    if len(term.rest) < 2 or term.rest[0] != ":":
        raise RecordError("argument_missing", term.where)
    address, slash, length = term.rest[1:].partition("/")
    return address, slash + length


def _ip4(term: _Term) -> Mechanism:
    address, length = _argument(term)
    found = _IP4.fullmatch(address)
    if found is None:
        raise RecordError("ip4", term.where + 1)
    bits = _length(_CIDR4, length, 32, term.where + 1 + len(address))
    return _network4(term.text, term.at, term.sign, found.groups(), bits)


def _network4(text: str, at: int, sign: str, numbers: Sequence[str], bits: int) -> Mechanism:
    first, second, third, fourth = map(int, numbers)
    value = first << 24 | second << 16 | third << 8 | fourth
    shift = 32 - bits
    return Mechanism(text, at, sign, "ip4", None, 32, 128, value >> shift, shift)


def _ip6(term: _Term) -> Mechanism:
    address, length = _argument(term)
    if "%" in address:  # a zone id (RFC 4007) is no part of RFC 4291 section 2.2
        raise RecordError("ip6", term.where + 1)
    try:
        value = int(IPv6Address(address))
    except ValueError:
        raise RecordError("ip6", term.where + 1) from None
    bits = _length(_CIDR6, length, 128, term.where + 1 + len(address))
    base = value >> (128 - bits)
    return Mechanism(term.text, term.at, term.sign, term.name, base=base, shift=128 - bits)


def _length(pattern: re.Pattern[str], text: str, most: int, where: int) -> int:
    if not text:
        return most
    found = pattern.fullmatch(text)
    if found is None or int(found[1]) > most:
        raise RecordError("cidr", where)
    return int(found[1])


_READERS: Final = {
    "all": _all,
    "include": _needs_domain,
    "exists": _needs_domain,
    "a": _host,
    "mx": _host,
    "ptr": _ptr,
    "ip4": _ip4,
    "ip6": _ip6,
}
