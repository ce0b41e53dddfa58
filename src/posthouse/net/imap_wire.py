"""IMAP commands and responses on a stream: just enough of RFC 9051 for ``net.imap``.

Enters: commands with their continuation data. Leaves: untagged ``Response``s, or ``Refused`` for a
NO or BAD. Everything read is capped. What can fail: ``NetworkFailure`` of the stream; CLOSED;
SILENT after COMMAND_SECONDS; BAD_REPLY with "reason" not_imap or too_big.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.stream import Stream
from posthouse.protocol.first_bytes import protocol_of
from posthouse.protocol.smtp.masking import Masker

COMMAND_SECONDS: Final = 30.0  # RFC 9051 section 5.4 lets servers be slow; people do not wait
LINE_LIMIT: Final = 65_536  # octets; a long CAPABILITY or LIST line has some hundreds
LITERAL_LIMIT: Final = 65_536  # octets; message headers stay below
RESPONSES_LIMIT: Final = (
    2_000  # untagged responses to one command; a LIST of folders is the longest
)
OCTETS_LIMIT: Final = (
    1_048_576  # octets of all responses to one command; 30 headers and 500 folders
)
LITERALS_LIMIT: Final = 100  # of one response; the headers asked for come in one
TEXT_LIMIT: Final = 200  # characters of a refusal kept for people

_LITERAL: Final = re.compile(rb"\{(\d{1,10})\+?\}$")


class Refused(Exception):
    """The server said NO or BAD. ``text`` is its own explanation, shortened."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Response:
    """One untagged response without its "* ": text around ``literals``."""

    parts: tuple[bytes, ...]
    literals: tuple[bytes, ...] = ()

    def joined(self) -> bytes:
        """The text with the literals put back where they were announced."""
        pieces = [
            _LITERAL.sub(b"", part) + literal
            for part, literal in zip(self.parts, self.literals, strict=False)
        ]
        return b"".join((*pieces, self.parts[-1]))


class ImapWire:
    """One IMAP connection. Commands go one after the other."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = b""
        self._tag = 0
        self._left = OCTETS_LIMIT  # of the command at hand
        self.masker = Masker()  # who logs in tells it what must not be shown
        self.capabilities: frozenset[str] = frozenset()

    async def greeting(self) -> None:
        """The server's first line. Another protocol is BAD_REPLY, reason not_imap."""
        async with _limited():
            line = await self._line()
        if not line.upper().startswith((b"* OK", b"* PREAUTH")):
            raise _bad("not_imap", text=self._text(line), protocol=protocol_of(line))

    async def learn_capabilities(self) -> None:
        """Ask what the server can do now."""
        for response in await self.command("CAPABILITY"):
            words = response.joined().upper().split()
            if words[:1] == [b"CAPABILITY"]:
                names = (w.decode("ascii", "replace") for w in words[1:])
                self.capabilities = frozenset(names)

    async def command(self, text: str, *continued: bytes) -> list[Response]:
        """Send a command; each of ``continued`` goes out after a "+". Refused for NO and BAD."""
        self._tag += 1
        tag = b"P%d" % self._tag
        waiting = list(continued)
        responses: list[Response] = []
        self._left = OCTETS_LIMIT
        async with _limited():
            await self._stream.write(tag + b" " + text.encode() + b"\r\n")
            while True:
                response = await self._response()
                first = response.parts[0]
                if first.startswith(b"+"):
                    await self._stream.write((waiting.pop(0) if waiting else b"*") + b"\r\n")
                elif first.startswith(tag + b" "):
                    return self._completed(first[len(tag) + 1 :], responses)
                elif first.startswith(b"* "):
                    responses.append(Response((first[2:], *response.parts[1:]), response.literals))
                else:
                    raise _bad("not_imap", text=self._text(first))
                if len(responses) > RESPONSES_LIMIT:
                    raise _bad("too_big")

    async def attempt(self, text: str) -> list[Response]:
        """As ``command``; nothing where the server refuses."""
        try:
            return await self.command(text)
        except Refused:
            return []

    async def goodbye(self) -> None:
        """LOGOUT, whatever comes of it."""
        with suppress(NetworkFailure, Refused):  # the work is done
            await self.command("LOGOUT")

    def discard(self) -> None:
        """Forget what was read ahead: it came before TLS."""
        self._buffer = b""

    async def _response(self) -> Response:
        parts, literals = [await self._line()], list[bytes]()
        while (announced := _LITERAL.search(parts[-1])) is not None:
            size = int(announced[1])
            if size > LITERAL_LIMIT or len(literals) >= LITERALS_LIMIT:
                raise _bad("too_big")
            literals.append(await self._exactly(size))
            parts.append(await self._line())
        return Response(tuple(parts), tuple(literals))

    async def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            if len(self._buffer) > LINE_LIMIT:
                raise _bad("too_big")
            await self._more()
        line, _, self._buffer = self._buffer.partition(b"\n")
        self._count(len(line) + 1)
        return line.rstrip(b"\r")

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        self._count(size)
        return data

    def _count(self, octets: int) -> None:
        self._left -= octets
        if self._left < 0:
            raise _bad("too_big")

    async def _more(self) -> None:
        data = await self._stream.read()
        if not data:
            raise NetworkFailure(Failure.CLOSED, Stage.ANY, protocol="imap")
        self._buffer += data

    def _completed(self, status: bytes, responses: list[Response]) -> list[Response]:
        word, _, rest = status.partition(b" ")
        if word.upper() != b"OK":
            raise Refused(self._text(rest))
        return responses

    def _text(self, line: bytes) -> str:
        """The server's words for people: not endless, and no echo of a password in them."""
        text = line[: TEXT_LIMIT * 4].decode("utf-8", "replace").strip()
        return self.masker.text(text)[:TEXT_LIMIT]


@asynccontextmanager
async def _limited() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            yield
    except TimeoutError:
        detail = {"protocol": "imap", "seconds": COMMAND_SECONDS}
        raise NetworkFailure(Failure.SILENT, Stage.ANY, **detail) from None


def _bad(reason: str, **detail: str) -> NetworkFailure:
    detail = {"protocol": "imap", **detail, "reason": reason}
    return NetworkFailure(Failure.BAD_REPLY, Stage.ANY, **detail)
