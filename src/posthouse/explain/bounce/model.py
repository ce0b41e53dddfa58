"""What a bounce tells: ``Bounce`` and its ``Failed`` recipients. Facts, made by ``read``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from posthouse.explain.explanation import Explanation

DONE = frozenset({"delivered", "relayed", "expanded"})  # RFC 3464 section 2.3.3: no failure


@dataclass(frozen=True, slots=True)
class Failed:
    """One recipient of a bounce."""

    recipient: str
    action: (
        str  # "failed", "delayed"; also "delivered", "relayed", "expanded" of a report asked for
    )
    status: str  # "5.1.1": the report's, or the reply's where that is more exact; "" if none
    diagnostic: str  # the words the explanation is of
    remote: str  # the server that said them, "" where it is not told
    explanation: Explanation | None  # None where nothing failed
    original: str = ""  # the address as the sender wrote it, where another one failed

    def to_dict(self, lang: str) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "recipient": self.recipient,
            "original": self.original,
            "action": self.action,
            "status": self.status,
            "diagnostic": self.diagnostic,
            "remote": self.remote,
            "explanation": self.explanation.to_dict(lang) if self.explanation else None,
        }


@dataclass(frozen=True, slots=True)
class Bounce:
    """One report about one message."""

    message_id: str  # of the message that bounced, with its brackets; "" where it is not told
    reporter: str  # the server that reports
    recipients: tuple[Failed, ...]
    form: str = "dsn"  # "dsn" (RFC 3464), "text", "ses"
    subject: str = ""  # of the message that bounced, as its "to" and "date"
    to: str = ""
    date: str = ""

    @property
    def kind(self) -> str:
        """The worst that happened to a recipient: "failed", "delayed" or "delivered"."""
        actions = {one.action for one in self.recipients}
        if actions <= DONE:
            return "delivered"
        return "delayed" if actions <= DONE | {"delayed"} else "failed"

    def about(self, message_id: str) -> bool:
        """Whether this is about the message we sent."""
        return bool(message_id) and self.message_id == message_id

    def to_dict(self, lang: str) -> dict[str, Any]:
        """Plain JSON values; ids are never translated."""
        return {
            "kind": self.kind,
            "form": self.form,
            "reporter": self.reporter,
            "message_id": self.message_id,
            "subject": self.subject,
            "to": self.to,
            "date": self.date,
            "recipients": [one.to_dict(lang) for one in self.recipients],
        }
