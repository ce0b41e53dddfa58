"""Lines of the log on their way to whoever reads them, without ever waiting for him.

Enters: whole lines, UTF-8, each with its LF. Leaves: the same lines in the same order, on a file
descriptor that is shared with others, so that its flags stay as they are. Where too much waits
(journald stands still, somebody pages), lines are dropped, counted, and told by one line of kind
``log_dropped`` at the place where they are missing. Called by ``log``. Nothing fails: a reader that
has gone is one that reads nothing.

A worker has ``Queued``: a thread of its own, made after the fork, that may wait as long as it
likes. The supervisor, which has no threads, has ``Direct``, which waits a moment.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec

LIMIT: Final = 4_194_304  # octets that wait in a process before any is dropped: 10,000 events
PIECE: Final = 65_536  # octets taken at once
WHOLE: Final = select.PIPE_BUF  # octets that the kernel writes whole, whoever else writes there
LINGER: Final = 0.05  # seconds in which lines gather: a thread woken for each costs the loop more
MOMENT: Final = 0.1  # seconds the supervisor waits for a reader
PATIENCE: Final = 2.0  # seconds for what waits at the end


class Lines(Protocol):
    """Where lines go."""

    def put(self, data: bytes) -> None:
        """One or more whole lines. Never waits long, never raises."""
        ...


class Direct:
    """The owner of a descriptor that is written by whoever has something to say."""

    def __init__(self, fd: int, **always: Any) -> None:
        self._fd = fd
        self._always = always
        self._dropped = 0

    def put(self, data: bytes) -> None:
        """See ``Lines``."""
        told = _missing(self._dropped, self._always) if self._dropped else b""
        # Ready means room for PIPE_BUF octets, and a line of the supervisor's has less.
        if not _ready(self._fd, MOMENT):
            self._dropped += data.count(b"\n")
            return
        try:
            os.write(self._fd, told + data)
            self._dropped = 0
        except OSError:
            self._dropped += data.count(b"\n")


class Queued:
    """The owner of what waits, and of the thread that writes it."""

    def __init__(self, fd: int, *, limit: int = LIMIT, **always: Any) -> None:
        self._fd = fd
        self._limit = limit
        self._always = always
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[bytes | int] = deque()  # lines, or how many of them are missing here
        self._size = 0  # octets of them, those under way included
        self._dropped = 0  # lines, after all that waits
        self._ending = False
        self._torn = False  # the last line written has no end
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        """See ``Lines``. From any thread."""
        with self._changed:
            # Once lines are missing, all are dropped until the rest is out: one gap, told once.
            if self._size > self._limit or (self._dropped and self._size):
                self._dropped += data.count(b"\n")
                return
            if not self._waiting:
                self._changed.notify()
            self._tell()
            self._waiting.append(data)
            self._size += len(data)

    def close(self, patience: float = PATIENCE) -> None:
        """Write what waits, if somebody reads it in time."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(patience)

    # The thread

    def _run(self) -> None:
        ending = False
        while not ending:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ending)
                ending = self._ending
            while (piece := self._next()) is not None and self._write(*piece):
                pass
            with self._changed:
                self._changed.wait_for(lambda: self._ending, LINGER)

    def _next(self) -> tuple[bytes, int] | None:
        """(the next octets, the lines that they say are missing)."""
        with self._changed:
            if not self._waiting:
                self._tell()
            pieces: list[bytes] = []
            size = 0
            while self._waiting and size < PIECE:
                first = self._waiting[0]
                if isinstance(first, int):
                    if not pieces:
                        self._waiting.popleft()
                        return _missing(first, self._always), first
                    break
                pieces.append(first)
                size += len(first)
                self._waiting.popleft()
            return (b"".join(pieces), 0) if pieces else None

    def _tell(self) -> None:
        if self._dropped:
            self._waiting.append(self._dropped)
            self._dropped = 0

    def _write(self, data: bytes, missing: int) -> bool:
        """Whether all of it was written; waits as long as it takes."""
        lost, size = 0, 0 if missing else len(data)
        while data and not lost:
            end = data.rfind(b"\n", 0, WHOLE) + 1 or data.find(b"\n") + 1
            if not self._write_lines(data[:end]):
                lost = missing or data.count(b"\n")
            data = data[end:]
        with self._changed:
            self._size -= size
            self._dropped += lost
        return not lost

    def _write_lines(self, data: bytes) -> bool:
        rest = b"\n" + data if self._torn else data
        try:
            while rest:
                written = _written(self._fd, rest)
                self._torn = not rest[:written].endswith(b"\n")
                rest = rest[written:]
        except OSError:
            return False
        return True


def standard_error() -> int:
    """Its descriptor; -1 where we have none: number 2 may then be any file of ours."""
    return -1 if sys.stderr is None else sys.stderr.fileno()


def _written(fd: int, data: bytes) -> int:
    """How much of it, at least one octet. Raises OSError."""
    while True:
        try:
            return os.write(fd, data)
        except BlockingIOError:  # somebody else has made what we share non-blocking
            _ready(fd, None)


def _ready(fd: int, seconds: float | None) -> bool:
    """Whether it can be written to, or never will be."""
    if fd < 0:
        return True
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(None if seconds is None else seconds * 1_000))


def _missing(lines: int, always: dict[str, Any]) -> bytes:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    facts = {"at": at, "kind": "log_dropped", **always, "lines": lines}
    return msgspec.json.encode(facts) + b"\n"
