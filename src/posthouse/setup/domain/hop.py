"""The hop that counts: where a mail came in from outside. RFC 5321 section 4.4, RFC 7601 1.6.

Enters: the header of a received mail. Leaves: ``Hop``: the client's address and name and the
envelope's sender, as the receiving server wrote them down. Called by ``message``. Everything below
that server's line was written by strangers and proves nothing. Nothing fails.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from posthouse.protocol import psl
from posthouse.protocol.host import parse_ip
from posthouse.protocol.message.headers import Headers
from posthouse.protocol.message.received import Received, parse_received

LINES_LIMIT: Final = 30  # trace lines looked at; a loop ends before that
_CLIENT: Final = re.compile(r"\bclient-ip=\[?([0-9A-Fa-f.:]{3,45})", re.IGNORECASE)
_FROM: Final = re.compile(r"\benvelope-from=\"?<?([^\s\";>]{1,320})", re.IGNORECASE)
_HELO: Final = re.compile(r"\bhelo=([^\s;]{1,255})", re.IGNORECASE)
_PATH: Final = re.compile(r"<([^<>]*)>")


@dataclass(frozen=True, slots=True)
class Hop:
    """How the mail came in. ``given``: the fields the caller told, in place of the header."""

    ip: str = ""
    helo: str = ""
    mail_from: str | None = None  # "" is the null sender, None: nobody knows
    by: str = ""
    protocol: str = ""
    line: int = -1  # of the trace lines, counted from the top
    given: tuple[str, ...] = ()


def receiving_hop(
    headers: Headers,
    *,
    own: Sequence[str] = (),
    ip: str = "",
    helo: str = "",
    mail_from: str | None = None,
) -> Hop:
    """The hop. ``own``: names of the reader's servers, or domains they are in; without them, the
    topmost line's server and its neighbours are taken for own."""
    lines = [parse_received(text) for text in headers.all("received")[:LINES_LIMIT]]
    number = _entrance(lines, own)
    line = lines[number] if number >= 0 else Received()
    told = headers.get("received-spf")
    told_ip, told_helo, told_from = (_first(p, told) for p in (_CLIENT, _HELO, _FROM))
    given = [("ip", ip), ("helo", helo), ("mail_from", mail_from)]
    return Hop(
        parse_ip(ip) or line.address or parse_ip(told_ip) or "",
        helo or line.sender.strip("[]") or told_helo,
        mail_from if mail_from is not None else _sender(headers, told_from),
        line.by,
        line.protocol,
        number,
        tuple(name for name, value in given if value not in ("", None)),
    )


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def _sender(headers: Headers, told: str) -> str | None:
    """The envelope's sender: Return-Path is written at the final delivery (section 4.4)."""
    if "return-path" in headers:
        text = headers.get("return-path").strip()
        path = _PATH.search(text)
        return (path[1] if path else text).strip()
    return told or None


def _entrance(lines: Sequence[Received], own: Sequence[str]) -> int:
    """The number of the line that our side's first server wrote; -1 where none tells an address.

    From the top, lines are ours as long as our side wrote them. The first of them that took the
    mail from somebody else is the one; a client that is ours as well was only passing it on.
    """
    top = next((line.by for line in lines if _named(line.by)), "")
    ours = [name.lower().lstrip(".") for name in own] or [_owner(top)]
    first = -1
    for number, line in enumerate(lines):
        if _named(line.by) and not _within(line.by, ours):
            break  # written by a stranger
        if not line.address or not _outside(line.address):
            continue
        if first < 0:
            first = number
        if not _named(line.sender) or not _within(line.sender, ours):
            return number
    return first


def _named(name: str) -> bool:
    plain = name.strip("[]")
    return "." in plain and parse_ip(plain) is None


def _within(name: str, ours: Sequence[str]) -> bool:
    plain = name.lower().removesuffix(".")
    return any(one and (plain == one or plain.endswith(f".{one}")) for one in ours)


def _owner(host: str) -> str:
    return psl.default_list().organizational(host) or host.lower()


def _outside(address: str) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    # Ranges for documentation are private to Python; examples use them as if they were real.
    inner = ip.is_loopback or ip.is_link_local or _private(str(ip))
    return not inner


def _private(address: str) -> bool:
    return address.startswith(("10.", "192.168.", "fc", "fd")) or (
        address.startswith("172.") and 16 <= int(address.split(".")[1]) <= 31
    )
