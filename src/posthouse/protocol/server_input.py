"""A server as somebody types or pastes it: host, URL, host and port in any of the usual forms.

Enters: text. Leaves: ServerInput with notes on what was set right. Called by the command line
and find. Fails with ServerError alone, which says what to type instead where that is clear.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from posthouse.flow import Security
from posthouse.protocol.host import (
    FULL_WIDTH,
    INVISIBLE,
    MAX_INPUT,
    HostError,
    parse_host,
    parse_ip,
)

# What a scheme says about the mode. "smtp" and "tls" are used for both modes by different
# programs, so they say nothing.
_SCHEMES: Final[dict[str, Security | None]] = {
    "smtp": None,
    "tls": None,
    "smtps": Security.TLS,
    "ssl": Security.TLS,
    "smtp+ssl": Security.TLS,
    "submissions": Security.TLS,
    "starttls": Security.STARTTLS,
    "smtp+starttls": Security.STARTTLS,
    "submission": Security.STARTTLS,
}
_INCOMING_SCHEMES: Final = frozenset({"imap", "imaps", "pop", "pops", "pop3", "pop3s"})
_WEB_SCHEMES: Final = frozenset({"http", "https"})

# Without the slashes a digit after the colon is a port: "localhost:25".
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://|(?=[^0-9/\s]))")
_BRACKETS = re.compile(r"\[(?P<host>[^\]]*)\](?P<rest>.*)", re.DOTALL)


class ServerError(Exception):
    """Text that names no server. ``reason`` is a stable id, ``position`` an index into the text,
    ``host`` the host that was probably meant, if any.

    Reasons: HostError's, and ``url_with_path``, ``unknown_scheme``, ``incoming_scheme``,
    ``email_address``, ``bad_port``, ``port_out_of_range``.
    """

    def __init__(self, reason: str, position: int = 0, host: str | None = None) -> None:
        super().__init__(f"{reason} at {position}")
        self.reason = reason
        self.position = position
        self.host = host


@dataclass(frozen=True, slots=True)
class ServerInput:
    """What the text says. ``port`` and ``security`` are None where it does not say.

    Note ids: ``full_width``, ``web_address`` (a web page's URL was given), ``ip_literal``,
    ``private_address`` (RFC 1918, RFC 4193 and their kin), ``loopback_address``,
    ``single_label``, ``login_dropped`` (a user name or password stood in the URL).
    """

    host: str  # A-label or plain IP address
    port: int | None = None
    security: Security | None = None
    scheme: str | None = None
    notes: tuple[str, ...] = ()


def parse_server(text: str) -> ServerInput:
    """``smtp://host:587``, ``ssl://host``, ``host:465``, ``host 465``, ``[::1]:25``...

    Raises ServerError.
    """
    if len(text) > MAX_INPUT:
        raise ServerError("too_long", MAX_INPUT)
    base = len(text) - len(text.lstrip(INVISIBLE + "\u3000"))
    clean = text.translate(FULL_WIDTH).strip(INVISIBLE)
    notes = ["full_width"] if clean != text.strip(INVISIBLE) else []
    scheme, rest, offset = _take_scheme(clean, base)
    if "@" in rest:
        rest, offset = _drop_login(rest, offset, scheme)
        notes.append("login_dropped")
    authority, path = _take_path(rest)
    host_text, port_text, port_at = _split_port(authority)
    host = _host(host_text, offset)
    if path.strip("/"):
        raise ServerError("url_with_path", offset + len(authority), host)
    if scheme in _INCOMING_SCHEMES:
        raise ServerError("incoming_scheme", base, host)
    port = _port(port_text, offset + port_at, host) if port_text is not None else None
    if scheme in _WEB_SCHEMES:
        notes.append("web_address")
        port = None  # a web server's port says nothing about mail
    security = _SCHEMES.get(scheme) if scheme else None
    return ServerInput(host, port, security, scheme, (*notes, *_host_notes(host)))


def _take_scheme(clean: str, base: int) -> tuple[str | None, str, int]:
    match = _SCHEME.match(clean)
    if not match or ("://" not in match[0] and match["scheme"].lower() not in _SCHEMES):
        return None, clean, base
    scheme = match["scheme"].lower()
    if scheme not in _SCHEMES and scheme not in _INCOMING_SCHEMES | _WEB_SCHEMES:
        raise ServerError("unknown_scheme", base)
    return scheme, clean[match.end() :], base + match.end()


def _drop_login(rest: str, offset: int, scheme: str | None) -> tuple[str, int]:
    """Without the ``user:password@`` of a URL; a bare address is an address, not a server."""
    at = rest.rindex("@")
    if scheme is None:
        try:
            host = parse_host(rest[at + 1 :].strip())
        except HostError:
            host = None
        raise ServerError("email_address", offset + at, host)
    return rest[at + 1 :], offset + at + 1


def _take_path(rest: str) -> tuple[str, str]:
    match = re.search(r"[/?#]", rest)
    return (rest, "") if match is None else (rest[: match.start()], rest[match.start() :])


def _split_port(authority: str) -> tuple[str, str | None, int]:
    """Host text, port text or None, and where the port begins."""
    bracketed = _BRACKETS.fullmatch(authority)
    if bracketed:
        rest = bracketed["rest"]
        start = len(authority) - len(rest)
        match = re.fullmatch(r"[:\s]\s*(.*)", rest, re.DOTALL)
        if not rest:
            return bracketed["host"], None, start
        if match:
            return bracketed["host"], match[1], start + match.start(1)
    if authority.startswith("[") or authority.count(":") > 1:  # IPv6, or broken: not ours to cut
        return authority, None, len(authority)
    match = re.fullmatch(r"([^\s:,]*)\s*[\s:,]\s*([^\s:,]*)", authority)
    if match:
        return match[1], match[2], match.start(2)
    return authority, None, len(authority)


def _host(text: str, offset: int) -> str:
    try:
        return parse_host(text)
    except HostError as error:
        raise ServerError(error.reason, offset + error.position) from None


def _port(text: str, position: int, host: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ServerError("bad_port", position, host)
    number = int(text[:9])
    if len(text) > 9 or not 1 <= number <= 65_535:
        raise ServerError("port_out_of_range", position, host)
    return number


def _host_notes(host: str) -> tuple[str, ...]:
    literal = parse_ip(host)
    if literal is None:
        return ("single_label",) if "." not in host else ()
    address = ipaddress.ip_address(literal)
    if address.is_loopback:
        return ("ip_literal", "loopback_address")
    if address.is_private or address.is_link_local:
        return ("ip_literal", "private_address")
    return ("ip_literal",)
