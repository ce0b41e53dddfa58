"""E-mail addresses as people type them, and as SMTP wants them.

Enters: text, from a prompt, a command line or a pasted contact. Leaves: Address. Called by the
command line, find, probe and the listening side. Fails with AddressError alone. Server names,
their sanity and the port matrix are re-exported here from ``host``, ``server_input``, ``ports``.
Grammar: RFC 5321 section 4.1.2 with RFC 6531 section 3.3; comments are refused, since no server
takes them and nobody types them on purpose.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
import urllib.parse
from dataclasses import dataclass
from typing import Final

from posthouse.protocol.host import (
    FULL_WIDTH,
    INVISIBLE,
    MAX_INPUT,
    HostError,
    incoming_protocol,
    is_incoming_name,
    parse_host,
    to_ascii,
    to_unicode,
)
from posthouse.protocol.ports import PortVerdict, judge_port, usual_security
from posthouse.protocol.server_input import ServerError, ServerInput, parse_server

__all__ = [
    "Address",
    "AddressError",
    "HostError",
    "PortVerdict",
    "ServerError",
    "ServerInput",
    "incoming_protocol",
    "is_incoming_name",
    "judge_port",
    "parse_address",
    "parse_host",
    "parse_server",
    "to_ascii",
    "to_unicode",
    "usual_security",
]

MAX_LOCAL: Final = 64  # octets, RFC 5321 section 4.5.3.1.1
MAX_ADDRESS: Final = 254  # octets: a path of 256 less its angle brackets, section 4.5.3.1.3

_ATEXT: Final = frozenset("!#$%&'*+-/=?^_`{|}~")


class AddressError(Exception):
    """Text that is no address. ``reason`` is a stable id, ``position`` an index into the text.

    Reasons: ``empty``, ``too_long``, ``no_at``, ``too_many_at``, ``empty_local``,
    ``empty_domain``, ``local_too_long``, ``dot_at_start``, ``dot_at_end``, ``double_dot``,
    ``illegal_character``, ``unclosed_quote``, ``comment``, ``unclosed_angle``,
    ``several_addresses``, ``bad_literal``, and HostError's for the domain.
    """

    def __init__(self, reason: str, position: int = 0) -> None:
        super().__init__(f"{reason} at {position}")
        self.reason = reason
        self.position = position


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox.

    ``local`` is in wire form, quoted only where it must be. ``domain`` is for people (U-labels),
    ``ascii_domain`` for DNS and SMTP; an address literal is the same in both, with its brackets.
    ``needs_smtputf8``: the local part is not ASCII (RFC 6531), so the server must know SMTPUTF8.
    Note ids: ``display_name``, ``mailto``, ``full_width``, ``trailing_dot``, ``single_label``.
    """

    local: str
    domain: str
    ascii_domain: str
    needs_smtputf8: bool
    original: str
    notes: tuple[str, ...] = ()

    @property
    def is_literal(self) -> bool:
        """Whether the domain is an IP address in brackets."""
        return self.ascii_domain.startswith("[")

    @property
    def wire(self) -> str:
        """For MAIL and RCPT: the domain in ASCII, the local part as it is."""
        return f"{self.local}@{self.ascii_domain}"

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


def parse_address(text: str) -> Address:
    """``alice@example.com``, ``Alice <alice@example.com>``, ``mailto:...``. Raises AddressError."""
    if len(text) > MAX_INPUT:
        raise AddressError("too_long", MAX_INPUT)
    if not text.translate(FULL_WIDTH).strip(INVISIBLE):
        raise AddressError("empty")
    notes: list[str] = []
    start, end = _addr_spec(text, notes)
    spec, narrow = text[start:end], text[start:end].translate(FULL_WIDTH)
    if "mailto" in notes and "%" in narrow:
        spec = narrow = _unquote(narrow, start)
    at = _find_at(narrow, start)
    # what stands in quotes is meant as it is typed
    local_text = spec[:at] if narrow.startswith('"') else narrow[:at]
    local = _local(local_text, start)
    domain, ascii_domain = _domain(narrow[at + 1 :], start + at + 1, notes)
    if narrow != spec and not narrow.startswith('"'):
        notes.append("full_width")
    if len(f"{local}@{ascii_domain}".encode()) > MAX_ADDRESS:
        raise AddressError("too_long", start)
    return Address(local, domain, ascii_domain, not local.isascii(), text, tuple(notes))


def _unquote(text: str, start: int) -> str:
    """RFC 6068 section 2: percent-encoded UTF-8."""
    try:
        return urllib.parse.unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise AddressError("illegal_character", start + text.index("%")) from None


