"""A bounce that came back after the server had accepted the message, read and explained.

Enters: a message as bytes (RFC 3464 delivery status inside RFC 3462 multipart/report). Leaves:
``Bounce`` facts with the explanation of each recipient's diagnostic, or None where the message is
no delivery status. Called after a test message, and with a bounce in a file. Never fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.policy import compat32
from typing import Final

from posthouse import explain
from posthouse.explain import Explanation

SIZE_LIMIT: Final = 2_000_000  # bytes read of a bounce; the original may be attached whole
RECIPIENTS_LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class Failed:
    """One recipient of a bounce."""

    recipient: str
    action: str  # "failed", "delayed", "delivered", "relayed", "expanded"
    status: str  # "5.1.1"
    diagnostic: str  # the receiving server's words, without "smtp;"
    remote: str  # the server that said them
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Bounce:
    """One delivery status notification."""

    message_id: str  # of the message that bounced, "" where it is not told
    reporter: str
    recipients: tuple[Failed, ...]

    def about(self, message_id: str) -> bool:
        """Whether this is about the message we sent."""
        return bool(message_id) and self.message_id == message_id


def read(raw: bytes) -> Bounce | None:
    """The bounce, or None where ``raw`` is no delivery status."""
    message = message_from_bytes(raw[:SIZE_LIMIT], policy=compat32)
    parts = list(message.walk())
    status = next((p for p in parts if p.get_content_type() == "message/delivery-status"), None)
    if status is None:
        return None
    groups = _groups(status)
    reporter = _value(groups[0] if groups else None, "Reporting-MTA")
    failed = tuple(_failed(g) for g in groups if g.get("Final-Recipient") is not None)
    if not failed:
        return None
    return Bounce(_original_id(parts), reporter, failed[:RECIPIENTS_LIMIT])


def _groups(status: Message) -> list[Message]:
    """RFC 3464 section 2.1: header groups parted by blank lines; the parser makes them parts."""
    payload = status.get_payload()
    return [p for p in payload if isinstance(p, Message)] if isinstance(payload, list) else []


def _failed(group: Message) -> Failed:
    diagnostic = _value(group, "Diagnostic-Code")
    status = _value(group, "Status")
    remote = _value(group, "Remote-MTA")
    explained = explain.explain_reply(diagnostic or status, host=remote or None)
    recipient = _value(group, "Final-Recipient") or _value(group, "Original-Recipient")
    return Failed(recipient, _value(group, "Action").lower(), status, diagnostic, remote, explained)


def _value(group: Message | None, name: str) -> str:
    """A field without its type ("rfc822;", "dns;", "smtp;") and unfolded."""
    text = " ".join(str((group.get(name) if group is not None else "") or "").split())
    return re.sub(r"^[A-Za-z0-9-]{1,30}\s*;\s*", "", text)


def _original_id(parts: list[Message]) -> str:
    return next(_ids(parts), "")


def _ids(parts: list[Message]) -> Iterator[str]:
    """The Message-ID of the returned message or of its returned headers."""
    for number, part in enumerate(parts):
        kind = part.get_content_type()
        if kind == "message/rfc822" and number:
            inner = part.get_payload()
            if isinstance(inner, list) and inner and isinstance(inner[0], Message):
                yield from _id_in(inner[0])
        elif kind == "text/rfc822-headers":
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                yield from _id_in(message_from_bytes(payload, policy=compat32))


def _id_in(message: Message) -> Iterator[str]:
    found = str(message.get("Message-ID") or "").strip()
    if found:
        yield found
