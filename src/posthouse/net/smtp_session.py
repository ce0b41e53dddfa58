"""What a listener and whoever decides in its connections have to say to each other.

A ``Session`` is made for each connection: it is told of commands and octets, and gives answers.
Types only: nothing here runs or fails. Implemented by ``send.submit``, called by ``smtp_listen``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.connection import Connection
from posthouse.protocol.smtp.events import BodyEnd
from posthouse.protocol.smtp.reply import Reply


class Later(NamedTuple):
    """A reply that waits for something under way: ``reply`` makes it of the future that is done.

    For what each message waits for, its way to the disk: a task for that costs more than it does.
    """

    done: asyncio.Future[Any]
    reply: Callable[[asyncio.Future[Any]], Reply]


Answer = Reply | Later | Awaitable[Reply]


class Peer(NamedTuple):
    """Who is at the other end."""

    address: str
    port: int
    tls: bool
    certificate: Any = None  # as ``ssl`` gives it, where one was asked for
    version: str = ""  # of TLS, with its cipher


class Session(Protocol):
    """Who decides, in one connection. An answer that has to wait is an awaitable, or ``Later``."""

    def greet(self, peer: Peer) -> Answer:
        """The first words: 220, or a refusal."""
        ...

    def command(self, command: c.Command, connection: Connection) -> Answer:
        """A command that is in order. AUTH's further lines come here as ``AuthResponse``.

        BDAT does not: ``body`` and ``ended`` follow it, and they are what is answered.
        """
        ...

    def body(self, data: bytes) -> None:
        """Octets of the message (wire form after DATA, as they are after BDAT)."""
        ...

    def ended(self, end: BodyEnd, connection: Connection) -> Answer:
        """The message, or one chunk of it, is complete."""
        ...

    def over(self) -> Reply | None:
        """Asked each second: what to say where the session must end now, whatever it is amid."""
        ...

    def refused(self, reply: Reply, reason: str) -> None:
        """The engine refused a line, or the message; for whoever counts. ``reason``: its word."""
        ...

    def secured(self, peer: Peer) -> None:
        """TLS is up: what was known before is forgotten."""
        ...

    def closed(self, reason: str) -> None:
        """The connection is over."""
        ...
