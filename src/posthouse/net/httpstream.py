"""Our ``Stream`` as httpcore's network stream.

Enters: a connected stream. Leaves: the object httpcore's HTTP/1.1 connection reads and writes.
Only ``net.http`` uses it, and imports it when the first document is fetched.
"""

from __future__ import annotations

import httpcore2

from posthouse.flow import NetworkFailure
from posthouse.net.stream import Stream


class CoreStream(httpcore2.AsyncNetworkStream):
    """Adapter; time-outs are set around the whole request, so the ones passed here are unused."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._stream.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if not buffer:
            return
        try:
            await self._stream.write(buffer)
        except NetworkFailure as failure:
            # httpcore then reads what the server said before it hung up.
            raise httpcore2.WriteError(str(failure)) from failure

    async def aclose(self) -> None:
        await self._stream.close()
