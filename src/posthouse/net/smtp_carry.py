"""The relay's hands: one connection to a next hop that carries many messages, one after the other.

Enters: a connection opened by the means of ``smtp_open``, then transactions in wire form. Leaves:
a ``Carried`` for each: which reply each recipient got, at which stage, or the NetworkFailure that
ended it. Called by ``send.deliver``'s pool. Commands are pipelined where the server offers it (RFC
2920); a message handed over while another is under way follows on its heels: its commands go out
with the end of that one, which saves a round trip.

What can fail: ``carry`` never raises: a connection that breaks is told in its result, with the
recipients whose fate is not known (the end of data was sent, no answer came) marked by
``Carried.unsure``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Final, cast

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.smtp_open import COMMAND, Opening
from posthouse.net.smtp_work import Carried, Work
from posthouse.net.tcp import has_vanished
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.errors import LocalProtocolError
from posthouse.protocol.smtp.events import MessageData, RemoteError, ReplyReceived
from posthouse.protocol.smtp.reply import Reply
from posthouse.protocol.smtp.state import State

BLOCK: Final = 180.0  # seconds for a part of a message to be taken (section 4.5.3.2.5)
END: Final = 600.0  # seconds for the reply to the end of data, once that is out (section 4.5.3.2.6)
PART: Final = 65_536  # octets handed to the transport at once


class Carrier(Opening):
    """One connection."""

    def __init__(self, *, lmtp: bool = False, tls: bool = False) -> None:
        super().__init__(lmtp=lmtp, tls=tls)
        self._side = self._connection.client
        self._work: Work | None = None
        self._behind: Work | None = None  # the one that comes next
        self._held: deque[bytes | memoryview] = deque()  # not yet handed to the transport
        self._full = False  # the transport has more than it can get rid of
        self.deadline = self._loop.time() + COMMAND  # the pool's sweep ends us after it
        self.peer = ""  # the address we are connected to, or were
        self.carried = 0  # transactions
        self.opened = self._loop.time()
        self.used = self.opened  # when the last transaction ended

    def carry(
        self, mail: c.Mail, recipients: Sequence[c.Rcpt], content: bytes
    ) -> asyncio.Future[Carried]:
        """Hand over one message (wire form; as it is where BODY=BINARYMIME).

        One more may be handed over before the one under way has ended; not a third.
        """
        work = Work(self._loop.create_future(), mail, recipients, content)
        if self._work is None:
            self._begin(work)
        elif self._behind is None:
            self._behind = work
            if self._work.ending:
                self._write(self._heels())
        else:
            raise LocalProtocolError("two messages are under way")
        return work.done

    @property
    def room(self) -> int:
        """How many messages may be handed over now."""
        return (self._work is None) + (self._behind is None)

    @property
    def _unsent(self) -> bool:
        """Whether the peer does not take what we have said."""
        return bool(self._held or self._full)

    @property
    def vanished(self) -> bool:
        """Whether there is nobody any more: the link is cut, the machine is off."""
        return has_vanished(self._transport)

    def quit(self) -> None:
        """Say QUIT without waiting for the answer; it is over anyway.

        Behind what is not taken it would never leave, nor would we: that is hung up on.
        """
        if self._unsent or self.vanished:
            self.abort(NetworkFailure(Failure.CLOSED, Stage.ANY))
            return
        with contextlib.suppress(LocalProtocolError):
            self._write(self._connection.send(c.Quit()))
        if self._transport is not None:
            self._transport.close()

    def abort(self, failure: NetworkFailure) -> None:
        """The time is over: tell whoever waits, and hang up."""
        self._broken(failure)
        self._held.clear()
        if self._transport is not None:
            self._transport.abort()

    def _begin(self, work: Work) -> None:
        self._work = work
        self.deadline = self._loop.time() + COMMAND
        if self.failure is not None or self._transport is None:
            self._finish(self.failure or NetworkFailure(Failure.CLOSED, Stage.MAIL))
        elif work.owed == 0:
            self._go_on(work)

    def _go_on(self, work: Work) -> None:
        try:
            octets = self._commands(work)
        except LocalProtocolError:  # a parameter that is not offered, a line too long
            self._unsayable(work)
            return
        if len(octets) > PART:
            self._hold(octets)
            octets = b""
        self._write(octets)

    def _unsayable(self, work: Work) -> None:
        """It can't be said to this server, now or later."""
        work.refuse_all(Stage.DATA, Reply.make(554, "The message is malformed", "5.6.0"))
        self.abort(NetworkFailure(Failure.CLOSED, Stage.DATA))

    def _commands(self, work: Work) -> bytes:
        """All commands at once where the server takes them so, else the next one."""
        if self._is_over:
            return b""
        grouped = "PIPELINING" in self._side.session.extensions
        if grouped and work.unsaid:
            octets = self._side.send_envelope(work.mail, work.envelope)
            work.owed = len(work.commands)
            work.commands.clear()
            return octets
        out: list[bytes] = []
        while work.commands:
            if isinstance(work.commands[0], c.Bdat):
                if not out and work.owed == 0:  # the recipients first: who takes it?
                    out += self._chunk(work)
                break
            out.append(self._connection.send(work.commands.popleft()))
            work.owed += 1
            if not grouped:
                break
        return b"".join(out)

    def _chunk(self, work: Work) -> list[bytes]:
        """A binary message goes whole, as one chunk (RFC 3030 section 3)."""
        self.deadline = self._loop.time() + END
        work.sent = work.ending = True
        work.owed = len(work.accepted) if self._connection.lmtp else 1
        bdat = self._connection.send(work.commands.popleft())
        return [bdat, self._connection.send(MessageData(work.content))]

    def _heels(self) -> bytes:
        """What may follow the end of data at once: the next commands (RFC 2920 section 3.1).

        Not behind a message that is still here: what is here has to be of that one (``_finish``).
        """
        work = self._behind
        if (
            self._unsent
            or work is None
            or self._connection.lmtp
            or "PIPELINING" not in self.extensions
        ):
            return b""
        try:
            return self._commands(work) if work.unsaid else b""
        except LocalProtocolError:  # of that one nothing was said: it fails when its turn comes
            return b""

    def _replied(self, event: ReplyReceived) -> None:
        if event.continued:
            return
        if event.reply.code >= 400:  # these are kept and shown: no echo of a password in them
            event = event._replace(reply=self._masker.clean(event.reply))
        if event.unsolicited or self._work is None:
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_result(event.reply)
            elif not event.unsolicited:
                self._early = event.reply  # the greeting may be there before we ask for it
            else:  # 421 before a time-out (RFC 5321 section 3.8), or a reply too many
                if event.reply.code != 421 and self._work is not None:
                    self._work.doubt()
                self._broken(NetworkFailure(Failure.CLOSED, Stage.ANY, text=str(event.reply)))
            return
        self._advance(self._work, event.command, event.reply)

    def _advance(self, work: Work, command: c.Command | None, reply: Reply) -> None:
        work.owed -= 1
        if isinstance(command, c.Mail):
            if not reply.is_success:
                work.refuse_all(Stage.MAIL, reply)
        elif isinstance(command, c.Rcpt):
            work.recipient(command.recipient, reply)
        elif isinstance(command, c.Data):
            self._data(work, reply)
            return
        elif isinstance(command, (c.MessageEnd, c.Bdat)):
            self._ended(work, command, reply)
            return
        elif isinstance(command, c.Rset):
            self._finish(None)
            return
        self.deadline = self._loop.time() + COMMAND
        if reply.code == 421:
            self._broken(NetworkFailure(Failure.CLOSED, Stage.ANY, text=str(reply)))
        elif work.owed == 0:
            self._after_group(work)

    def _ended(self, work: Work, command: c.MessageEnd | c.Bdat, reply: Reply) -> None:
        """A reply to the message, for all recipients or, in LMTP, for one."""
        early = self._unsent  # the end has not left us
        if not (early and reply.is_success):  # that would be a yes to something else
            work.ended(command, reply, lmtp=self._connection.lmtp)
        if early:  # whoever does not wait for the end may take the rest for commands
            self.abort(NetworkFailure(Failure.BAD_REPLY, Stage.DATA, text=str(reply)))
        elif work.owed:
            self.deadline = self._loop.time() + END
        else:
            if reply.code == 421:  # taken or not, it was the last (RFC 5321 section 3.8)
                self.failure = NetworkFailure(Failure.CLOSED, Stage.ANY, text=str(reply))
            self._finish(None)

    def _after_group(self, work: Work) -> None:
        """One at a time: the next command, unless nobody is left to send to."""
        if work.commands and not work.accepted and not isinstance(work.commands[0], c.Rcpt):
            work.commands.clear()
        if work.refused_sender or (not work.commands and not work.accepted):
            work.commands.clear()
            self._reset(work)
            return
        self._go_on(work)

    def _data(self, work: Work, reply: Reply) -> None:
        if reply.is_intermediate:
            if self._is_over:
                return
            # A 354 without an accepted recipient: the end has to be said all the same (RFC 2920).
            self.deadline = self._loop.time() + END
            content = work.content if work.accepted else b""
            work.sent = bool(work.accepted)
            try:
                out = self._side.send(MessageData(content, wire=True)) if content else b""
                end = self._side.send(c.MESSAGE_END)
            except LocalProtocolError:
                self._unsayable(work)
                return
            # In LMTP each accepted recipient gets its own reply (RFC 2033 section 4.2); an end
            # for nobody, where 354 was wrong, is taken to get one.
            work.owed = (len(work.accepted) or 1) if self._connection.lmtp else 1
            work.ending = True
            if len(out) > PART:
                self._hold(out)
                out = b""
            self._write(out, end, self._heels())
            return
        for recipient in work.accepted:
            work.replies.setdefault(recipient, (Stage.DATA, reply))
        if work.owed == 0:
            self._reset(work)

    def _reset(self, work: Work) -> None:
        """Nothing will be sent: the server forgets the transaction, and so do we."""
        if self._is_over:  # 421 was said
            self._broken(NetworkFailure(Failure.CLOSED, Stage.ANY))
            return
        work.owed += 1
        self.deadline = self._loop.time() + COMMAND
        self._write(self._connection.send(c.Rset()))

    def _finish(self, failure: NetworkFailure | None) -> None:
        work, self._work = self._work, None
        if work is None:
            return
        said = self._behind is not None and self._behind.owed  # with the end of this one
        if not (self.failure or said) and self._connection.state is not State.READY:
            # RSET was refused: no transaction can begin here any more.
            self.failure = NetworkFailure(Failure.BAD_REPLY, Stage.ANY)
        self.carried += 1
        self.used = self._loop.time()
        self.deadline = self.used + COMMAND
        if not work.done.done():
            # What is still here has not left us, and the end of data comes last.
            unsure = failure is not None and work.sent and not self._unsent
            work.done.set_result(Carried(work.replies, failure, unsure))
        behind, self._behind = self._behind, None
        if behind is not None:
            self._begin(behind)

    # -- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._transport is None:
            self._transport = cast(asyncio.Transport, transport)
            # Now: one of asyncio's for TLS can't be asked any more once it was aborted.
            name = transport.get_extra_info("peername")
            self.peer = str(name[0]) if name else ""

    def data_received(self, data: bytes) -> None:
        work = self._work
        if work is not None and (reply := self._side.agreed(data)) is not None:
            work.owed = 0
            work.accepted = [one.recipient for one in work.envelope]
            self._data(work, reply)
            return
        for event in self._side.receive(data):
            if isinstance(event, ReplyReceived):
                self._replied(event)
            elif isinstance(event, RemoteError):
                if event.reason == "wrong_class" and self._work is not None:
                    self._work.doubt()
                detail = {"reason": event.reason, "text": self._masker.first_words(event.raw)}
                self.abort(NetworkFailure(Failure.BAD_REPLY, Stage.ANY, **detail))
                return

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._held or (self._work is not None and self._work.ending):
            self._write_on()

    def connection_lost(self, exc: Exception | None) -> None:
        kind = Failure.RESET if exc is not None else Failure.CLOSED
        self._broken(NetworkFailure(kind, Stage.ANY, host=self.peer))

    # -- helpers

    def _broken(self, failure: NetworkFailure) -> None:
        self.failure = self.failure or failure
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(self.failure)
        self._finish(self.failure)

    def _write(self, *pieces: bytes) -> None:
        if self._held:
            self._held += pieces
            self._write_on()
        elif self._transport is not None and not self._transport.is_closing():
            # asyncio's own, from Python 3.12 on, never gets rid of an empty one and spins.
            self._transport.writelines([one for one in pieces if one])

    def _hold(self, content: bytes) -> None:
        """A long message goes part by part, as it is taken: so a slow server is told from a dead
        one, and we know whether the end has left us (the transport is full while it has any)."""
        view = memoryview(content)
        self._held += [view[at : at + PART] for at in range(0, len(view), PART)]
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=1, low=0)

    def _write_on(self) -> None:
        while self._held and not self._full:
            if self._transport is None or self._transport.is_closing():
                return
            self._transport.write(self._held.popleft())
        self.deadline = self._loop.time() + (BLOCK if self._held else END)
