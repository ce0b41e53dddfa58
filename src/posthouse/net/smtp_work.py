"""One transaction on a ``Carrier``: what is still to be said, what was answered, what comes of it.

Enters: an envelope and a message; replies as they come. Leaves: ``Carried``. Owned by ``Carrier``,
which knows the connection. Nothing fails.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from posthouse.flow import NetworkFailure, Stage
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.reply import Reply


class Carried(NamedTuple):
    """How one transaction went: each recipient with its reply, and where that was given."""

    replies: Mapping[str, tuple[Stage, Reply]] = MappingProxyType({})
    failure: NetworkFailure | None = None  # for the recipients without a reply
    unsure: bool = False  # the failure came after the end of data: it may have been delivered
    host: str = ""  # who said it, where there is no connection any more to ask
    heard: bool = True  # the replies are a server's, not what we know without asking it


class Work:
    """One transaction on its way."""

    __slots__ = (
        "accepted",
        "commands",
        "content",
        "done",
        "ending",
        "envelope",
        "mail",
        "owed",
        "refused_sender",
        "replies",
        "sent",
    )

    def __init__(
        self,
        done: asyncio.Future[Carried],
        mail: c.Mail,
        recipients: Sequence[c.Rcpt],
        content: bytes,
    ) -> None:
        self.done = done
        self.content = content
        self.mail = mail
        self.envelope = recipients
        binary = mail.params.get("BODY") == "BINARYMIME"
        last = c.Bdat(len(content), last=True) if binary else c.DATA
        self.commands: deque[c.Command] = deque((mail, *recipients, last))  # still to be said
        self.accepted: list[str] = []
        self.replies: dict[str, tuple[Stage, Reply]] = {}
        self.refused_sender = False
        self.owed = 0  # replies to come
        self.ending = False  # the end of data was said: the next message may follow
        self.sent = False  # the end of data is on its way: whatever happens now is not certain

    def refuse_all(self, stage: Stage, reply: Reply) -> None:
        self.refused_sender = True
        for one in self.envelope:
            self.replies.setdefault(one.recipient, (stage, reply))

    @property
    def unsaid(self) -> bool:
        """Whether nothing of an envelope that ends with DATA was said yet."""
        return len(self.commands) == len(self.envelope) + 2 and self.commands[-1] is c.DATA

    def recipient(self, recipient: str, reply: Reply) -> None:
        if self.refused_sender:  # some say yes to it all the same: nothing is sent for that
            return
        if reply.is_success:
            self.accepted.append(recipient)
        else:
            self.replies[recipient] = (Stage.RCPT, reply)

    def doubt(self) -> None:
        """A reply answers no command of ours: those before it may be to others (RFC 2920).

        Who was refused by them may be somebody else. A yes to the message itself stays.
        """
        self.replies = {one: said for one, said in self.replies.items() if said[1].is_success}

    def ended(self, command: c.Command, reply: Reply, *, lmtp: bool) -> None:
        one = command.recipient if isinstance(command, c.MessageEnd) else ""
        for recipient in [one] if lmtp and one else self.accepted:
            self.replies.setdefault(recipient, (Stage.DATA, reply))
