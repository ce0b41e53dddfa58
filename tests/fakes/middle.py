"""A man in the middle of a submission session, who adds octets of his own around STARTTLS.

Enters: where he stands, where the server is, what he says. Everything else is passed on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType

PORT = 587


@dataclass
class Middle:
    """Stands at ``near``:587 before ``far``:587."""

    near: str
    far: str
    behind_starttls: bytes = b""
    behind_220: bytes = b""
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Middle:
        self._server = await asyncio.start_server(self._pass_on, self.near, PORT)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()

    async def _pass_on(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection(self.far, PORT)
        asked = asyncio.Event()
        try:
            await asyncio.gather(
                self._commands(near, forth, asked), self._replies(far, back, asked)
            )
        except OSError:
            pass  # somebody hung up
        finally:
            forth.close()
            back.close()

    async def _commands(
        self, near: asyncio.StreamReader, forth: asyncio.StreamWriter, asked: asyncio.Event
    ) -> None:
        while data := await near.read(65_536):
            if not asked.is_set() and data.upper().endswith(b"STARTTLS\r\n"):
                asked.set()
                data += self.behind_starttls
            forth.write(data)
            await forth.drain()
        forth.write_eof()

    async def _replies(
        self, far: asyncio.StreamReader, back: asyncio.StreamWriter, asked: asyncio.Event
    ) -> None:
        done = False
        while data := await far.read(65_536):
            if asked.is_set() and not done:
                done = True
                data += self.behind_220
            back.write(data)
            await back.drain()
        back.write_eof()
