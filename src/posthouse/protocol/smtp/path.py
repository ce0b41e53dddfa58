"""The paths of MAIL and RCPT: strict about what an address is, as wide as RFC 5321 allows.

Enters: text after ``FROM:`` or ``TO:``. Leaves: the address as written (quotes kept, source route
dropped) and what follows it. ``command`` calls it for both roles; PathError says what is wrong.
RFC 5321 section 4.1.2, RFC 6531 section 3.3. A local part may be longer than the 64 octets of RFC
5321 section 4.5.3.1.1, which asks for no limit where one can be avoided, and real ones are longer.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final

from posthouse.protocol.smtp.limits import DOMAIN, PATH

LABEL: Final = 63  # octets of one label of a domain (RFC 1035 section 2.3.4)

# Written by what they exclude, for beyond ASCII all but the C1 controls is allowed (RFC 6531
# section 3.3): whether it is allowed here, ``parse_path`` checks afterwards.
_ATEXT = r"[^\x00-\x20()<>\[\]:;@\\,.\"\x7f-\x9f]"
_QUOTED = r'"(?:[^\x00-\x1f"\\\x7f-\x9f]|\\[\x20-\x7e])*"'
_LOCAL = rf"(?:{_ATEXT}+(?:\.{_ATEXT}+)*|{_QUOTED})"
_NAME = r"[^\x00-\x2c/:-@\[-^`{-\x9f]+"
_LITERAL = r"\[[\x21-\x5a\x5e-\x7e]+\]"
_ROUTE = rf"@(?:{_NAME}|{_LITERAL})(?:,@(?:{_NAME}|{_LITERAL}))*:"

# After the route comes local@domain; "Postmaster" may stand alone (RFC 5321 section 4.1.1.3).
_PATH: Final = re.compile(
    rf"<(?:(?:{_ROUTE})?(?P<local>{_LOCAL})(?:@(?P<domain>{_NAME}|{_LITERAL}))?)?>"
)
# What nearly all addresses are. It takes no more than the rules above, and a relay reads many.
USUAL: Final = (
    r"[A-Za-z0-9]++(?:[.+=_-][A-Za-z0-9]++)*+"
    r"@(?:(?=[^.]{1,63}\.)[A-Za-z0-9]++(?:-++[A-Za-z0-9]++)*+\.)++[A-Za-z]{2,63}"
)
_USUAL_ADDRESS: Final = re.compile(USUAL)
_USUAL_PATH: Final = re.compile(rf"<(?P<address>{USUAL})>")
# Underscores are no host names, but stand in real mail domains; refusing them helps nobody.
_LABEL: Final = re.compile(r"(?!-)[^\x00-\x2c./:-@\[-^`{-\x9f]+(?<!-)")
_IPV4: Final = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})")
_TAG: Final = re.compile(r"([A-Za-z0-9-]*[A-Za-z0-9]):([\x21-\x5a\x5e-\x7e]+)")


class PathError(ValueError):
    """Not a path. ``reason`` is "syntax", "too_long" or "not_ascii"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_path(text: str, *, utf8: bool = False, null: bool = False) -> tuple[str, str]:
    """The address in a path at the start of ``text``, and the text after its ">".

    ``null`` allows "<>" (a sender); without it "<Postmaster>" is allowed (a recipient). ``utf8``
    allows characters beyond ASCII (RFC 6531). PathError where it is none of these.
    """
    usual = _USUAL_PATH.match(text)
    if usual is not None and usual.end() <= PATH:
        return usual["address"], text[usual.end() :]
    match = _PATH.match(text)
    if match is None:
        raise PathError("syntax")
    rest = text[match.end() :]
    local, domain = match["local"], match["domain"]
    if local is None:
        if not null or match[0] != "<>":
            raise PathError("syntax")
        return "", rest
    if domain is None:
        if null or local.lower() != "postmaster":
            raise PathError("syntax")
        return local, rest
    address = f"{local}@{domain}"
    if not utf8 and not address.isascii():
        raise PathError("not_ascii")
    _check_domain(domain)
    if len(address.encode("utf-8")) + len("<>") > PATH:
        raise PathError("too_long")
    return address, rest


def is_usual(address: str) -> bool:
    """Whether it is, without a doubt, an address as nearly all are; it needs no other check."""
    return len(address) + len("<>") <= PATH and _USUAL_ADDRESS.fullmatch(address) is not None


def check_address(address: str, *, utf8: bool = False, null: bool = False) -> None:
    """PathError unless ``<address>`` is one whole path without a source route."""
    if is_usual(address):
        return
    path, rest = parse_path(f"<{address}>", utf8=utf8, null=null)
    if rest or path != address:
        raise PathError("syntax")


def _check_domain(domain: str) -> None:
    if domain.startswith("["):
        if not _is_literal(domain[1:-1]):
            raise PathError("syntax")
        return
    if len(domain.encode("utf-8")) > DOMAIN:
        raise PathError("too_long")
    for label in domain.split("."):
        if _LABEL.fullmatch(label) is None:
            raise PathError("syntax")
        if len(label.encode("utf-8")) > LABEL and label.isascii():
            raise PathError("too_long")


def _is_literal(text: str) -> bool:
    """RFC 5321 section 4.1.3: an IPv4 address, "IPv6:" and one, or another tag and text."""
    try:
        if text[:5].lower() == "ipv6:":  # which has no zone there: "%" is of RFC 4007
            return "%" not in text and (bool(IPv6Address(text[5:])) or True)
        if ":" not in text:
            octets = _IPV4.fullmatch(text)  # to Python a leading zero is a mistake
            return octets is not None and all(int(one) < 256 for one in octets.groups())
    except ValueError:
        return False
    return _TAG.fullmatch(text) is not None
