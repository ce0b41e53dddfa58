"""A listener's socket before it is bound: for the supervisor, and for the trial of ``doctor``."""

from __future__ import annotations

import socket


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


def text_of(address: str, port: int) -> str:
    """``0.0.0.0:465`` or ``[::]:465``."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
