"""Raw bytes between two ends: a socket, or a pair of buffers in memory.

Enters: sockets from asyncio, or nothing. Leaves: ``Pipe`` for ``net.stream``, which adds TLS.
What can fail: ``NetworkFailure`` with RESET, TIMEOUT, UNREACHABLE or OFFLINE, stage ANY.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol, Self, cast

from posthouse.flow import Failure, NetworkFailure, Stage

READ_LIMIT: Final = 65_536  # bytes one read gives at most, unless told otherwise
BUFFER_LIMIT: Final = 262_144  # bytes kept for a slow reader before the peer has to wait


# The process's open files, the system's, its memory for sockets.
EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def failure_of(error: BaseException | None, stage: Stage = Stage.ANY) -> NetworkFailure:
    """The OS's error in our words; None is a connection that this side has closed already."""
    if error is None:
        return NetworkFailure(Failure.CLOSED, stage)
    number = error.errno if isinstance(error, OSError) else None
    detail: dict[str, Any] = {"error": type(error).__name__}
    if number is not None:
        detail["errno"] = errno.errorcode.get(number, str(number))
    return NetworkFailure(_KINDS.get(number or 0, Failure.RESET), stage, **detail)


_KINDS: Final = {
    errno.ECONNREFUSED: Failure.REFUSED,
    errno.ETIMEDOUT: Failure.TIMEOUT,
    errno.EHOSTUNREACH: Failure.UNREACHABLE,
    errno.EHOSTDOWN: Failure.UNREACHABLE,
    errno.EACCES: Failure.UNREACHABLE,  # a local firewall or a "prohibit" route says no
    errno.EPERM: Failure.UNREACHABLE,
    errno.EADDRNOTAVAIL: Failure.OFFLINE,  # no address of that family on this machine
    errno.EAFNOSUPPORT: Failure.OFFLINE,
    errno.ENETUNREACH: Failure.OFFLINE,
    errno.ENETDOWN: Failure.OFFLINE,
    **dict.fromkeys(EXHAUSTED, Failure.EXHAUSTED),
}


class Pipe(Protocol):
    """Bytes both ways, no more."""

    async def receive(self, limit: int = READ_LIMIT) -> bytes:
        """1 to ``limit`` bytes, or b"" at the end."""
        ...

    async def send(self, data: bytes) -> None:
        """Hand over ``data``, and wait while too much of it is still unsent."""
        ...

    def discard(self) -> None:
        """Forget what was received but not read."""
        ...

    async def close(self) -> None:
        """Send what is left, then FIN. Never raises."""
        ...

    def abort(self) -> None:
        """RST."""
        ...


CLOSE_SECONDS: Final = 2.0  # how long a close waits for a peer that does not take our last bytes


class SocketPipe(asyncio.Protocol):
    """A TCP connection. ``peer`` is its other end as "ip:port"."""

    def __init__(self, connected: Callable[[SocketPipe], None] | None = None) -> None:
        self._connected = connected
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._eof = False
        self._lost = False
        self._error: BaseException | None = None
        self._paused = False
        self._changed = asyncio.Event()  # set whenever a waiting reader should look again
        self._writable = asyncio.Event()
        self._writable.set()
        self.peer = "?"

    # -- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.peer = _address(transport.get_extra_info("peername"))
        if self._connected is not None:
            self._connected(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._changed.set()
        if len(self._buffer) > BUFFER_LIMIT and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._eof = True
        self._changed.set()
        return True  # the peer may still read what we send (QUIT after its FIN)

    def connection_lost(self, error: BaseException | None) -> None:
        self._lost = True
        self._error = error
        self._changed.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # -- called by us

    async def receive(self, limit: int = READ_LIMIT) -> bytes:
        while not self._buffer:
            if self._lost and self._error is not None:
                raise failure_of(self._error)
            if self._eof or self._lost:
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._buffer[:limit])
        del self._buffer[:limit]
        if self._paused and len(self._buffer) <= BUFFER_LIMIT // 2 and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def send(self, data: bytes) -> None:
        if self._transport is None or self._lost or self._transport.is_closing():
            raise failure_of(self._error)
        self._transport.write(data)
        await self._writable.wait()
        if self._lost and self._error is not None:
            raise failure_of(self._error)

    def discard(self) -> None:
        self._buffer.clear()

    async def close(self) -> None:
        if self._transport is None or self._lost:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while not self._lost:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._transport.abort()

    def abort(self) -> None:
        if self._transport is None or self._lost:
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:  # linger 0: close sends RST instead of FIN
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _address(peername: Any) -> str:
    if not isinstance(peername, tuple) or len(peername) < 2:
        return "?"
    host, port = peername[0], peername[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Lane:
    """One direction of a memory pair."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.eof = False
        self.reset = False
        self.unread = False  # nobody will read what is sent from now on
        self.changed = asyncio.Event()

    async def wait(self) -> None:
        self.changed.clear()
        await self.changed.wait()


class MemoryPipe:
    """One end of a pair of lanes."""

    def __init__(self, incoming: _Lane, outgoing: _Lane) -> None:
        self._in = incoming
        self._out = outgoing

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Two connected ends."""
        there, back = _Lane(), _Lane()
        return cls(back, there), cls(there, back)

    async def receive(self, limit: int = READ_LIMIT) -> bytes:
        while not self._in.buffer:
            if self._in.reset:
                raise NetworkFailure(Failure.RESET, Stage.ANY)
            if self._in.eof:
                return b""
            await self._in.wait()
        data = bytes(self._in.buffer[:limit])
        del self._in.buffer[:limit]
        self._in.changed.set()
        return data

    async def send(self, data: bytes) -> None:
        if self._out.reset or self._out.unread:  # as TCP answers data for a closed socket
            raise NetworkFailure(Failure.RESET, Stage.ANY)
        if self._out.eof:
            raise NetworkFailure(Failure.CLOSED, Stage.ANY)
        self._out.buffer += data
        self._out.changed.set()
        while len(self._out.buffer) > BUFFER_LIMIT:
            if self._out.unread:
                raise NetworkFailure(Failure.RESET, Stage.ANY)
            await self._out.wait()
        if self._out.reset:
            raise NetworkFailure(Failure.RESET, Stage.ANY)

    def discard(self) -> None:
        self._in.buffer.clear()
        self._in.changed.set()

    async def close(self) -> None:
        self._out.eof = True
        self._out.changed.set()
        self._in.unread = True
        self._in.changed.set()

    def abort(self) -> None:
        for lane in (self._in, self._out):
            lane.reset = True
            lane.buffer.clear()
            lane.changed.set()
