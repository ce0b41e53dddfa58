"""What connections need of TCP: whether a peer lives or is us, whom it counts for, its failures.

Called by ``smtp_carry`` and ``tls_accept`` around the event loop's own calls, and by whoever counts
clients. Nothing fails here.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
import struct
import sys
from functools import lru_cache
from typing import Any, Final

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.pipe import EXHAUSTED
from posthouse.net.tls import PROBLEM_OF

IPV6_SITE: Final = 64  # bits: one customer has as many IPv6 addresses as it likes
KEEP_ALIVE: Final = 30  # seconds of silence before TCP asks whether the peer is there, and between
# Seconds without any acknowledgement after which nobody is there: three questions went unanswered.
# A peer that lives and has no room for more is asked so rarely only after 200 s, which is longer
# than it may take no octet of a message (RFC 5321 section 4.5.3.2.5).
VANISHED: Final = 3.5 * KEEP_ALIVE
_LAST_ACK: Final = 56  # where tcpi_last_ack_recv stands in Linux's struct tcp_info
_MILLISECONDS: Final = struct.Struct("I")
_NO_WAY: Final = (errno.ENETUNREACH, errno.EHOSTUNREACH)
_TELLS: Final = sys.platform == "linux"


def keep_alive(transport: asyncio.Transport | None) -> None:
    """A peer that vanished while nothing was under way is noticed after 30 + 3 x 30 seconds."""
    sock = transport.get_extra_info("socket") if transport else None
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEP_ALIVE),
        ("TCP_KEEPINTVL", KEEP_ALIVE),
        ("TCP_KEEPCNT", 3),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def has_vanished(transport: asyncio.Transport | None) -> bool:
    """Whether a peer that is kept alive has acknowledged nothing for too long.

    TCP asks nothing while what it sent is under way: that is sent again, for a quarter of an hour.
    Elsewhere than on Linux nothing is known: False.
    """
    if transport is None or transport.is_closing() or not _TELLS:
        return False
    sock = transport.get_extra_info("socket")
    if sock is None:
        return False
    told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ACK + _MILLISECONDS.size)
    (silent,) = _MILLISECONDS.unpack_from(told, _LAST_ACK)
    return bool(silent > VANISHED * 1_000)


def is_local(address: str) -> bool:
    """Whether an address is one of this machine's, at this moment: a socket can have it.

    Where the system lets a socket have any address (``ip_nonlocal_bind``), nothing is known: False.
    """
    nobodys = "100::1" if ":" in address else "240.0.0.1"  # RFC 6666, RFC 1112 section 4
    return _can_be_had(address) and not _can_be_had(nobodys)


def _can_be_had(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True


@lru_cache(maxsize=1_024)  # the same clients come again and again
def site(client: str) -> str:
    """Whom a client counts for: an IPv4 address, or the whole network of an IPv6 one.

    What is no address stays as it is.
    """
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:  # IPv4 on an IPv6 socket (RFC 4291 section 2.5.5.2)
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_SITE), strict=False))


def failure_of(
    error: BaseException, host: str, port: int, *, shaking: bool = False
) -> NetworkFailure:
    """What the loop's exceptions mean in our words. ``shaking``: TLS was to be agreed on, so that a
    connection that ends, or a silence, is trouble with TLS and not with the way there."""
    detail: dict[str, Any] = {"host": host, "port": port} if port else {"host": host}
    if isinstance(error, ssl.SSLCertVerificationError):
        kind, stage = Failure.CERTIFICATE, Stage.TLS
        detail["reason"] = error.verify_message
        if problem := PROBLEM_OF.get(error.verify_code):
            detail["problem"] = problem.value
    elif isinstance(error, ssl.SSLError):
        kind, stage = Failure.TLS_HANDSHAKE, Stage.TLS
        detail["reason"] = error.reason or ""
    elif isinstance(error, ConnectionRefusedError):
        kind, stage = Failure.REFUSED, Stage.CONNECT
    elif isinstance(error, ConnectionAbortedError) and shaking:  # ``ssl_handshake_timeout`` is over
        kind, stage = Failure.SILENT, Stage.TLS
    elif isinstance(error, ConnectionError):
        kind, stage = Failure.RESET, Stage.TLS if shaking else Stage.CONNECT
    elif isinstance(error, TimeoutError):
        kind, stage = Failure.TIMEOUT, Stage.CONNECT
    elif isinstance(error, OSError) and error.errno in EXHAUSTED:
        kind, stage = Failure.EXHAUSTED, Stage.CONNECT
    else:
        kind, stage = Failure.UNREACHABLE, Stage.CONNECT
        if isinstance(error, OSError) and error.errno not in _NO_WAY:
            # It may well be ours: a firewall here, a ``source`` that is no address of this machine.
            detail["reason"] = error.strerror or str(error)
    return NetworkFailure(kind, stage, **detail)
