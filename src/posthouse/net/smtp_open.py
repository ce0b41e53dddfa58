"""The opening of a connection to a next hop: greeting, EHLO or HELO, STARTTLS, commands one by one.

Enters: a place, how to encrypt, whom to be. Leaves: a connection on which messages may be carried,
what the server offers. ``Opening`` is the first half of ``smtp_carry.Carrier``, which reads what
comes and writes; ``send.deliver.connect`` and ``send.client`` call it.

What can fail: NetworkFailure, or Refused with the reply that said no.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from typing import Any, Final, cast

from posthouse.flow import Failure, NetworkFailure, Security, Stage
from posthouse.net.tcp import failure_of, keep_alive
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.connection import Connection, Role
from posthouse.protocol.smtp.masking import Masker
from posthouse.protocol.smtp.reply import Reply
from posthouse.protocol.smtp.state import State

CONNECT: Final = 30.0  # seconds
HANDSHAKE: Final = 30.0  # seconds for TLS, two round trips
COMMAND: Final = 300.0  # seconds for each reply (RFC 5321 section 4.5.3.2)


class Refused(Exception):
    """The server said no before any message: to the connection, EHLO, STARTTLS or the login.

    Or it need not be asked (``heard`` is false): we know by ourselves that it can't be.
    """

    def __init__(self, stage: Stage, reply: Reply, *, host: str = "", heard: bool = True) -> None:
        super().__init__(f"{stage}: {reply}")
        self.stage = stage
        self.reply = reply
        self.heard = heard
        self.host = host  # who said it, where whoever passes this on knows


class Opening(asyncio.Protocol):
    """One connection, up to its first message."""

    def __init__(self, *, lmtp: bool = False, tls: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = Connection(Role.CLIENT, lmtp=lmtp, tls=tls)
        self._masker = Masker()
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Reply] | None = None  # one command
        self._early: Reply | None = None  # a greeting that nobody waited for yet
        self.failure: NetworkFailure | None = None

    async def open(
        self,
        address: str,
        port: int,
        *,
        security: Security = Security.NONE,
        context: ssl.SSLContext | None = None,
        host: str = "",
        source: str | None = None,
        seconds: float = CONNECT,
    ) -> None:
        """Connect and hear the greeting. Raises NetworkFailure or Refused."""
        implicit = security is Security.TLS
        where = {"local_addr": (source, 0)} if source else {}
        try:
            async with asyncio.timeout(seconds):
                await self._loop.create_connection(
                    lambda: self,
                    address,
                    port,
                    ssl=context if implicit else None,
                    server_hostname=(host or address) if implicit else None,
                    ssl_handshake_timeout=HANDSHAKE if implicit else None,
                    **cast(Any, where),
                )
        except (OSError, TimeoutError) as error:
            raise failure_of(error, host or address, port, shaking=implicit) from error
        keep_alive(self._transport)
        self._expect(Stage.GREETING, await self._next())

    async def hello(self, name: str, *, extended: bool = False) -> None:
        """EHLO, HELO where it is not taken; LHLO for LMTP. Raises Refused, NetworkFailure.

        ``extended``: what is to follow needs EHLO, as TLS and logins do. Whoever has it refused on
        the way must not get us to go without them.
        """
        if self._connection.lmtp:
            self._expect(Stage.EHLO, await self.ask(c.Lhlo(name)))
            return
        reply = await self.ask(c.Ehlo(name))
        # RFC 5321 section 3.2 names 500 and 502; servers say any other 5yz as well, and peers try
        # HELO then. But 521 is of the host (RFC 7504), and so is 421.
        if reply.is_permanent and reply.code != 521 and not extended:
            with contextlib.suppress(NetworkFailure):  # what was said tells more than a hang-up
                reply = await self.ask(c.Helo(name))
        self._expect(Stage.EHLO, reply)

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """STARTTLS and the handshake; EHLO has to be said again. Raises Refused, NetworkFailure."""
        self._expect(Stage.TLS, await self.ask(c.StartTls()))
        transport = self._transport
        if transport is None:
            raise NetworkFailure(Failure.CLOSED, Stage.TLS, host=host)
        try:
            secure = await self._loop.start_tls(
                transport, self, context, server_hostname=host, ssl_handshake_timeout=HANDSHAKE
            )
        except (OSError, ConnectionError) as error:
            raise failure_of(error, host, 0, shaking=True) from error
        self._transport = cast(asyncio.Transport, secure)
        if self._connection.tls_started():
            # Octets behind the 220 came in the clear: somebody put them there (CVE-2021-38371).
            self.abort(NetworkFailure(Failure.BAD_REPLY, Stage.TLS, host=host, reason="injected"))
            raise self.failure or NetworkFailure(Failure.BAD_REPLY, Stage.TLS)

    async def ask(self, command: c.Command) -> Reply:
        """One command and its reply. Raises NetworkFailure."""
        if self._is_over:  # 421 came on the heels of the greeting
            raise self.failure or NetworkFailure(Failure.CLOSED, Stage.ANY)
        self._masker.learn(command)
        self._write(self._connection.send(command))
        return await self._next()

    @property
    def extensions(self) -> Mapping[str, str]:
        """What the server offers."""
        return self._connection.extensions

    @property
    def tls(self) -> Any:
        """The ``ssl`` object, None without TLS."""
        return self._transport.get_extra_info("ssl_object") if self._transport else None

    @property
    def _is_over(self) -> bool:
        """Whether a reply had the end of the session on its heels: we are told of that next.

        A farewell, or what is no reply at all. Nothing can be said any more.
        """
        return self._connection.state is State.CLOSED

    async def _next(self) -> Reply:
        if self.failure is not None:
            raise self.failure
        if self._early is not None:
            early, self._early = self._early, None
            return early
        self._waiting = self._loop.create_future()
        try:
            async with asyncio.timeout(COMMAND):
                return await self._waiting
        except TimeoutError:
            raise NetworkFailure(Failure.SILENT, Stage.ANY, seconds=COMMAND) from None
        finally:
            self._waiting = None

    def _expect(self, stage: Stage, reply: Reply) -> None:
        if not reply.is_success:
            raise Refused(stage, reply)

    # What the other half does.

    def abort(self, failure: NetworkFailure) -> None:
        """Tell whoever waits, and hang up."""
        raise NotImplementedError

    def _write(self, *pieces: bytes) -> None:
        raise NotImplementedError
