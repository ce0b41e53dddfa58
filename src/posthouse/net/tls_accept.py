"""Connections where TLS comes first (RFC 8314 section 3.3): accepted, and bounded before it is up.

Enters: a socket that listens, an SSL context, how to make a protocol. Leaves: protocols whose
``connection_made`` is called when the handshake is over, as ``create_server(ssl=...)`` has it; but
that one tells nobody of a client before, and who connects and says nothing would take one file
descriptor after the other. Called by ``smtp_listen``. Nothing raises: a handshake that fails is the
client's affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from posthouse.net import loop
from posthouse.net.tcp import site

# Handshakes of one address at once. Each takes two round trips: an office that comes back after a
# power cut has fewer, and who has more does not mean to end them.
HALF_OPEN: Final = 200
HALF_OPEN_ALL: Final = 10_000  # of all addresses: an attack; the rest wait until some are over
HANDSHAKE: Final = 30.0  # seconds: a far client on a bad line takes some
AT_ONCE: Final = 100  # accepted in one turn, so that open sessions have theirs
TOLD: Final = 60.0  # seconds between two times that ``crowded`` is called: a flood fills no log
PAUSE: Final = 1.0  # seconds to accept nobody, where there is no room for one more


class Door:
    """The owner of one socket that listens, and of the handshakes on it.

    ``crowded`` is told whose connection was cut off because he had too many handshakes under way,
    and how many were since the last time, his and others'.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        make: Callable[[], asyncio.BaseProtocol],
        *,
        handshake: float = HANDSHAKE,
        crowded: Callable[[str, int], None] = lambda _client, _times: None,
    ) -> None:
        sock.setblocking(False)
        self.sockets = (sock,)
        self.half_open: Counter[str] = Counter()  # handshakes under way, by place
        self.handshakes: set[asyncio.Task[None]] = set()
        self._context = context
        self._make = make
        self._time = handshake
        self._crowded = crowded
        self._cut_off = 0  # connections, since that was told
        self._told = float("-inf")
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def open(self) -> None:
        """Take clients from now on."""
        if not self._closed:
            self._loop.add_reader(self.sockets[0], self._accept)

    def close(self) -> None:
        """Take no more; handshakes go on."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self.sockets[0])
            self.sockets[0].close()

    def cut(self) -> None:
        """End the handshakes, too."""
        for task in self.handshakes:
            task.cancel()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            if len(self.handshakes) >= HALF_OPEN_ALL:
                self._pause()
                return
            try:
                sock, name = self.sockets[0].accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # another worker was quicker, or the client has gone
            except OSError as error:  # no file descriptor is left, or no memory
                loop.tell("no more clients can be taken for now", error)
                self._pause()
                return
            place = site(name[0])
            if self.half_open[place] >= HALF_OPEN:
                sock.close()
                self._tell(name[0])
                continue
            self.half_open[place] += 1
            task = self._loop.create_task(self._handshake(sock, place))
            self.handshakes.add(task)
            task.add_done_callback(self.handshakes.discard)

    def _tell(self, client: str) -> None:
        self._cut_off += 1
        now = self._loop.time()
        if now - self._told >= TOLD:
            self._crowded(client, self._cut_off)
            self._told, self._cut_off = now, 0

    def _pause(self) -> None:
        """The kernel keeps those who come meanwhile."""
        self._loop.remove_reader(self.sockets[0])
        self._loop.call_later(PAUSE, self.open)

    async def _handshake(self, sock: socket.socket, place: str) -> None:
        sock.setblocking(False)
        try:
            with contextlib.suppress(OSError):  # ssl.SSLError is one
                await self._loop.connect_accepted_socket(
                    self._make, sock, ssl=self._context, ssl_handshake_timeout=self._time
                )
        finally:
            self.half_open[place] -= 1
            if not self.half_open[place]:
                del self.half_open[place]
