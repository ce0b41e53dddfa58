"""The sockets of listeners: for the supervisor, and for the trial of ``doctor``.

Enters: an address and a port. Leaves: a socket. What can fail is told as ``StartError``.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final

from posthouse.explain import Catalogue

BACKLOG: Final = 1024  # connections the kernel keeps for us while all workers are busy


class StartError(Exception):
    """No start. ``reason`` is a word for the catalogue, ``detail`` fills its gaps."""

    def __init__(self, reason: str, **detail: Any) -> None:
        super().__init__(f"{reason} {detail}")
        self.reason = reason
        self.detail = detail

    def told(self, words: Catalogue) -> str:
        """Why, in words."""
        why = f"serve.start.{self.detail.get('why')}"  # the system says it in English
        detail = {**self.detail, "error": words.text(why)} if words.has(why) else self.detail
        return words.text(f"serve.error.{self.reason}", **detail)


def failed(reason: str, error: OSError, **detail: Any) -> StartError:
    """What the system would not do."""
    why = errno.errorcode.get(error.errno or 0, "")
    return StartError(reason, error=error.strerror or str(error), why=why, **detail)


def unbound(address: str) -> socket.socket:
    """A TCP socket with the options of a listener at that address. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    except OSError:
        sock.close()
        raise
    return sock


def bind(sock: socket.socket, address: str, port: int) -> None:
    """To an address of this machine; "fe80::1%eth0" is one of that interface (RFC 4007 section 11).

    Raises OSError.
    """
    found = socket.getaddrinfo(address, port, type=sock.type, flags=socket.AI_NUMERICHOST)
    sock.bind(found[0][4])


def text_of(address: str, port: int) -> str:
    """``0.0.0.0:465`` or ``[::]:465``."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@contextlib.contextmanager
def shared(sockets: Sequence[socket.socket]) -> Iterator[None]:
    """Let new sockets be bound beside these: 127.0.0.1:25 beside a 0.0.0.0:25 that is to go.

    Workers hold the old ones until they are replaced. Only for as long as it takes: a program that
    does not ask for it must not share our ports unawares.
    """
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        yield
    finally:
        for sock in sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)


def bound(address: str, port: int, *, beside: bool = False) -> socket.socket:
    """A listening socket; ``beside`` others of ours that are ``shared``. Raises StartError."""
    sock = None
    try:
        sock = unbound(address)
        if beside:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bind(sock, address, port)
        sock.listen(BACKLOG)
        if beside:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
        sock.setblocking(False)
    except OSError as error:
        if sock is not None:
            sock.close()
        reason = {errno.EACCES: "port_denied", errno.EADDRINUSE: "port_in_use"}
        where = text_of(address, port)
        kind = reason.get(error.errno or 0, "port")
        raise failed(kind, error, address=where) from None
    return sock
