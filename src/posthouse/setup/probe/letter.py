"""The test message: written here, or the caller's own made ready to go.

Enters: sender, recipient, the words, a date and a unique id from the caller (no clock or
randomness here). Leaves: a ``Letter``: bytes with CRLF line ends, its Message-ID, and what looks
wrong with it. RFC 5322, RFC 5321 section 4.5.3.1. Nothing fails: any bytes can be looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import SMTP, SMTPUTF8, compat32
from email.utils import format_datetime, parseaddr
from typing import Final

from posthouse.flow import Finding, Status

LINE_LIMIT: Final = 998  # bytes, RFC 5322 section 2.1.1
PAD_LINE: Final = b"." * 70 + b"\r\n"
PARTS_LIMIT: Final = 1_000  # MIME parts counted; a hostile message has more

_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_MESSAGE_ID: Final = re.compile(
    rb"^message-id:[ \t]*(?:\r?\n[ \t]+)?(<[^<>\s]{1,400}>)", re.I | re.M
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message ready to be sent."""

    data: bytes  # CRLF line ends, not dot-stuffed
    message_id: str
    raw_size: int  # bytes of the decoded parts
    header_from: str = ""  # the address in From
    findings: tuple[Finding, ...] = ()


def write(
    sender: str,
    recipient: str,
    *,
    subject: str,
    body: str,
    date: datetime,
    token: str,
    pad: int = 0,
) -> Letter:
    """The short test message. ``token`` makes its id unique; ``pad`` adds that many bytes."""
    domain = sender.rpartition("@")[2] or "localhost"
    message = EmailMessage(policy=SMTP if (sender + recipient).isascii() else SMTPUTF8)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject
    message["Date"] = format_datetime(date)
    message["Message-ID"] = f"<posthouse-{token}@{_ascii(domain)}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody should answer it
    # Fit for servers without 8BITMIME too (RFC 6152).
    message.set_content(body, cte=None if body.isascii() else "base64")
    data = message.as_bytes() + PAD_LINE * (pad // len(PAD_LINE))
    return Letter(data, message["Message-ID"], len(body.encode()) + pad, sender)


def ready(content: bytes, *, token: str, domain: str) -> Letter:
    """The caller's own message: line ends put right, a Message-ID added where it has none."""
    findings = list(_remarks(content))
    data = _BARE.sub(b"\r\n", content)
    if not data.endswith(b"\r\n"):
        data += b"\r\n"
    head = data.partition(b"\r\n\r\n")[0] + b"\r\n"
    found = _MESSAGE_ID.search(head)
    if found:
        message_id = found.group(1).decode("ascii", "replace")
    else:
        message_id = f"<posthouse-{token}@{_ascii(domain)}>"
        data = f"Message-ID: {message_id}\r\n".encode() + data
    parsed = message_from_bytes(data, policy=compat32)
    header_from = parseaddr(str(parsed.get("From") or ""))[1]
    return Letter(data, message_id, _decoded_size(parsed), header_from, tuple(findings))


def _remarks(content: bytes) -> list[Finding]:
    """What a strict server would refuse; users search for it in the wrong place."""
    found = []
    if _BARE.search(content):
        found.append(Finding("message_bare_lf", Status.WARN, "msg.malformed"))
    longest = max((len(line) for line in content.splitlines()), default=0)
    if longest > LINE_LIMIT:
        params = {"length": longest}
        found.append(Finding("message_long_line", Status.WARN, "msg.malformed", params))
    return found


def _decoded_size(message: Message) -> int:
    total = 0
    for number, part in enumerate(message.walk()):
        if number >= PARTS_LIMIT:
            return 0  # not told; nobody counts the parts of such a message by hand
        payload = None if part.is_multipart() else part.get_payload(decode=True)
        total += len(payload) if isinstance(payload, bytes) else 0
    return total


def _ascii(domain: str) -> str:
    try:
        return domain.encode("idna").decode("ascii") or "localhost"
    except UnicodeError:
        return "localhost"
