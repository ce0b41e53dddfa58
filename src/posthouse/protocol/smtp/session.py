"""What both sides of a connection know of the session, and how a reply changes it.

``ClientSide`` and ``ServerSide`` each own one ``Session``; they call ``answered`` when a reply has
been received, or is about to be sent. That is the only place where the state moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.extensions import parse_ehlo
from posthouse.protocol.smtp.reply import Reply
from posthouse.protocol.smtp.state import State, after

GREETING = "GREETING"


# Whose answer matters to more than the state; a relay answers many commands, so one look decides.
_TELLING: Final = frozenset({"EHLO", "XCLIENT", "AUTH", "RESPONSE", "MAIL", "RCPT"})
_ENDING: Final = frozenset({"RSET", "MESSAGE", "BDAT", "BDAT LAST"})


class Awaited(NamedTuple):
    """A reply that is owed: the table's name and the command (None: the greeting)."""

    name: str
    command: c.Command | None


@dataclass(slots=True)
class Session:
    """Mutable, with one owner."""

    lmtp: bool
    tls: bool
    state: State = State.GREETING
    extensions: dict[str, str] = field(default_factory=dict)  # as told in the last EHLO reply
    authenticated: bool = False
    recipients: list[str] = field(default_factory=list)  # accepted in this transaction
    utf8: bool = False  # this transaction has SMTPUTF8
    binary: bool = False  # this transaction has BODY=BINARYMIME

    def answered(self, awaited: Awaited, reply: Reply) -> bool:
        """Move on: ``reply`` answers ``awaited``. False: it can't (250 to DATA); nothing moved."""
        name, command = awaited
        state = after(self.state, name, reply.code)
        if state is None:
            return False
        self.state = state
        if name in _TELLING:
            if reply.code < 300:
                self._agreed(command, reply)
        elif name in _ENDING and state is State.READY:
            self._forget_transaction()
        return True

    def _agreed(self, command: c.Command | None, reply: Reply) -> None:
        if isinstance(command, c.Rcpt):
            if self.state is State.RCPT:
                self.recipients.append(command.recipient)
        elif isinstance(command, c.Mail):
            self._begin(command)
        elif isinstance(command, c.TELLING_HELLOS):
            self._forget_transaction()
            # The first line is the server's name (RFC 5321 section 4.1.1.1).
            self.extensions = parse_ehlo(reply.lines[1:])
        elif isinstance(command, (c.Helo, c.Xclient)):
            self._forget_transaction()
            self.extensions = {}
        elif isinstance(command, (c.Auth, c.AuthResponse)):
            self.authenticated = True

    def _begin(self, command: c.Mail) -> None:
        self._forget_transaction()
        if command.params:
            self.utf8 = "SMTPUTF8" in command.params
            self.binary = (command.params.get("BODY") or "").upper() == "BINARYMIME"

    def _forget_transaction(self) -> None:
        self.recipients = []
        self.utf8 = self.binary = False

    def message_replies(self, name: str, command: c.Command) -> list[Awaited]:
        """The replies that a complete message gets: one, or in LMTP one for each recipient."""
        if not self.lmtp or not self.recipients:
            return [Awaited(name, command)]
        return [Awaited(name, c.MessageEnd(recipient)) for recipient in self.recipients]

    def tls_started(self) -> None:
        """RFC 3207 section 4.2: nothing that was said before counts any more."""
        self.state = State.GREETED
        self.tls = True
        self.authenticated = False
        self.extensions = {}
        self._forget_transaction()
