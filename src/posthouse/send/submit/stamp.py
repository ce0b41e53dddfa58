"""What we write above a message: our Received line, and the fields that were missing.

Enters: facts of the session, an id, the time. Leaves: octets with CRLF. Called by ``session``.
Nothing fails: what a client says of itself is cut and cleaned, since it stands in a header.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

from posthouse.send.submit.settings import plain_address

NAME_LIMIT: Final = 255  # characters kept of the client's EHLO name: as long as a domain may be

_ODD: Final = re.compile(r"[^A-Za-z0-9.:_\[\]-]")


@lru_cache(maxsize=8)  # several messages fall into one second
def date_of(second: int) -> str:
    """RFC 5322 section 3.3, in UTC."""
    return format_datetime(datetime.fromtimestamp(second, UTC))


def protocol_of(*, esmtp: bool, tls: bool, signed_in: bool, utf8: bool) -> str:
    """The "with" of a Received line: RFC 3848 (ESMTPSA...), RFC 6531 section 4.3 (UTF8...)."""
    if not esmtp:
        return "SMTP"
    return f"{'UTF8SMTP' if utf8 else 'ESMTP'}{'S' * tls}{'A' * signed_in}"


@lru_cache(maxsize=1_024)  # the same clients come again and again
def origin_of(helo: str, client: str, tls: str) -> str:
    """The first lines of a Received field: who gave us the message, and how it was protected."""
    try:
        address = plain_address(client)
        literal = f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
    except ValueError:
        literal = "[unknown]"
    name = _ODD.sub("?", helo[:NAME_LIMIT]) or "unknown"
    comment = f"\r\n\t(using {tls})" if tls else ""
    return f"Received: from {name} ({literal}){comment}"


def received(origin: str, by: str, protocol: str, id_: str, *, only: str, second: int) -> str:
    """RFC 5321 section 4.4. ``only``: the recipient where there is but one; others stay unsaid."""
    to = f"\r\n\tfor <{only}>" if only else ""
    return f"{origin}\r\n\tby {by} with {protocol} id {id_}{to};\r\n\t{date_of(second)}\r\n"
