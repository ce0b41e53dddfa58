"""Trace lines: who handed the message to whom, and when.

Enters: the value of a Received field. Leaves: ``Received``; what a line does not tell is "".
Nothing raises. RFC 5321 section 4.4; real lines keep to it loosely, so words are looked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from posthouse.protocol.host import parse_ip

LINE_LIMIT: Final = 2_000  # characters of one line that are read

_TOKEN: Final = re.compile(r"\((?:[^()]|\([^()]{0,500}\)){0,1000}\)|[^\s()]+")
_CLAUSES: Final = frozenset({"from", "by", "via", "with", "id", "for"})
_ADDRESS: Final = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f.:]{3,45})\]")
# "(192.0.2.1)" and "(mx.test 192.0.2.1)": how some servers write the client, without brackets.
_BARE: Final = re.compile(r"\((?:[\w.-]{1,255}\s+)?([0-9A-Fa-f.:]{3,45})\)")
# "(HELO 192.0.2.1)" of qmail, "(helo=[192.0.2.1])" of Exim: only what the client says it is.
_CLAIMED: Final = re.compile(r"\b(?:HELO|EHLO)[\s=]\s{0,5}[^\s()]{0,300}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Received:
    """One hop."""

    sender: str = ""  # "from": the name the client gave
    address: str = ""  # the client's IP address, as the server saw it
    by: str = ""
    protocol: str = ""  # "with": "ESMTPS"
    id: str = ""
    recipient: str = ""  # "for"
    date: datetime | None = None


def parse_received(value: str) -> Received:
    """The clauses of a trace line."""
    value = value[:LINE_LIMIT]
    trace, _, date = value.rpartition(";")
    found: dict[str, str] = {}
    clause, comments = "", ""
    for token in _TOKEN.findall(trace or value):
        word = token.lower()
        if token.startswith("("):
            comments += token if clause == "from" else ""
        elif word in _CLAUSES and word not in found:
            clause, found[word] = word, ""
        elif clause and not found[clause]:
            found[clause] = token
    sender = found.get("from", "")
    return Received(
        sender,
        _client(sender, _CLAIMED.sub("", comments)),
        found.get("by", ""),
        found.get("with", ""),
        found.get("id", ""),
        found.get("for", "").strip("<>"),
        _date(date),
    )


def _client(sender: str, comments: str) -> str:
    """What the server saw stands in a comment; the name before it may be a literal, and a lie."""
    found = _ADDRESS.search(comments)
    if found is not None:
        return found[1]
    alone = (parse_ip(text) for text in _BARE.findall(comments))
    address = next((address for address in alone if address), "")
    found = _ADDRESS.search(sender)
    return address or (found[1] if found is not None else "")


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
