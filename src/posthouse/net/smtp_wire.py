"""What ``net.smtp`` stands on: a ``Connection`` on a ``Stream``, its time-outs and transcript.

Enters: commands and pieces of a message. Leaves: whole replies in order, or a NetworkFailure of the
stage that the caller names; every line masked in the Trace. Only ``SmtpClient`` uses it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from posthouse.flow import Failure, Mark, NetworkFailure, Stage, Trace
from posthouse.net.stream import Stream
from posthouse.protocol.first_bytes import protocol_of
from posthouse.protocol.smtp.command import Command
from posthouse.protocol.smtp.connection import Connection, Role
from posthouse.protocol.smtp.events import MessageData, RemoteError, ReplyReceived
from posthouse.protocol.smtp.limits import Limits
from posthouse.protocol.smtp.masking import Masker
from posthouse.protocol.smtp.reply import Reply
from posthouse.protocol.smtp.state import State


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, as RFC 5321 section 4.5.3.2 advises. A caller in a hurry sets its own around us."""

    greeting: float = 300.0
    command: float = 300.0
    data: float = 120.0  # for the 354
    block: float = 180.0  # for each block of the message to be taken
    end: float = 600.0  # for the reply to the end of the message


class Wire:
    """The owner of a client's connection and of what has been read from it."""

    def __init__(
        self, stream: Stream, trace: Trace | None, timeouts: Timeouts, *, lmtp: bool
    ) -> None:
        self.connection = Connection(Role.CLIENT, lmtp=lmtp, tls=stream.tls is not None)
        self._stream = stream
        self._trace = trace
        self._timeouts = timeouts
        self._masker = Masker()
        self._replies: deque[ReplyReceived] = deque()
        self._goodbye: ReplyReceived | None = None  # 421 that nothing had asked for
        self._write_failure: NetworkFailure | None = None

    @property
    def all_written(self) -> bool:
        """Whether everything sent so far was taken by the system."""
        return self._write_failure is None

    def tls_started(self) -> int:
        """The stream is inside TLS now; octets that were injected before."""
        if self.connection.state is State.TLS:
            return self.connection.tls_started()
        self.connection = Connection(Role.CLIENT, lmtp=self.connection.lmtp, tls=True)
        return 0

    # -- writing

    async def send(self, item: Command | MessageData, stage: Stage) -> None:
        """Write one item. LocalProtocolError where it may not be sent now."""
        if self._goodbye is not None:  # the server ended the session before we could ask
            if not isinstance(item, MessageData):
                self._replies.append(self._goodbye)
            return
        octets = self.connection.send(item)
        if not isinstance(item, MessageData):
            self._line(Mark.SENT, self._masker.command(item))
        await self._write(octets, stage)

    async def _write(self, octets: bytes, stage: Stage) -> None:
        """A broken pipe is not raised yet: the server may have said why, and that is unread."""
        if self._write_failure is not None:
            return
        seconds = self._timeouts.block
        try:
            async with asyncio.timeout(seconds) as bound:
                await self._stream.write(octets)
        except TimeoutError:
            if not bound.expired():  # the caller's own time-out
                raise
            self._write_failure = NetworkFailure(Failure.SILENT, stage, seconds=seconds)
        except NetworkFailure as failure:
            self._write_failure = failure

    # -- reading

    async def reply(self, stage: Stage, seconds: float) -> Reply:
        """The next reply; NetworkFailure where none comes or what comes is none."""
        try:
            async with asyncio.timeout(seconds) as bound:
                while not self._replies:
                    await self._read(stage)
        except TimeoutError:
            if not bound.expired():  # the caller's own time-out
                raise
            self._look_at_rest(stage)
            raise NetworkFailure(Failure.SILENT, stage, seconds=seconds) from None
        except NetworkFailure as failure:
            if failure.stage is Stage.ANY:
                failure.stage = stage
            self.note(str(failure.failure))
            raise
        return self._whole_reply()

    def _whole_reply(self) -> Reply:
        """The next reply, with the lines that a forgotten hyphen had cut off."""
        parts = [self._replies.popleft().reply]
        while self._replies and self._replies[0].continued:
            parts.append(self._replies.popleft().reply)
        if len(parts) == 1:
            return parts[0]
        lines = [line for part in parts for line in part.lines]
        defects = [defect for part in parts for defect in part.defects]
        limit = Limits().reply_lines
        return replace(
            parts[0],
            lines=tuple(lines[:limit]),
            raw=b"".join(part.raw for part in parts),
            defects=tuple(
                dict.fromkeys(
                    (*defects, "missing_hyphen", *["too_many_lines"] * (len(lines) > limit))
                )
            ),
        )

    async def _read(self, stage: Stage) -> None:
        try:
            data = await self._stream.read()
        except NetworkFailure as failure:
            raise self._write_failure or failure from None
        if not data:
            self._look_at_rest(stage)
            raise self._write_failure or NetworkFailure(Failure.CLOSED, stage)
        for event in self.connection.receive(data):
            if isinstance(event, RemoteError):
                raise self._unreadable(event.raw, stage)
            if isinstance(event, ReplyReceived):
                self._take(event)

    def _take(self, event: ReplyReceived) -> None:
        bad = event.reply.is_transient or event.reply.is_permanent
        for text in self._masker.reply(event.reply):
            self._line(Mark.SERVER_ERROR if bad else Mark.RECEIVED, text)
        event = event._replace(reply=self._masker.clean(event.reply))
        if not event.unsolicited:
            self._replies.append(event)
        elif event.reply.code == 421:
            self._goodbye = event

    def _look_at_rest(self, stage: Stage) -> None:
        """Raise where the words that stopped in the middle show what answers here."""
        rest = self.connection.unread
        if rest and protocol_of(rest) not in ("smtp", "unknown"):
            raise self._unreadable(rest, stage)

    def _unreadable(self, raw: bytes, stage: Stage) -> NetworkFailure:
        protocol = protocol_of(raw)
        text = self._masker.first_words(raw)
        self._line(Mark.RECEIVED, text)
        if protocol == "tls" and not self.connection.tls:
            return NetworkFailure(Failure.TLS_EXPECTED, stage)
        if protocol in ("smtp", "unknown"):
            return NetworkFailure(Failure.BAD_REPLY, stage, text=text)
        return NetworkFailure(Failure.NOT_SMTP, stage, protocol=protocol, text=text)

    def without_echo(self, told: Any) -> Any:
        """Plain JSON values without any credential that was sent."""
        if isinstance(told, str):
            return self._masker.hide(told)
        if isinstance(told, list):
            return [self.without_echo(item) for item in told]
        if isinstance(told, dict):
            return {self.without_echo(k): self.without_echo(v) for k, v in told.items()}
        return told

    # -- the transcript

    def note(self, text: str) -> None:
        """A line of ours."""
        self._line(Mark.OURS, text)

    def show_message(self, octets: int) -> None:
        """In place of the message itself, which is nobody's business."""
        self._line(Mark.SENT, f"({octets} octets)")

    def _line(self, mark: Mark, text: str) -> None:
        if self._trace is None:
            return
        if self.connection.tls:
            mark = {Mark.SENT: Mark.SENT_TLS, Mark.RECEIVED: Mark.RECEIVED_TLS}.get(mark, mark)
        self._trace.line(mark, text)
