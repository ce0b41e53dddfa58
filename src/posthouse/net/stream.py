"""A two-way stream of bytes that can turn to TLS on the way: over TCP, or in memory.

Enters: a connected socket (``net.dial``, ``listen``) or nothing (``MemoryStream.pair``). Leaves:
``Stream``, the only shape in which the rest of Posthouse sees a connection. TLS runs in our own
pump over ``ssl.MemoryBIO``: asyncio's start_tls would hide the first bytes of a server that
answers in plain text, and the chain of a server with a bad certificate.

What can fail: ``NetworkFailure`` with RESET, CLOSED, TIMEOUT, SILENT, TLS_HANDSHAKE or
PLAIN_EXPECTED. Its stage is TLS inside a handshake and ANY elsewhere: the caller knows better what
it was doing. Time-outs of reads and writes are the caller's (``asyncio.timeout``). One task may
read while another writes; two readers or two writers at once are a bug of the caller.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, Self

from posthouse.flow import NetworkFailure
from posthouse.net.pipe import READ_LIMIT, MemoryPipe, Pipe, SocketPipe
from posthouse.net.pump import TlsPump
from posthouse.net.tls import HANDSHAKE_SECONDS, TlsOptions, TlsSession

LISTEN_BACKLOG: Final = 512  # waiting connections the kernel keeps while we are busy


class Stream(Protocol):
    """What a connection is to everybody else."""

    @property
    def peer(self) -> str:
        """The other end as "ip:port" ("[ip]:port" for IPv6), or a name given to a double."""
        ...

    @property
    def tls(self) -> TlsSession | None:
        """The TLS session, once there is one on the client side."""
        ...

    async def read(self, limit: int = READ_LIMIT) -> bytes:
        """At least one byte and at most ``limit``; b"" when the peer has ended its side."""
        ...

    async def write(self, data: bytes) -> None:
        """Hand over all of ``data``; waits while the peer does not take it."""
        ...

    async def start_tls(self, options: TlsOptions) -> TlsSession:
        """Become a TLS client. Never raises for a bad certificate: look at the session.

        After plain traffic, whatever the peer sent ahead is discarded (RFC 3207 section 6: bytes
        from before the handshake must not be used). Without any, they are the answer to be judged.
        """
        ...

    async def accept_tls(self, context: ssl.SSLContext) -> None:
        """Become a TLS server."""
        ...

    async def close(self) -> None:
        """End in an orderly way (close_notify, FIN). Never raises, never waits long."""
        ...


class PipeStream:
    """``Stream`` over any ``Pipe``."""

    def __init__(self, pipe: Pipe, peer: str) -> None:
        self._pipe = pipe
        self._peer = peer
        self._tls: TlsSession | None = None
        self._pump: TlsPump | None = None
        self._plain_traffic = False

    @property
    def peer(self) -> str:
        return self._peer

    @property
    def tls(self) -> TlsSession | None:
        return self._tls

    @property
    def encrypted(self) -> bool:
        """Whether bytes go through TLS now, on either side of it."""
        return self._pump is not None

    async def read(self, limit: int = READ_LIMIT) -> bytes:
        if self._pump is not None:
            return await self._pump.read(limit)
        self._plain_traffic = True
        return await self._pipe.receive(limit)

    async def write(self, data: bytes) -> None:
        if self._pump is not None:
            await self._pump.write(data)
        else:
            self._plain_traffic = True
            await self._pipe.send(data)

    async def start_tls(self, options: TlsOptions) -> TlsSession:
        self._before_tls()
        pump = TlsPump.client(self._pipe, options)
        await pump.handshake(options.seconds)
        self._pump = pump
        self._tls = pump.session(options)
        return self._tls

    async def accept_tls(self, context: ssl.SSLContext) -> None:
        self._before_tls()
        pump = TlsPump.server(self._pipe, context)
        await pump.handshake(HANDSHAKE_SECONDS)
        self._pump = pump

    def _before_tls(self) -> None:
        if self._pump is not None:
            raise RuntimeError("TLS inside TLS is never asked for")
        if self._plain_traffic:
            self._pipe.discard()

    async def close(self) -> None:
        try:
            if self._pump is not None:
                await self._pump.close()
        except NetworkFailure:
            pass  # the other end is gone already
        finally:
            await self._pipe.close()

    def abort(self) -> None:
        """Drop the connection with an RST, as a firewall or a crashed server would."""
        self._pipe.abort()


class TcpStream(PipeStream):
    """``Stream`` over a real socket."""

    @classmethod
    async def connect(cls, address: str, port: int) -> Self:
        """Connect to one IP address; ``net.dial`` turns names into addresses. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, pipe = await loop.create_connection(SocketPipe, address, port)
        return cls(pipe, pipe.peer)


class MemoryStream(PipeStream):
    """The double: two ends in one process, with the same back pressure, EOF, RST and TLS."""

    @classmethod
    def pair(
        cls, client: str = "memory:client", server: str = "memory:server"
    ) -> tuple[Self, Self]:
        """Two connected streams: the client's end (its peer is ``server``) and the server's."""
        near, far = MemoryPipe.pair()
        return cls(near, server), cls(far, client)


Handler = Callable[[TcpStream], Awaitable[None]]


async def listen(
    handler: Handler, host: str = "127.0.0.1", port: int = 0, *, backlog: int = LISTEN_BACKLOG
) -> asyncio.Server:
    """Serve ``handler`` on a port (0: any free one, see ``server.sockets[0].getsockname()``).

    Each connection gets its own task; the stream is closed when the handler returns or fails with
    a NetworkFailure. Any other error is a bug, and reaches the loop's exception handler.
    """
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(stream: TcpStream) -> None:
        try:
            await handler(stream)
        except NetworkFailure:
            pass  # the client went away; a handler that cares catches it itself
        finally:
            await stream.close()

    def connected(pipe: SocketPipe) -> None:
        task = loop.create_task(serve(TcpStream(pipe, pipe.peer)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    return await loop.create_server(
        lambda: SocketPipe(connected), host, port, backlog=backlog, reuse_address=True
    )
