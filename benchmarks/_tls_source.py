"""Hand messages in by STARTTLS: what smtp-source does, which knows no TLS. A process of its own.

    python benchmarks/_tls_source.py HOST:PORT SESSIONS MESSAGES SIZE [--kept]

One thread, one epoll, sockets read and written by OpenSSL itself: no event loop's layers. MAIL,
RCPT and DATA go together (RFC 2920), for a client that waits for each reply would cost as much in
Python as the relay it measures. Without ``--kept`` each message has a connection and a full
handshake of its own. The certificate is not verified: that is the client's work, not the relay's.
Exit code 1, and the reply, where a message is not taken.
"""

from __future__ import annotations

import argparse
import select
import socket
import ssl
import sys
from collections.abc import Generator, Iterator

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
SILENCE = 60.0  # seconds without a word from the relay
SENDER, RECIPIENT = "sender@example.org", "rcpt@example.net"
ENVELOPE = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{RECIPIENT}>\r\nDATA\r\n".encode()
Steps = Generator[int, None, None]


class NotTaken(Exception):
    """The relay said something else than it should."""


def message(size: int) -> bytes:
    """As smtp-source's: a short header, then lines of X."""
    head = f"From: <{SENDER}>\r\nTo: <{RECIPIENT}>\r\nSubject: bench\r\n\r\n".encode()
    line = b"X" * 78 + b"\r\n"
    return head + line * (size // len(line)) + b".\r\n"


class Session:
    """One connection at a time; ``steps`` yields what it waits for."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, data: bytes) -> None:
        self.address, self.context, self.data = address, context, data
        self.socket: socket.socket = socket.socket()
        self.buffer = b""

    def steps(self, left: Iterator[int], *, kept: bool) -> Steps:
        while next(left, None) is not None:
            yield from self._open()
            yield from self._hand_in()
            while kept and next(left, None) is not None:
                yield from self._hand_in()
            yield from self._write(b"QUIT\r\n")
            yield from self._reply(b"221")
            self.socket.close()

    def _open(self) -> Steps:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.socket.connect_ex(self.address)
        yield WRITE
        yield from self._reply(b"220")
        yield from self._ask(b"EHLO client.example.org\r\n", b"250")
        yield from self._ask(b"STARTTLS\r\n", b"220")
        secured = self.context.wrap_socket(self.socket, do_handshake_on_connect=False)
        self.socket = secured
        yield from self._until_done(secured.do_handshake)
        yield from self._ask(b"EHLO client.example.org\r\n", b"250")

    def _hand_in(self) -> Steps:
        yield from self._write(ENVELOPE)
        for expected in (b"250", b"250", b"354"):
            yield from self._reply(expected)
        yield from self._ask(self.data, b"250")

    def _ask(self, octets: bytes, expected: bytes) -> Steps:
        yield from self._write(octets)
        yield from self._reply(expected)

    def _write(self, octets: bytes) -> Steps:
        view = memoryview(octets)
        while view:
            try:
                view = view[self.socket.send(view) :]
            except (ssl.SSLWantWriteError, BlockingIOError):
                yield WRITE
            except ssl.SSLWantReadError:
                yield READ

    def _reply(self, expected: bytes) -> Steps:
        while True:
            line, end, rest = self.buffer.partition(b"\r\n")
            if end and line[3:4] != b"-":
                self.buffer = rest
                if not line.startswith(expected):
                    raise NotTaken(line.decode("ascii", "replace"))
                return
            if end:
                self.buffer = rest
                continue
            yield from self._read()

    def _read(self) -> Steps:
        # What OpenSSL has decrypted already makes no socket readable.
        if not (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()):
            yield READ
        try:
            received = self.socket.recv(16_384)
        except (ssl.SSLWantReadError, BlockingIOError):
            return
        if not received:
            raise NotTaken("connection closed")
        self.buffer += received

    def _until_done(self, work: object) -> Steps:
        assert callable(work)
        while True:
            try:
                work()
            except ssl.SSLWantReadError:
                yield READ
            except ssl.SSLWantWriteError:
                yield WRITE
            else:
                return


def drive(sessions: list[Session], count: int, *, kept: bool) -> None:
    """All sessions in turns, until each has ended."""
    left = iter(range(count))
    epoll = select.epoll()
    waiting: dict[int, tuple[Session, Steps]] = {}

    def go_on(session: Session, steps: Steps) -> None:
        wanted = next(steps, None)
        if wanted is not None:
            number = session.socket.fileno()
            waiting[number] = (session, steps)
            # Once each: a socket of the same number may be another one by then.
            try:
                epoll.modify(number, wanted | select.EPOLLONESHOT)
            except FileNotFoundError:
                epoll.register(number, wanted | select.EPOLLONESHOT)

    for session in sessions:
        go_on(session, session.steps(left, kept=kept))
    while waiting:
        ready = epoll.poll(SILENCE)
        if not ready:
            raise NotTaken(f"no answer in {SILENCE:g} s")
        for number, _ in ready:
            go_on(*waiting.pop(number))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("relay")
    parser.add_argument("sessions", type=int)
    parser.add_argument("messages", type=int)
    parser.add_argument("size", type=int)
    parser.add_argument("--kept", action="store_true")
    options = parser.parse_args()
    host, _, port = options.relay.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    data = message(options.size)
    sessions = [Session((host, int(port)), context, data) for _ in range(options.sessions)]
    try:
        drive(sessions, options.messages, kept=options.kept)
    except (NotTaken, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
