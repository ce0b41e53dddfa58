"""The server's half of ``Connection``: commands and message in, replies out.

One command is looked at at a time: what the client pipelined behind it stays in the buffer until
the reply has been sent, because the reply decides what the octets after it are. So the owner
calls ``receive(b"")`` after each reply, until nothing comes any more.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.data import END, DataReader, Meter
from posthouse.protocol.smtp.errors import LocalProtocolError
from posthouse.protocol.smtp.events import (
    BodyChunk,
    BodyEnd,
    CommandReceived,
    Event,
    Refused,
    Sendable,
)
from posthouse.protocol.smtp.limits import AUTH_LINE, command_limit
from posthouse.protocol.smtp.parse import (
    CommandError,
    parse_arguments,
    parse_response,
    split_command,
    usual,
)
from posthouse.protocol.smtp.reply import Reply
from posthouse.protocol.smtp.session import GREETING, Awaited, Session
from posthouse.protocol.smtp.state import State, permitted

# RFC 4954 section 6: a login would be taken, but not in the clear.
_ENCRYPT: Final = Reply.make(538, "Encryption required for authentication", "5.7.11")
_REFUSED: Final = "REFUSED"  # no row of the table: the reply to it moves nothing


class ServerSide:
    """See ``Connection``."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.buffer = bytearray()
        self.dropped = 0  # octets that came between STARTTLS and the handshake
        self.awaited: deque[Awaited] = deque([Awaited(GREETING, None)])
        self._reader: DataReader | None = None  # after 354
        self._meter = Meter()  # of a message that comes by BDAT
        self._chunk: c.Bdat | None = None  # the BDAT whose octets are coming
        self._left = 0  # how many are still to come
        self._refusal: Refused | None = None  # what to say when an unwanted chunk has passed
        self._skipping: bytes | None = None  # the start of an over-long line being read over

    # Writing

    def send(self, reply: Sendable) -> bytes:
        """A reply as octets, if one is owed; 421 may always be said (RFC 5321 section 3.8)."""
        if not isinstance(reply, Reply):
            raise LocalProtocolError("a server sends replies")
        session = self.session
        if not self.awaited:
            if reply.code != 421:
                raise LocalProtocolError("no command waits for a reply")
            session.state = State.CLOSED
            return reply.wire(utf8=session.utf8)
        awaited = self.awaited[0]
        wire = reply.wire(utf8=session.utf8)
        if not session.answered(awaited, reply):
            raise LocalProtocolError(f"{reply.code} is no answer to {awaited.name}")
        self.awaited.popleft()
        if session.state is State.CLOSED:
            self.awaited.clear()
        elif session.state is State.DATA:
            self._reader = DataReader()
        return wire

    # Reading

    def at_once(self, data: bytes) -> c.Command | None:
        """The command that ``data`` is, where it is a usual one, whole and alone, and may come now.

        It is what ``receive`` would give as its only event, at a third of the time: the way of
        nearly all that a relay hears. None: nothing has been taken, ``receive`` has to look.
        """
        if (
            self.awaited
            or self.buffer
            or self._reader is not None
            or self._chunk is not None
            or self._skipping is not None
        ):
            return None
        return self._usual(data)

    def _usual(self, line: bytes) -> c.Command | None:
        """The command of a usual line that may come now; its reply is owed."""
        session = self.session
        command = usual(line, session.extensions)
        if command is None or (session.state, command.row) not in _AT_ONCE:
            return None
        if session.binary or session.lmtp:  # no DATA for the one, no EHLO for the other
            return None
        self.awaited.append(Awaited(command.row, command))
        return command

    def whole(self, data: bytes) -> tuple[bytes, BodyEnd] | None:
        """The octets of the message, and its end, where ``data`` ends with it; None: ``receive``.

        It is what ``receive`` would give as a chunk and an end: the way of nearly all messages.
        """
        reader = self._reader
        if reader is None or self.awaited or self.buffer or not data.endswith(END):
            return None
        body, rest = reader.feed(data)
        self.buffer += rest or b""  # where it had ended before
        return body, self._message_end(reader)

    def receive(self, data: bytes) -> list[Event]:
        """Take octets; give what is complete, up to the next command that needs a reply."""
        events: list[Event] = []
        if not self.buffer and self._chunk is None and not self.awaited:
            if not data:
                return events
            if self._reader is not None:
                data = self._take_data(events, data, self._reader)
                if not data:
                    return events
            elif (
                self._skipping is None
                and self.session.state not in _DEAF
                and data.find(b"\n") == len(data) - 1
            ):
                self._line(events, data)  # one whole command, as most clients send them
                data = b""
        self.buffer += data
        while not self.awaited and self.buffer:
            if self.session.state in _DEAF:
                self.dropped += len(self.buffer)
                self.buffer.clear()
            elif self._chunk is not None:
                self._take_chunk(events)
            elif self._reader is not None:
                text = bytes(self.buffer)
                self.buffer.clear()
                self.buffer += self._take_data(events, text, self._reader)
            elif not self._take_line(events):
                break
        if self._chunk is not None and self._left == 0 and not self.awaited:
            self._end_chunk(events, self._chunk)  # BDAT 0: no octet will come to end it
        return events

    def _take_data(self, events: list[Event], data: bytes, reader: DataReader) -> bytes:
        """Octets of the message; what comes after its end is given back."""
        body, rest = reader.feed(data)
        if body:
            events.append(BodyChunk(body))
        if rest is None:
            return b""
        events.append(self._message_end(reader))
        return rest

    def _message_end(self, reader: DataReader) -> BodyEnd:
        self._reader = None
        self.awaited.extend(self.session.message_replies("MESSAGE", c.MESSAGE_END))
        return BodyEnd(reader.meter.facts())

    def _take_chunk(self, events: list[Event]) -> None:
        taken = bytes(self.buffer[: self._left])
        del self.buffer[: self._left]
        self._left -= len(taken)
        if taken and self._refusal is None:
            self._meter.add(taken)
            events.append(BodyChunk(taken))
        if self._left == 0 and self._chunk is not None:
            self._end_chunk(events, self._chunk)

    def _end_chunk(self, events: list[Event], chunk: c.Bdat) -> None:
        self._chunk = None
        if self._refusal is not None:
            events.append(self._refusal)
            self.awaited.append(Awaited(_REFUSED, chunk))
            self._refusal = None
            return
        events.append(BodyEnd(self._meter.facts(), chunk.last, chunked=True))
        name = chunk.row
        if chunk.last:
            self.awaited.extend(self.session.message_replies(name, chunk))
        else:
            self.awaited.append(Awaited(name, chunk))

    def _take_line(self, events: list[Event]) -> bool:
        """One line to one event; False while the line is not complete."""
        end = self.buffer.find(b"\n")
        if self._skipping is None and len(self.buffer) > AUTH_LINE and not 0 <= end < AUTH_LINE:
            self._skipping = bytes(self.buffer[:4])
        if end < 0:
            if self._skipping is not None:
                self.buffer.clear()
            return False
        line = bytes(self.buffer[: end + 1])
        del self.buffer[: end + 1]
        start, self._skipping = self._skipping, None
        if start is not None:
            self._refuse(events, self._too_long(start), "line_too_long", fatal=_is_bdat(start))
        else:
            self._line(events, line)
        return True

    def _line(self, events: list[Event], line: bytes) -> None:
        """One line, with its end, to one event."""
        command = self._usual(line)
        if command is not None:
            events.append(CommandReceived(command))
            return
        limit = AUTH_LINE if self.session.state is State.AUTH else command_limit(line)
        if len(line) > limit:
            self._refuse(events, self._too_long(line), "line_too_long", fatal=_is_bdat(line))
        elif not line.endswith(b"\r\n"):
            # Only CRLF ends a line (RFC 5321 section 2.3.8).
            reply = Reply.make(500, "Bare LF received", "5.5.2")
            self._refuse(events, reply, "bare_lf", fatal=_is_bdat(line))
        else:
            self._command(events, line[:-2])

    def _command(self, events: list[Event], line: bytes) -> None:
        session = self.session
        try:
            if session.state is State.AUTH:
                command: c.Command = parse_response(line)
            else:
                verb, rest = split_command(line)
                if verb != c.Bdat.verb:
                    self._check(verb)
                command = parse_arguments(
                    verb, rest, extensions=session.extensions, utf8=session.utf8
                )
        except CommandError as error:
            self._refuse(events, error.reply, error.reason, fatal=error.reason == "bdat_size")
            return
        if isinstance(command, c.Bdat):
            self._begin_chunk(events, command)
            return
        events.append(CommandReceived(command))
        self.awaited.append(Awaited(command.row, command))

    def _begin_chunk(self, events: list[Event], chunk: c.Bdat) -> None:
        self._chunk, self._left = chunk, chunk.size
        try:
            self._check(c.Bdat.verb)
        except CommandError as error:
            # The octets come all the same and must be read over (RFC 3030 section 2).
            self._refusal = Refused(error.reply, error.reason)
            return
        if self.session.state is State.RCPT:
            self._meter = Meter()
        events.append(CommandReceived(chunk))

    def _refuse(self, events: list[Event], reply: Reply, reason: str, *, fatal: bool) -> None:
        events.append(Refused(reply, reason, fatal))
        in_auth = self.session.state is State.AUTH
        self.awaited.append(Awaited(c.AuthResponse.verb if in_auth else _REFUSED, None))

    def _too_long(self, line: bytes) -> Reply:
        """RFC 5321 section 4.5.3.1.10; of a login RFC 4954 section 6 has its own code."""
        login = self.session.state is State.AUTH or line[:4].upper() == c.Auth.verb.encode()
        return Reply.make(500, "Line too long", "5.5.6" if login else "5.5.2")

    def _check(self, verb: str) -> None:
        """CommandError where the verb may not come now."""
        session = self.session
        if (verb == c.Lhlo.verb and not session.lmtp) or (
            verb in (c.Ehlo.verb, c.Helo.verb) and session.lmtp  # RFC 2033 section 4.1
        ):
            raise _no(500, "LHLO is for LMTP, EHLO for SMTP", "wrong_protocol")
        needed = _NEEDS.get(verb)
        known = session.state not in (State.GREETING, State.GREETED, State.TURNED_AWAY)
        if needed is not None and known and needed not in session.extensions:
            if verb == c.Auth.verb and c.StartTls.verb in session.extensions:
                raise CommandError(_ENCRYPT, "not_encrypted")
            raise _no(502, f"{needed} is not offered", "not_offered")
        if verb == c.Auth.verb and session.authenticated:  # RFC 4954 section 4
            raise _no(503, "Already authenticated", "bad_sequence")
        name = c.Ehlo.verb if verb in (c.Helo.verb, c.Lhlo.verb) else verb
        if not permitted(session.state, name):
            raise _out_of_order(session.state, verb)
        if verb == c.Data.verb and session.binary:  # RFC 3030 section 3
            raise _no(503, "BINARYMIME needs BDAT", "bad_sequence")

    def forget(self) -> int:
        """Throw away what came before the handshake; how many octets that was."""
        dropped = self.dropped + len(self.buffer)
        self.dropped = 0
        self.buffer.clear()
        self._skipping = None
        return dropped


_DEAF: Final = (State.TLS, State.CLOSED)  # what comes now is thrown away
# Where a usual command may come; ``_usual`` knows the exceptions.
_AT_ONCE: Final = frozenset(
    (state, verb)
    for state in State
    for verb in ("EHLO", "MAIL", "RCPT", "DATA", "RSET", "QUIT")
    if permitted(state, verb)
)
# A verb that exists only where its extension was told in the EHLO reply.
_NEEDS: Final = {
    c.StartTls.verb: "STARTTLS",
    c.Auth.verb: "AUTH",
    c.Bdat.verb: "CHUNKING",
    c.Xclient.verb: "XCLIENT",
}


def _no(code: int, text: str, reason: str) -> CommandError:
    return CommandError(Reply.make(code, text, "5.5.1"), reason)


def _out_of_order(state: State, verb: str) -> CommandError:
    if verb == c.Data.verb and state is State.MAIL:  # RFC 5321 section 3.3
        return _no(554, "No valid recipients", "no_recipients")
    text = "Send EHLO first" if state is State.GREETED else "Bad sequence of commands"
    return _no(503, text, "bad_sequence")


def _is_bdat(line: bytes) -> bool:
    return line[:4].upper() == b"BDAT"
