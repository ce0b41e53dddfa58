"""Amazon SES's notifications: the same facts as a report's, as JSON.

Enters: the text of a notification, alone or inside the envelope of SNS. Leaves: ``Notification``,
or None where it is none. Called by ``read``. Nothing raises.
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from posthouse.protocol.message import RecipientStatus, parse_delivery_status

JSON_LIMIT: Final = 512_000  # characters; SNS sends 256 KiB at most

# Where a recipient has no diagnostic of its own, the kind of bounce tells.
_KINDS: Final = {
    "MailboxFull": "552 5.2.2 mailbox full",
    "MessageTooLarge": "552 5.3.4 message too large",
    "ContentRejected": "554 5.7.1 message content rejected",
    "AttachmentRejected": "554 5.7.1 attachment rejected",
    "NoEmail": "550 5.1.1 user unknown",
    "General": "",
}


@dataclass(frozen=True, slots=True)
class Notification:
    """One bounce told by SES."""

    reporter: str
    recipients: tuple[RecipientStatus, ...]
    headers: dict[str, str]  # of the message sent, by small names


def read_notification(text: str) -> Notification | None:
    """The notification, if ``text`` is one of a bounce."""
    text = text.strip()[:JSON_LIMIT]
    if not text.startswith("{"):
        return None
    outer = _object(text)
    inner = _object(outer.get("Message"))
    found = inner or outer
    kind = found.get("notificationType") or found.get("eventType")
    bounce = found.get("bounce")
    if kind != "Bounce" or not isinstance(bounce, dict):
        return None
    failed = bounce.get("bouncedRecipients")
    recipients = tuple(
        _recipient(one, bounce)
        for one in (failed if isinstance(failed, list) else [])[:100]
        if isinstance(one, dict) and isinstance(one.get("emailAddress"), str)
    )
    mail = found.get("mail")
    if not recipients:
        return None
    reporter = parse_delivery_status(f"Reporting-MTA: {_line(bounce.get('reportingMTA'))}".encode())
    return Notification(reporter.reporter, recipients, _headers(mail))


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _recipient(one: dict[str, Any], bounce: dict[str, Any]) -> RecipientStatus:
    # Written as the fields of RFC 3464 that they are, and read by the one reader of those.
    diagnostic = _line(one.get("diagnosticCode")) or _KINDS.get(
        _line(bounce.get("bounceSubType")), ""
    )
    fields = {
        "Final-Recipient": f"rfc822; {_line(one['emailAddress'])}",
        "Action": _line(one.get("action")) or "failed",
        "Status": _line(one.get("status")),
        "Diagnostic-Code": diagnostic,
    }
    content = "".join(f"{name}: {value}\n" for name, value in fields.items())
    return parse_delivery_status(content.encode("utf-8", "replace")).recipients[0]


def _headers(mail: Any) -> dict[str, str]:
    mail = mail if isinstance(mail, dict) else {}
    listed = mail.get("headers")
    found = {
        _line(one.get("name")).lower(): _line(one.get("value"))
        for one in (listed if isinstance(listed, list) else [])[:200]
        if isinstance(one, dict)
    }
    common = mail.get("commonHeaders")
    for name, value in (common if isinstance(common, dict) else {}).items():
        known = {"messageId": "message-id"}.get(name, str(name).lower())
        found.setdefault(
            known, _line(", ".join(map(str, value)) if isinstance(value, list) else value)
        )
    return found


def _line(value: Any) -> str:
    return " ".join(value.split())[:4_000] if isinstance(value, str) else ""
