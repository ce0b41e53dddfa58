"""The client's half of ``Connection``: commands out, replies in.

Replies are matched to commands in order (RFC 2920). What ends a reply: a line without a hyphen.
Some servers forget hyphens ("250 8BITMIME" in the middle of an EHLO list). The rule for that does
not look at how the octets were cut: lines that follow a finished reply while no command awaits
one, with the same code, are more of that reply. They come as an event of their own
(``continued``), and EHLO's are added to the extensions. So a caller that reads on before it sends
the next command sees all of them, and any cut of the same octets gives the same events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.data import Stuffer
from posthouse.protocol.smtp.errors import LocalProtocolError, RemoteProtocolError
from posthouse.protocol.smtp.events import Event, MessageData, RemoteError, ReplyReceived, Sendable
from posthouse.protocol.smtp.extensions import auth_mechanisms, parse_ehlo
from posthouse.protocol.smtp.limits import Limits
from posthouse.protocol.smtp.reply import Reply, ReplyReader, common, common_group
from posthouse.protocol.smtp.session import GREETING, Awaited, Session
from posthouse.protocol.smtp.state import State, hoped, permitted
from posthouse.protocol.smtp.write import write_command

_DATA_LINE: Final = b"DATA\r\n"
_DATA_AWAITED: Final = Awaited("DATA", c.DATA)


class ClientSide:
    """See ``Connection``."""

    def __init__(self, session: Session, limits: Limits) -> None:
        self.session = session
        self.buffer = bytearray()
        self.dropped = 0  # octets that came between the 220 to STARTTLS and the handshake
        self.awaited: deque[Awaited] = deque([Awaited(GREETING, None)])
        self._limits = limits
        self._reader = ReplyReader(limits)
        self._last: tuple[Awaited, int] | None = None  # the reply before: to what, and its code
        self._mail: c.Mail | None = None  # sent last, answered or not
        self._chunk = 0  # octets of a BDAT chunk still to be written
        self._stuffer: Stuffer | None = None  # while a message goes out after 354
        self._broken = False
        self._ahead: State | None = None  # what ``_hoped_state`` found, while it holds

    # Writing

    def send(self, item: Sendable) -> bytes:
        """The octets of a command or of a piece of the message, if it may be sent now."""
        if isinstance(item, MessageData):
            return self._data(item.data, wire=item.wire)
        if isinstance(item, Reply):
            raise LocalProtocolError("a client sends commands")
        if self._chunk:
            raise LocalProtocolError("a BDAT chunk is not complete")
        name = item.row
        self._check_group(item)
        state = self._hoped_state()
        if not permitted(state, name):
            raise LocalProtocolError(f"{name} may not be sent in state {state}")
        if isinstance(item, c.MessageEnd):
            return self._end_message(item)
        if not isinstance(item, c.PATHS):
            self._check_terms(item)
        utf8 = self._mail is not None and "SMTPUTF8" in self._mail.params
        line = write_command(item, extensions=self.session.extensions, utf8=utf8)
        self._sent(name, item)
        self._ahead = hoped(state, name)
        return line

    def send_envelope(self, mail: c.Mail, recipients: Sequence[c.Rcpt]) -> bytes:
        """MAIL, RCPT for each and DATA as one group (RFC 2920): as ``send`` gives them, or none."""
        if self._chunk:
            raise LocalProtocolError("a BDAT chunk is not complete")
        self._check_group(mail)
        extensions = self.session.extensions
        if "PIPELINING" not in extensions:
            raise LocalProtocolError("the server does not offer PIPELINING")
        if self._hoped_state() is not State.READY or not recipients:
            raise LocalProtocolError("a transaction may not begin here, or has no recipients")
        if mail.params.get("BODY") == "BINARYMIME":  # RFC 3030 section 3
            raise LocalProtocolError("BINARYMIME needs BDAT")
        utf8 = "SMTPUTF8" in mail.params
        lines = [write_command(mail, extensions=extensions)]
        lines += [write_command(one, extensions=extensions, utf8=utf8) for one in recipients]
        lines.append(_DATA_LINE)
        awaited = self.awaited
        awaited.append(Awaited("MAIL", mail))
        for one in recipients:
            awaited.append(Awaited("RCPT", one))
        awaited.append(_DATA_AWAITED)
        self._mail, self._stuffer, self._ahead = mail, Stuffer(), State.DATA
        return b"".join(lines)

    def _hoped_state(self) -> State:
        """Where the session is when all replies that are under way say yes."""
        if not self.awaited:
            return self.session.state
        if self._ahead is None:
            state = self.session.state
            for awaited in self.awaited:
                state = hoped(state, awaited.name)
            self._ahead = state
        return self._ahead

    def _sent(self, name: str, item: c.Command) -> None:
        self.awaited.append(Awaited(name, item))
        if isinstance(item, c.Mail):
            self._mail = item
        elif isinstance(item, c.Bdat):
            self._chunk = item.size
        elif isinstance(item, c.Data):
            self._stuffer = Stuffer()

    def _check_group(self, item: c.Command) -> None:
        if not self.awaited:
            return
        last = self.awaited[-1].command
        if last is None or type(last) in c.ENDS_GROUP:
            raise LocalProtocolError(f"{item.verb} must wait for the reply before it")
        if "PIPELINING" not in self.session.extensions:
            raise LocalProtocolError("the server does not offer PIPELINING")

    def _check_terms(self, item: c.Command) -> None:
        session = self.session
        if isinstance(item, c.HELLOS) and isinstance(item, c.Lhlo) != session.lmtp:
            raise LocalProtocolError("LHLO is for LMTP, and LMTP has nothing else")
        if isinstance(item, c.StartTls) and session.tls:
            raise LocalProtocolError("TLS is there already")
        if isinstance(item, c.Xclient) and "XCLIENT" not in session.extensions:
            raise LocalProtocolError("the server does not offer XCLIENT")
        if isinstance(item, c.Auth):
            if session.authenticated:
                raise LocalProtocolError("logged in already")
            if item.mechanism not in auth_mechanisms(session.extensions):
                raise LocalProtocolError("the server does not offer this mechanism")
        binary = self._mail is not None and self._mail.params.get("BODY") == "BINARYMIME"
        if isinstance(item, c.Data) and binary:  # RFC 3030 section 3
            raise LocalProtocolError("BINARYMIME needs BDAT")

    def _data(self, data: bytes, *, wire: bool) -> bytes:
        """Octets of the message, for the chunk that BDAT announced or after 354."""
        if self._chunk or (self.awaited and isinstance(self.awaited[-1].command, c.Bdat)):
            if len(data) > self._chunk:
                raise LocalProtocolError("more octets than BDAT announced")
            self._chunk -= len(data)
            return data
        if self.session.state is not State.DATA or self.awaited or self._stuffer is None:
            raise LocalProtocolError("no message is expected now")
        return self._stuffer.add_wire(data) if wire else self._stuffer.add(data)

    def _end_message(self, item: c.MessageEnd) -> bytes:
        if self._stuffer is None or self.awaited:
            raise LocalProtocolError("no message is expected now")
        out = self._stuffer.end()
        self._stuffer = None
        self.awaited.extend(self.session.message_replies("MESSAGE", c.MESSAGE_END))
        self._ahead = None
        return out

    # Reading

    def agreed(self, data: bytes) -> Reply | None:
        """The last reply, where ``data`` is a yes to all of ``send_envelope``; None: ``receive``.

        What ``receive`` would give as one event for each: 2yz to MAIL and to each RCPT, 354.
        """
        awaited, session = self.awaited, self.session
        count = len(awaited)
        if count < 3 or awaited[-1] is not _DATA_AWAITED or self.buffer or self._reader.octets:
            return None
        (_, mail), replies = awaited[0], common_group(data)
        if not isinstance(mail, c.Mail) or session.state is not State.READY or replies is None:
            return None
        *agreed, last = replies
        if len(replies) != count or last.code != 354 or any(one.code >= 300 for one in agreed):
            return None
        for one, reply in zip(awaited, replies, strict=True):
            session.answered(one, reply)
        self._last, self._ahead = (_DATA_AWAITED, last.code), None
        awaited.clear()
        return last

    def receive(self, data: bytes) -> list[Event]:
        """Take octets; give the replies that are complete."""
        events: list[Event] = []
        self.buffer += data
        begin = 0
        while not self._broken and self.session.state is not State.TLS:
            end = self.buffer.find(b"\n", begin)
            if end < 0:
                break
            line = bytes(self.buffer[begin : end + 1])
            begin = end + 1
            try:
                reply = self._read(line)
            except RemoteProtocolError as error:
                events.append(self._break(error.reason, error.raw))
                break
            if reply is not None:
                events.append(self._reply(reply))
        del self.buffer[:begin]
        self._check_rest(events)
        return events

    def _read(self, line: bytes) -> Reply | None:
        plain = not self._reader.in_progress and len(line) <= self._limits.reply_line
        return (common(line) if plain else None) or self._reader.add(line)

    def _check_rest(self, events: list[Event]) -> None:
        if self._broken:
            self.buffer.clear()
        elif self.session.state is State.TLS:
            self.dropped += len(self.buffer)
            self.buffer.clear()
        elif self._reader.octets + len(self.buffer) > self._limits.reply_octets:
            events.append(self._break("reply_too_long", self._reader.raw + bytes(self.buffer)))
            self.buffer.clear()

    def _break(self, reason: str, raw: bytes) -> RemoteError:
        self._broken = True
        self.session.state = State.CLOSED
        return RemoteError(reason, raw[: self._limits.reply_octets])

    def _reply(self, reply: Reply) -> Event:
        if not self.awaited:
            return self._unasked(reply)
        awaited = self.awaited.popleft()
        if awaited.name == "BDAT LAST" and isinstance(awaited.command, c.Bdat):
            # Only now is it known how many recipients were accepted (RFC 2033 section 4.2).
            more = self.session.message_replies(awaited.name, awaited.command)
            awaited = more[0]
            self.awaited.extendleft(reversed(more[1:]))
        self._last = (awaited, reply.code)
        if reply.code >= 300:
            self._ahead = None  # not what was hoped
        if not self.session.answered(awaited, reply):
            return self._break("wrong_class", reply.raw)
        return ReplyReceived(reply, awaited.command)

    def _unasked(self, reply: Reply) -> ReplyReceived:
        command = self._last[0].command if self._last is not None else None
        # In LMTP a recipient's reply looks like the one before: it is one too many.
        counted = self.session.lmtp and isinstance(command, (c.MessageEnd, c.Bdat))
        if self._last is not None and self._last[1] == reply.code != 421 and not counted:
            if isinstance(command, c.TELLING_HELLOS) and reply.is_success:
                self.session.extensions.update(parse_ehlo(reply.lines))
            return ReplyReceived(reply, command, continued=True)
        if reply.code == 421:  # RFC 5321 section 3.8
            self.session.state = State.CLOSED
        return ReplyReceived(reply, None, unsolicited=True)

    def forget(self) -> int:
        """Throw away what came before the handshake; how many octets that was."""
        dropped = self.dropped + len(self.buffer)
        self.dropped = 0
        self.buffer.clear()
        self._mail = None
        self._last = None
        self._ahead = None
        self._reader = ReplyReader(self._limits)
        return dropped
