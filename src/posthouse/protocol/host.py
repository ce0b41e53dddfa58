"""Host and domain names as people type them, and as DNS wants them.

Enters: text. Leaves: lower-case A-label names without the trailing dot, or IP addresses in plain
form (RFC 1123 section 2.1, RFC 3696 section 2, UTS 46 for everything not ASCII). Called by
``address``, ``server_input`` and the parsers of ``discovery``. Fails with HostError alone.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

MAX_NAME: Final = 253  # RFC 1035 section 2.3.4: 255 octets on the wire
MAX_LABEL: Final = 63
# A name in its own script is longer in octets; past this it is no name but an attack on IDNA.
MAX_INPUT: Final = 1_000

# What Chinese and Japanese input methods and careless copying put in place of ASCII. One to one,
# so that positions stay true.
FULL_WIDTH: Final = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    0x3000: 0x20,  # ideographic space
    0x3002: 0x2E,  # 。
    0xFF61: 0x2E,  # ｡
    0xFE52: 0x2E,  # ﹒
    0xFE6B: 0x40,  # ﹫
    0x3008: 0x3C,  # 〈
    0x3009: 0x3E,  # 〉
    0x300A: 0x3C,  # 《
    0x300B: 0x3E,  # 》
}
# Blanks, and the invisible marks that come along from web pages and chats.
INVISIBLE: Final = " \t\r\n\v\f\u00a0\u200b\u200c\u200d\u200e\u200f\u202a\u202c\u2060\ufeff"

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


class HostError(Exception):
    """Text that is no host name. ``reason`` is a stable id, ``position`` an index into the text.

    Reasons: ``empty``, ``too_long``, ``empty_label``, ``label_too_long``, ``underscore``,
    ``hyphen``, ``illegal_character``, ``numeric_tld``, ``bad_idn``, ``bad_literal``.
    """

    def __init__(self, reason: str, position: int = 0) -> None:
        super().__init__(f"{reason} at {position}")
        self.reason = reason
        self.position = position


def parse_host(text: str) -> str:
    """A host name or IP address, IPv6 also in brackets, in its normal form. Raises HostError."""
    if len(text) > MAX_INPUT:
        raise HostError("too_long", MAX_INPUT)
    if text.startswith("[") or text.count(":") > 1:
        inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        literal = parse_ip(inner)
        if literal is None:
            raise HostError("bad_literal")
        return literal
    return parse_ip(text) or to_ascii(text)


def parse_ip(text: str) -> str | None:
    """An IPv4 or IPv6 address in its shortest form, or None."""
    try:
        return str(ipaddress.ip_address(text)) if "%" not in text else None
    except ValueError:
        return None


def to_ascii(text: str, *, underscores: bool = False) -> str:
    """A domain name in A-label form. Raises HostError; IP addresses are not names.

    ``underscores``: no host has them in its name, but a mail domain may, and DNS does not mind.
    """
    if len(text) > MAX_INPUT:
        raise HostError("too_long", MAX_INPUT)
    name = text.translate(FULL_WIDTH)
    if name.endswith("."):
        name = name[:-1]
    if not name:
        raise HostError("empty")
    if name.isascii():
        _check(name.lower().replace("_", "x" if underscores else "_"))
        return name.lower()
    encoded = _encode(name, text)
    try:
        _check(encoded)
    except HostError as error:
        raise HostError(error.reason, _same_label(name, encoded, error.position)) from None
    return encoded


def to_unicode(name: str) -> str:
    """An A-label name for people. A label that IDNA 2008 refuses (emoji) stays as it is."""
    if "xn--" not in name:
        return name
    import idna

    try:
        return str(idna.decode(name))
    except (UnicodeError, ValueError):
        return name


def _encode(name: str, text: str) -> str:
    import idna  # here: its tables cost more to load than all else, and few names need them

    offender = next((i for i, char in enumerate(name) if char.isspace() or char in INVISIBLE), None)
    if offender is not None:
        raise HostError("illegal_character", offender)
    if "" in name.split("."):
        raise HostError("empty_label", _empty_label(name))
    try:
        return idna.encode(name, uts46=True).decode("ascii").lower()
    except (UnicodeError, ValueError) as error:
        if "too long" in str(error).lower():
            raise HostError("too_long") from None
        first = next((i for i, char in enumerate(text) if not char.isascii()), 0)
        raise HostError("bad_idn", first) from None


def _same_label(name: str, encoded: str, position: int) -> int:
    """Where in the typed ``name`` the label begins that stands at ``position`` when encoded."""
    before = name.split(".")[: encoded.count(".", 0, position)]
    return min(sum(len(label) + 1 for label in before), len(name) - 1)


def _empty_label(name: str) -> int:
    return 0 if name.startswith(".") else name.find("..") + 1


def _check(name: str) -> None:
    """RFC 1123 section 2.1: letters, digits, hyphens; RFC 3696 section 2: the last not numeric."""
    if len(name) > MAX_NAME:
        raise HostError("too_long", MAX_NAME)
    position = 0
    for label in name.split("."):
        if not label:
            raise HostError("empty_label", position)
        if len(label) > MAX_LABEL:
            raise HostError("label_too_long", position)
        if not _LABEL.fullmatch(label):
            raise _bad_label(label, position)
        position += len(label) + 1
    if label.isdigit():
        raise HostError("numeric_tld", position - 1 - len(label))


def _bad_label(label: str, position: int) -> HostError:
    for index, char in enumerate(label):
        if char == "_":
            return HostError("underscore", position + index)
        if not (char.isascii() and (char.isalnum() or char == "-")):
            return HostError("illegal_character", position + index)
    return HostError("hyphen", position if label.startswith("-") else position + len(label) - 1)


_POP = re.compile(r"(?:hw)?pop[23]?s?(?:\d*|hz|mail|-.*)")


def incoming_protocol(host: str) -> str | None:
    """``imap`` or ``pop3`` where a host's first label says so, else None. A guess by name only."""
    first = host.lower().partition(".")[0]
    if "smtp" in first:
        return None  # "imap-smtp.example.com" serves both
    if "imap" in first:
        return "imap"
    return "pop3" if _POP.fullmatch(first) else None


def is_incoming_name(host: str) -> bool:
    """Whether a host is, by its name, for receiving mail."""
    return incoming_protocol(host) is not None
