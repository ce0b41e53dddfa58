"""Delivery status notifications: what happened to each recipient, in fields.

Enters: the content of a message/delivery-status or message/global-delivery-status part. Leaves:
``DeliveryStatus``. Called by ``explain.bounce``. Nothing raises; fields are found by name wherever
they stand, since many reports part their groups wrongly. RFC 3464, and RFC 6533 for addresses
that are not ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from posthouse.protocol.message.headers import Headers, split_headers, unix

RECIPIENTS_LIMIT: Final = 100  # recipients of one report that are kept
STATUS_LIMIT: Final = 500_000  # bytes of one report
ADDRESS_LIMIT: Final = 500  # characters of one address (RFC 3461 section 4.2)

_ABOUT_RECIPIENT: Final = frozenset({"final-recipient", "original-recipient"})
_TYPED: Final = re.compile(r"\s*([A-Za-z0-9-]{1,30})\s*;\s*(.*)", re.DOTALL)
_BLANK_LINES: Final = re.compile(rb"\n(?:[ \t]*\n)+")
_CODE: Final = re.compile(r"(?<!\d)([245]\.\d{1,3}\.\d{1,3})(?!\d)")
_UNITEXT: Final = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """One recipient's group of fields (RFC 3464 section 2.3); "" for what is not told."""

    recipient: str  # Final-Recipient
    original: str = ""  # Original-Recipient: the address the sender used
    action: str = ""  # "failed", "delayed", "delivered", "relayed", "expanded"
    status: str = ""  # "5.1.1"
    remote: str = ""  # Remote-MTA: the server that spoke
    diagnostic_type: str = ""  # "smtp", "x-unix", "x-postfix"
    diagnostic: str = ""
    last_attempt: str = ""
    retry_until: str = ""
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)  # all of them


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """One report."""

    reporter: str  # Reporting-MTA
    arrival: str
    envelope_id: str
    recipients: tuple[RecipientStatus, ...]


def parse_delivery_status(content: bytes) -> DeliveryStatus:
    """The fields about the message, and those about each recipient."""
    groups = list(_groups(unix(content[:STATUS_LIMIT])))
    message: dict[str, str] = {}
    for group in groups:
        for name, value in group.items():
            message.setdefault(name, value)
    told = [group for group in groups if group.keys() & _ABOUT_RECIPIENT]
    return DeliveryStatus(
        _host(message.get("reporting-mta", "")),
        message.get("arrival-date", ""),
        message.get("original-envelope-id", ""),
        tuple(_recipient(group) for group in told[:RECIPIENTS_LIMIT]),
    )


def _groups(content: bytes) -> Iterator[dict[str, str]]:
    """RFC 3464 section 2.1: groups are parted by blank lines; a new recipient parts them, too."""
    for block in _BLANK_LINES.split(b"\n" + content):
        group: dict[str, str] = {}
        for name, value in _named(split_headers(block.strip(b"\n") + b"\n")[0]):
            if name in _ABOUT_RECIPIENT and name in group:
                yield group
                group = {}
            group.setdefault(name, value)
        if group:
            yield group


def _named(headers: Headers) -> Iterator[tuple[str, str]]:
    return ((one.name, one.text) for one in headers.fields)


def _recipient(group: Mapping[str, str]) -> RecipientStatus:
    kind, diagnostic = _typed(group.get("diagnostic-code", ""))
    code = _CODE.search(group.get("status", ""))
    original = _address(group.get("original-recipient", ""))
    return RecipientStatus(
        recipient=_address(group.get("final-recipient", "")) or original,
        original=original,
        action=group.get("action", "").partition(" ")[0].lower(),
        status=code[1] if code else "",
        remote=_host(group.get("remote-mta", "")),
        diagnostic_type=kind,
        diagnostic=diagnostic,
        last_attempt=group.get("last-attempt-date", ""),
        retry_until=group.get("will-retry-until", ""),
        fields=dict(group),
    )


def _typed(value: str) -> tuple[str, str]:
    """RFC 3464 section 2.1.2: "smtp; 550 ...". Some leave the type out."""
    found = _TYPED.fullmatch(value)
    return (found[1].lower(), found[2].strip()) if found else ("", value.strip())


def _address(value: str) -> str:
    """Without its type and brackets; RFC 6533 section 3 writes other scripts as \\x{4F60}."""
    text = _typed(value)[1]
    inner = re.search(r"<([^<>]*)>", text)
    text = inner[1] if inner and "@" in inner[1] else text.strip("<> ")
    return _UNITEXT.sub(lambda code: _character(code[1]), text)[:ADDRESS_LIMIT]


def _character(code: str) -> str:
    number = int(code, 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"


def _host(value: str) -> str:
    """The name alone: "dns; mx.test (192.0.2.1)" and "dns;mx.test (TCP|...)" are "mx.test"."""
    text = _typed(value)[1] or value
    return text.partition("(")[0].partition(" ")[0].strip("<>[]. ")[:255]
