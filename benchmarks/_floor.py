"""What the machine gives: the way of a message from socket to disk to socket, and nothing else.

    python benchmarks/_floor.py HOST PORT NEXT_HOST NEXT_PORT FILE

A relay that no one should use: it believes every octet, knows five commands, makes no trace, tries
once, and comes back from no kill. But it says 250 only after a commit (SQLite, WAL, FULL) of
message and event, commits together what waits, keeps its connections and pipelines, on the same
event loop. So it shows what all that a relay must do costs, and which bar no relay built like this
could reach on this machine.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import sys
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import Any, NamedTuple

CONNECTIONS = 50
TABLES = """
    PRAGMA page_size = 8192;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE letters (id INTEGER PRIMARY KEY, envelope TEXT, content BLOB);
    CREATE TABLE events (id INTEGER PRIMARY KEY, letter INTEGER, kind TEXT, at REAL);
"""
EHLO = b"250-floor\r\n250-PIPELINING\r\n250 8BITMIME\r\n"


class Letter(NamedTuple):
    """A message, and who waits for its 250."""

    id: int
    sender: bytes
    recipient: bytes
    content: bytes  # in wire form, without its end
    client: Client


class Writer(threading.Thread):
    """Commits all that waits as one transaction."""

    def __init__(self, floor: Floor, path: str) -> None:
        super().__init__(daemon=True)
        self.floor = floor
        self.path = path
        self.jobs: SimpleQueue[tuple[str, Letter]] = SimpleQueue()

    def run(self) -> None:
        db = sqlite3.connect(self.path, isolation_level=None)
        db.executescript(TABLES)
        while True:
            jobs = [self.jobs.get()]
            while not self.jobs.empty():
                jobs.append(self.jobs.get())
            fresh = [one for kind, one in jobs if kind == "accepted"]
            gone = [(one.id,) for kind, one in jobs if kind == "delivered"]
            now = time.time()
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO letters VALUES (?, ?, ?)", map(_row, fresh))
            events = [(one.id, kind, now) for kind, one in jobs]
            db.executemany("INSERT INTO events (letter, kind, at) VALUES (?, ?, ?)", events)
            db.executemany("DELETE FROM letters WHERE id = ?", gone)
            db.execute("COMMIT")
            if fresh:
                self.floor.loop.call_soon_threadsafe(self.floor.kept, fresh)


def _row(letter: Letter) -> tuple[int, str, bytes]:
    envelope = [letter.sender.decode("latin-1"), letter.recipient.decode("latin-1")]
    return letter.id, json.dumps(envelope), letter.content


class Floor:
    """The whole of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, onward: tuple[str, int], path: str) -> None:
        self.loop = loop
        self.onward = onward
        self.ids = itertools.count(1)
        self.idle: list[Hop] = []
        self.open = 0
        self.waiting: deque[Letter] = deque()
        self.connecting: set[asyncio.Task[Any]] = set()
        self.writer = Writer(self, path)
        self.writer.start()

    def kept(self, letters: list[Letter]) -> None:
        for letter in letters:
            letter.client.say(b"250 2.0.0 kept\r\n")
            if self.idle:
                self.idle.pop().carry(letter)
                continue
            self.waiting.append(letter)
            if self.open < CONNECTIONS:
                self.open += 1
                task = self.loop.create_task(
                    self.loop.create_connection(lambda: Hop(self), *self.onward)
                )
                self.connecting.add(task)
                task.add_done_callback(self.connecting.discard)

    def free(self, hop: Hop) -> None:
        if self.waiting:
            hop.carry(self.waiting.popleft())
        else:
            self.idle.append(hop)


class Lines(asyncio.Protocol):
    """Octets that come as lines."""

    transport: Any

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n")) >= 0:
            line, self.buffer = self.buffer[:end], self.buffer[end + 2 :]
            self.line(line)

    def line(self, line: bytes) -> None:
        raise NotImplementedError


class Client(Lines):
    """Who hands in."""

    sender = recipient = b""
    parts: list[bytes] | None = None  # of a message under way
    tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.say(b"220 floor\r\n")

    def say(self, reply: bytes) -> None:
        self.transport.write(reply)

    def data_received(self, data: bytes) -> None:
        if self.parts is None:
            super().data_received(data)
            return
        self.parts.append(data)
        self.tail = (self.tail + data[-5:])[-5:]
        if self.tail == b"\r\n.\r\n":
            content, self.parts = b"".join(self.parts)[:-3], None
            letter = Letter(next(self.floor.ids), self.sender, self.recipient, content, self)
            self.floor.writer.jobs.put(("accepted", letter))

    def line(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"MAIL":
            self.sender = line[line.index(b"<") + 1 : line.index(b">")]
            self.say(b"250 ok\r\n")
        elif verb == b"RCPT":
            self.recipient = line[line.index(b"<") + 1 : line.index(b">")]
            self.say(b"250 ok\r\n")
        elif verb == b"DATA":
            self.parts, self.tail = [], b""
            self.say(b"354 go\r\n")
        elif verb == b"QUIT":
            self.say(b"221 bye\r\n")
            self.transport.close()
        else:
            self.say(EHLO)


class Hop(Lines):
    """A connection onward: greeting and EHLO, then four replies for each message."""

    letter: Letter
    heard = 0

    def carry(self, letter: Letter) -> None:
        self.letter, self.heard = letter, 2
        mail = b"MAIL FROM:<%b>\r\nRCPT TO:<%b>\r\nDATA\r\n" % (letter.sender, letter.recipient)
        self.transport.write(mail)

    def line(self, line: bytes) -> None:
        if line[3:4] == b"-":
            return
        self.heard += 1
        if self.heard == 1:
            self.transport.write(b"EHLO floor\r\n")
        elif self.heard == 2:
            self.floor.free(self)
        elif self.heard == 5:
            self.transport.write(self.letter.content + b".\r\n")
        elif self.heard == 6:
            self.floor.writer.jobs.put(("delivered", self.letter))
            self.floor.free(self)


async def serve(host: str, port: int, onward: tuple[str, int], path: str) -> None:
    loop = asyncio.get_running_loop()
    floor = Floor(loop, onward, path)
    server = await loop.create_server(lambda: Client(floor), host, port, backlog=1024)
    await server.serve_forever()


def main() -> None:
    import uvloop

    host, port, next_host, next_port, path = sys.argv[1:]
    uvloop.install()
    asyncio.run(serve(host, int(port), (next_host, int(next_port)), path))


if __name__ == "__main__":
    main()
