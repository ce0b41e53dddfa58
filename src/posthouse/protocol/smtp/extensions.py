"""What EHLO tells, and the parameters that each extension allows on MAIL and RCPT.

Enters: the lines of an EHLO reply; parameters of a command. Leaves: keyword -> parameters, and
whether a parameter may be used. Pure tables and small functions, used by both roles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_XCHAR: Final = r"(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|(?-i:\+[0-9A-F]{2}))"  # RFC 3461 section 4
_XTEXT: Final = re.compile(rf"{_XCHAR}*", re.IGNORECASE | re.ASCII)
_SIZE: Final = re.compile(r"[0-9]{1,20}")
_ERASED: Final = re.compile(r"(?:X{4,}[A-Z]?|\*{4,})")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One ESMTP parameter: the extensions that allow it and the form of its value."""

    needs: str  # EHLO keyword
    value: re.Pattern[str] | None  # None: takes no value


def _p(needs: str, pattern: str | None) -> Parameter:
    # ASCII: else U+017F is an S, U+0131 an I, and what goes on to the next server no parameter.
    flags = re.IGNORECASE | re.ASCII
    return Parameter(needs, None if pattern is None else re.compile(pattern, flags))


MAIL_PARAMETERS: Final[Mapping[str, Parameter]] = {
    "SIZE": _p("SIZE", r"[0-9]{1,20}"),  # RFC 1870 section 5
    "BODY": _p("8BITMIME", r"7BIT|8BITMIME|BINARYMIME"),  # RFC 6152, RFC 3030
    "SMTPUTF8": _p("SMTPUTF8", None),  # RFC 6531 section 3.4
    "RET": _p("DSN", r"FULL|HDRS"),  # RFC 3461 section 4.3
    "ENVID": _p("DSN", r"[\x21-\x3c\x3e-\x7e]{1,100}"),  # RFC 3461 section 4.4
    "AUTH": _p("AUTH", _XCHAR + "{1,500}"),  # RFC 4954 section 5
    "MT-PRIORITY": _p("MT-PRIORITY", r"[-+]?[0-9]"),  # RFC 6710 section 4
    "REQUIRETLS": _p("REQUIRETLS", None),  # RFC 8689 section 2
    "HOLDFOR": _p("FUTURERELEASE", r"[0-9]{1,9}"),  # RFC 4865 section 4.2.1
    "HOLDUNTIL": _p("FUTURERELEASE", r"[0-9TZ:.+-]{1,40}"),
    "BY": _p("DELIVERBY", r"[-+]?[0-9]{1,9};[RN]T?"),  # RFC 2852 section 4
}
RCPT_PARAMETERS: Final[Mapping[str, Parameter]] = {
    # RFC 3461 section 4.1
    "NOTIFY": _p("DSN", r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2}"),
    "ORCPT": _p("DSN", r"[A-Za-z0-9-]+;[^\x00-\x20=\x7f]{0,500}"),  # RFC 3461 section 4.2
    "RRVS": _p("RRVS", r"[0-9TZ:.+;RC-]{1,60}"),  # RFC 7293 section 3
}
# A priority is a wish: a server that does not know it may as well be asked (and say nothing).
POLITELY_IGNORED: Final = frozenset({"MT-PRIORITY"})


def parse_ehlo(lines: Iterable[str]) -> dict[str, str]:
    """Keyword (upper case) -> parameters, of EHLO lines after the first (RFC 5321 4.1.1.1).

    Read leniently: "8 BITMIME" is 8BITMIME, "AUTH=LOGIN" is AUTH, and two AUTH lines are one.
    """
    return dict(_parsed(tuple(lines)))


@lru_cache(maxsize=32)  # one server tells everybody the same
def _parsed(lines: tuple[str, ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        text = line.strip()
        if text.upper().startswith("8 BITMIME"):
            text = "8BITMIME" + text[9:]
        if text.upper().startswith("AUTH="):
            text = "AUTH " + text[5:]
        keyword, _, rest = text.partition(" ")
        keyword, rest = keyword.upper(), rest.strip()
        if not keyword:
            continue
        if keyword == "AUTH" and keyword in found:
            known = found[keyword].split()
            more = [word for word in rest.split() if word.upper() not in map(str.upper, known)]
            rest = " ".join([*known, *more])
        found[keyword] = rest
    return found


def auth_mechanisms(extensions: Mapping[str, str]) -> tuple[str, ...]:
    """The SASL mechanisms offered, upper case, in the server's order."""
    return tuple(extensions.get("AUTH", "").upper().split())


def size_limit(extensions: Mapping[str, str]) -> int | None:
    """Octets the server takes at most; None where it does not say (RFC 1870 section 4)."""
    text = extensions.get("SIZE", "")
    return int(text) if _SIZE.fullmatch(text) and int(text) > 0 else None


def erased(extensions: Mapping[str, str]) -> bool:
    """Whether a middlebox wrote X or * over a line, as it does to STARTTLS (XXXXXXXA)."""
    return any(_ERASED.fullmatch(keyword) for keyword in extensions)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """RFC 9422 LIMITS: what the server allows; None where it does not say."""

    mail_max: int | None = None  # transactions a session
    rcpt_max: int | None = None  # recipients a transaction
    rcpt_domain_max: int | None = None  # recipient domains a session


def session_limits(extensions: Mapping[str, str]) -> SessionLimits:
    """The limits of the LIMITS line; names not known and values not numbers are left out."""
    values: dict[str, int] = {}
    for word in extensions.get("LIMITS", "").split():
        name, _, number = word.partition("=")
        if re.fullmatch(r"[1-9][0-9]{0,5}", number):  # RFC 9422 section 4: at most six digits
            values[name.upper()] = int(number)
    return SessionLimits(values.get("MAILMAX"), values.get("RCPTMAX"), values.get("RCPTDOMAINMAX"))


def parameter_problem(
    name: str, value: str | None, known: Mapping[str, Parameter], extensions: Mapping[str, str]
) -> str | None:
    """Why a parameter may not be used: "not_offered", "bad_value", or None where it may."""
    parameter = known.get(name)
    if parameter is None:
        return "not_offered"
    if parameter.needs not in extensions and name not in POLITELY_IGNORED:
        return "not_offered"
    if parameter.value is None:
        return None if value is None else "bad_value"
    if value is None or parameter.value.fullmatch(value) is None:
        return "bad_value"
    if name == "BODY" and value.upper() == "BINARYMIME" and "BINARYMIME" not in extensions:
        return "not_offered"
    return None


def encode_xtext(text: str) -> str:
    """RFC 3461 section 4: what is not printable ASCII, and + and =, as +HH of its UTF-8."""
    return "".join(
        chr(octet) if 0x21 <= octet <= 0x7E and octet not in b"+=" else f"+{octet:02X}"
        for octet in text.encode("utf-8")
    )


def decode_xtext(text: str) -> str:
    """The reverse; ValueError where it is no xtext or no UTF-8."""
    if _XTEXT.fullmatch(text) is None:
        raise ValueError("not xtext")
    octets = re.sub(r"\+([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), text).encode("latin-1")
    return octets.decode("utf-8")