def _addr_spec(text: str, notes: list[str]) -> tuple[int, int]:
    """Where in ``text`` the address itself stands."""
    narrow = text.translate(FULL_WIDTH)
    start, end = _trim(narrow, 0, len(narrow))
    if narrow[end - 1] in ",;" and end - start > 1:  # copied from a list
        start, end = _trim(narrow, start, end - 1)
    if narrow[end - 1] == ">":
        opening = narrow.rfind("<", start, end)
        if opening < 0:
            raise AddressError("unclosed_angle", end - 1)
        if narrow[start:opening].strip(INVISIBLE):
            notes.append("display_name")
        start, end = _trim(narrow, opening + 1, end - 1)
    elif "<" in narrow and not narrow.startswith('"', start):
        raise AddressError("unclosed_angle", narrow.index("<"))
    if narrow[start : start + 7].lower() == "mailto:":
        notes.append("mailto")
        question = narrow.find("?", start, end)
        start, end = _trim(narrow, start + 7, end if question < 0 else question)
    if start == end:
        raise AddressError("empty", min(start, len(text) - 1))
    return start, end


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in INVISIBLE:
        start += 1
    while end > start and text[end - 1] in INVISIBLE:
        end -= 1
    return start, end


def _find_at(spec: str, start: int) -> int:
    """The @ between local part and domain: the last one, and the only one outside quotes."""
    at = spec.rfind("@")
    if at < 0:
        raise AddressError("no_at", start + len(spec))
    if at == 0:
        raise AddressError("empty_local", start)
    if not spec.startswith('"'):
        first = spec.index("@")
        if first != at:
            several = any(mark in spec[first:at] for mark in ",; ")
            raise AddressError("several_addresses" if several else "too_many_at", start + at)
    if at == len(spec) - 1:
        raise AddressError("empty_domain", start + at)
    return at


def _local(text: str, start: int) -> str:
    # RFC 6532 section 3.1 recommends NFC: one spelling for what looks the same
    local = unicodedata.normalize("NFC", text)
    local = _quoted(local, start) if local.startswith('"') else _dot_atom(local, start)
    try:
        octets = len(local.encode("utf-8"))
    except UnicodeEncodeError:
        raise AddressError("illegal_character", start) from None
    if octets > MAX_LOCAL:
        raise AddressError("local_too_long", start)
    return local


def _dot_atom(local: str, start: int) -> str:
    if local.startswith("."):
        raise AddressError("dot_at_start", start)
    if local.endswith("."):
        raise AddressError("dot_at_end", start + len(local) - 1)
    if ".." in local:
        raise AddressError("double_dot", start + local.index(".."))
    for index, char in enumerate(local):
        if char in "()":
            raise AddressError("comment", start + index)
        if char != "." and not _is_atext(char):
            raise AddressError("illegal_character", start + index)
    return local


def _is_atext(char: str) -> bool:
    """RFC 5322 section 3.2.3, and every printable character past ASCII (RFC 6531 section 3.3)."""
    if char.isascii():
        return char.isalnum() or char in _ATEXT
    return char.isprintable() and char not in INVISIBLE


def _quoted(local: str, start: int) -> str:
    """Quoted-string (RFC 5321 section 4.1.2); without its quotes where they are not needed."""
    if len(local) < 2 or not local.endswith('"'):
        raise AddressError("unclosed_quote", start)
    content, index = [], 1
    while index < len(local) - 1:
        char = local[index]
        if char == '"':
            raise AddressError("illegal_character", start + index)
        if char == "\\":
            index += 1
            if index == len(local) - 1:
                raise AddressError("unclosed_quote", start)
            char = local[index]
        if not char.isprintable():
            raise AddressError("illegal_character", start + index)
        content.append(char)
        index += 1
    value = "".join(content)
    try:
        return _dot_atom(value, start) if value else '""'
    except AddressError:
        return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _domain(text: str, start: int, notes: list[str]) -> tuple[str, str]:
    """The domain for people and for the wire."""
    if text.startswith("["):
        literal = _literal(text, start)
        return literal, literal
    for index, char in enumerate(text):
        if char in "()":
            raise AddressError("comment", start + index)
    try:
        ascii_domain = to_ascii(text)
    except HostError as error:
        reason = "empty_domain" if error.reason == "empty" else error.reason
        raise AddressError(reason, start + error.position) from None
    if text.endswith("."):
        notes.append("trailing_dot")
    if "." not in ascii_domain:
        notes.append("single_label")
    return to_unicode(ascii_domain), ascii_domain


def _literal(text: str, start: int) -> str:
    """``[192.0.2.1]`` or ``[IPv6:2001:db8::1]`` (RFC 5321 section 4.1.3)."""
    inner = text[1:-1] if text.endswith("]") else ""
    v6 = inner[:5].lower() == "ipv6:"
    try:
        address = ipaddress.ip_address(inner[5:] if v6 else inner)
    except ValueError:
        raise AddressError("bad_literal", start) from None
    if (address.version == 6) != v6 or "%" in inner:
        raise AddressError("bad_literal", start)
    return f"[IPv6:{address}]" if v6 else f"[{address}]"
