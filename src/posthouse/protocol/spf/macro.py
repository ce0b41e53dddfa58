"""Macros: read once, filled in for each check. RFC 7208 section 7.

Enters: text of a domain-spec, a modifier or an explanation; later the values of the letters.
Leaves: ``MacroString``; expanded text. Called by ``parse`` and ``check``. Reading fails with
RecordError alone, expanding never.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from posthouse.protocol.spf.record import Expand, MacroString, RecordError

EXPANDED: Final = 1_024  # characters kept of an expanded text
MAX_KEEP: Final = 1_000  # no value has more parts; more digits than int() takes are no error

_TOKEN = re.compile(
    r"([\x21-\x24\x26-\x7e]+)"  # macro-literal
    r"|%\{([slodiphcrtv])([0-9]*)(r?)([.\-+,/_=]*)\}"
    r"|%([%_-])",
    re.IGNORECASE,
)
_TEXT_TOKEN = re.compile(_TOKEN.pattern.replace(r"([\x21", r"([\x20"), re.IGNORECASE)
_FIXED: Final = {"%": "%", "_": " ", "-": "%20"}
_TOPLABEL = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?")
_EXP_ONLY: Final = frozenset("crt")  # RFC 7208 section 7.2
_FOUR_NUMBERS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")


def read(text: str, position: int = 0, *, explanation: bool = False) -> MacroString:
    """A macro-string or, with spaces and the letters c, r, t allowed, an explain-string."""
    return _read(text, position, explanation)[0]


def _read(text: str, position: int, explanation: bool) -> tuple[MacroString, str]:
    """Also the literal text after the last macro."""
    pattern = _TEXT_TOKEN if explanation else _TOKEN
    parts: list[str | Expand] = []
    at, end, tail = 0, len(text), ""
    while at < end:
        found = pattern.match(text, at)
        if found is None:
            raise RecordError("macro" if text[at] == "%" else "character", position + at, text)
        parts.append(_part(found, position + at, explanation))
        tail = found[1] or ""
        at = found.end()
    letters = frozenset(part.letter for part in parts if isinstance(part, Expand))
    literal = None if letters else "".join(str(part) for part in parts)
    return MacroString(text, tuple(parts), literal, letters), tail


def _part(found: re.Match[str], position: int, explanation: bool) -> str | Expand:
    literal, letter, digits, reverse, delimiters, fixed = found.groups()
    if literal is not None:
        return literal
    if fixed is not None:
        return _FIXED[fixed]
    if letter.lower() in _EXP_ONLY and not explanation:
        raise RecordError("macro_exp_only", position, found[0])
    digits_only = digits.lstrip("0")
    if digits and not digits_only:  # section 7.3: the number of parts must not be zero
        raise RecordError("macro_zero", position, found[0])
    keep = MAX_KEEP if len(digits_only) > 3 else int(digits_only or 0)
    return Expand(letter.lower(), keep, bool(reverse), delimiters, letter.isupper())


def read_domain(text: str, position: int = 0) -> MacroString:
    """A domain-spec: it must end in a macro or in a dot and a top label. Section 7.1."""
    if not text:
        raise RecordError("domain_empty", position)
    made, tail = _read(text, position, False)
    if not tail:
        return made
    _, dot, label = tail.removesuffix(".").rpartition(".")
    if dot and _TOPLABEL.fullmatch(label) and not label.isdigit():
        return made
    ip_meant = _FOUR_NUMBERS.fullmatch(text) is not None
    raise RecordError("domain_ip" if ip_meant else "domain_end", position, text)


def expand(source: MacroString, values: Mapping[str, str]) -> str:
    """The text with its macros filled in; of what is too long to be of use, its right end.

    A name beyond 253 characters loses labels on its left (section 7.3) and an explanation beyond
    ``MAX_EXPLANATION`` is none. Uncut, %{d}%{d} in includes of includes would double each time.
    """
    if source.literal is not None:
        return source.literal
    return "".join(
        [
            part if isinstance(part, str) else _fill(part, values[part.letter])
            for part in source.parts
        ]
    )[-EXPANDED:]


def _fill(macro: Expand, value: str) -> str:
    if macro.keep or macro.reverse or macro.delimiters:
        value = ".".join(_pieces(macro, value))
    # section 7.3: everything outside "unreserved" of RFC 3986, which is what quote() leaves
    return quote(value, safe="") if macro.escape else value


def _pieces(macro: Expand, value: str) -> list[str]:
    if macro.delimiters in ("", "."):
        pieces = value.split(".")
    else:
        pieces = re.split(f"[{re.escape(macro.delimiters)}]", value)
    if macro.reverse:
        pieces.reverse()
    return pieces[-macro.keep :] if macro.keep else pieces
