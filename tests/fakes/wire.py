"""A client that says what it wants, octet by octet, and reads what comes."""

from __future__ import annotations

import socket


def said(sock: socket.socket, data: bytes, count: int = 1) -> list[bytes]:
    """Send ``data``; the last lines of so many replies, or of all until the other end hangs up."""
    sock.sendall(data)
    text = b""
    while True:
        lines = [line for line in text.split(b"\r\n")[:-1] if line[3:4] == b" "]
        if len(lines) >= count:
            return lines
        try:
            more = sock.recv(65_536)
        except ConnectionResetError:
            return lines
        if not more:
            return lines
        text += more
