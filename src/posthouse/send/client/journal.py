"""What was handed in already, so that a second run sends exactly the rest.

Enters: keys and recipients as they are tried and accepted. Leaves: what an earlier run did, and
lines of JSON in a file that only its owner reads: ``under_way`` before a message goes out, ``sent``
for each 250. A line is written before anything else happens, so that a killed process loses none;
the disk is asked to keep them a few times a second, and at the end. Called by ``crew``; one run at
a time has it (a lock). Can fail: JournalError, and then nothing more may be sent; what is answered
may still be noted.

In memory is one key for each message of earlier runs: about 100 octets. What this run sends is not
kept here: whoever reads the messages knows which it has had (``desk``).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

SYNC: Final = 0.25  # seconds a record may wait for the disk: what a power cut may repeat
# The first line. In a journal of schema 1 a message may have a key that nobody knows by now.
FIRST: Final = {"journal": "posthouse send", "schema": 2}
LINE_LIMIT: Final = 4_000_000  # octets of one line; one message has 10,000 recipients at most


class JournalError(Exception):
    """The journal can't be used.

    ``reason``: "locked", "not_a_journal", "version", "write", "sync", "read".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Book(Protocol):
    """What ``crew`` asks and tells."""

    def sent_to(self, key: str) -> frozenset[str] | None:
        """Who has that message by an earlier run; None: everybody it is for."""
        ...

    def doubtful(self, key: str) -> bool:
        """Whether an earlier run was cut off amid it: somebody may have it already."""
        ...

    def under_way(self, key: str) -> None:
        """It goes out now. Raises JournalError."""
        ...

    def sent(self, key: str, to: Iterable[str], *, last: bool, said: str) -> None:
        """These recipients were accepted; ``last``: nobody is left. Raises JournalError."""
        ...

    def ended(self, key: str) -> None:
        """It was answered, if not by yes: it is not under way any more. Raises JournalError."""
        ...

    async def keep(self) -> None:
        """Ask the disk, a few times a second, until cancelled. Raises JournalError."""
        ...


class NoJournal:
    """For one message, or where none is wanted."""

    def sent_to(self, key: str) -> frozenset[str] | None:
        return frozenset()

    def doubtful(self, key: str) -> bool:
        return False

    def under_way(self, key: str) -> None:
        """Nothing is kept."""

    def sent(self, key: str, to: Iterable[str], *, last: bool, said: str) -> None:
        """Nothing is kept."""

    def ended(self, key: str) -> None:
        """Nothing is kept."""

    async def keep(self) -> None:
        """Until cancelled."""
        await asyncio.Event().wait()


class Journal:
    """The owner of the file. ``now`` gives seconds since 1970. Raises JournalError."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._now = now
        self._whole: set[bytes] = set()  # keys of messages that everybody has by an earlier run
        self._some: dict[bytes, frozenset[str]] = {}
        self._open: set[bytes] = set()  # tried by an earlier run, and no answer recorded
        self._sent = 0  # by this run
        self._file = _open(path)
        self._dirty = False
        self._torn = False  # the last line is not whole
        try:
            self._load()
        except OSError:
            self._file.close()
            raise JournalError("read") from None
        except BaseException:
            self._file.close()
            raise
        self.uncertain = len(self._open)  # messages an earlier run left in the middle

    @property
    def known(self) -> int:
        """How many messages are handed in."""
        return len(self._whole) + self._sent

    def sent_to(self, key: str) -> frozenset[str] | None:
        raw = bytes.fromhex(key)
        return None if raw in self._whole else self._some.get(raw, frozenset())

    def doubtful(self, key: str) -> bool:
        return bytes.fromhex(key) in self._open

    def under_way(self, key: str) -> None:
        self._write({"under_way": key})

    def sent(self, key: str, to: Iterable[str], *, last: bool, said: str) -> None:
        names = list(to)
        at = round(self._now(), 3)
        self._write({"sent": key, "to": names, "last": last, "said": said, "at": at})
        self._sent += last

    def ended(self, key: str) -> None:
        self._write({"ended": key})

    async def keep(self) -> None:
        """Ask the disk, a few times a second, until cancelled."""
        while True:
            await asyncio.sleep(SYNC)
            if self._dirty:
                self._dirty = False
                await asyncio.to_thread(self._sync)

    def close(self) -> None:
        """Everything is on the disk, and the lock is free."""
        try:
            self._sync()
        finally:
            self._file.close()

    def _sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError:
            raise JournalError("sync") from None

    def _write(self, line: dict[str, Any]) -> None:
        text = _line(line)
        if self._torn:
            text = b"\n" + text
        try:
            written = self._file.write(text)
        except OSError:
            raise JournalError("write") from None
        self._torn = written != len(text)
        if self._torn:  # a full disk takes a part
            raise JournalError("write")
        self._dirty = True

    def _load(self) -> None:
        self._file.seek(0)
        last, first = b"\n", True
        with os.fdopen(os.dup(self._file.fileno()), "rb") as reader:
            while raw := reader.readline(LINE_LIMIT):
                last = raw
                line = _parsed(raw)
                if first and _line(FIRST).startswith(raw) and not raw.endswith(b"\n"):
                    self._file.truncate(0)  # the disk took a part of it, and nothing was sent yet
                    break
                if first:
                    _check(line)
                first = False
                if line is not None:
                    self._take(line)
        if first:
            self._write(FIRST)
        elif not last.endswith(b"\n"):
            self._file.write(b"\n")  # a killed process left half a line

    def _take(self, line: dict[str, Any]) -> None:
        with suppress(KeyError, TypeError, ValueError):
            if "under_way" in line:
                self._open.add(bytes.fromhex(line["under_way"]))
            elif "ended" in line:
                self._open.discard(bytes.fromhex(line["ended"]))
            elif "sent" in line:
                key = bytes.fromhex(line["sent"])
                self._open.discard(key)
                if line["last"]:
                    self._whole.add(key)
                    self._some.pop(key, None)
                else:
                    self._some[key] = self._some.get(key, frozenset()) | set(line["to"])


def _check(first: dict[str, Any] | None) -> None:
    """The first line. Raises JournalError."""
    if first is None or first.get("journal") != FIRST["journal"]:
        raise JournalError("not_a_journal")
    if first.get("schema") != FIRST["schema"]:
        raise JournalError("version")


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _open(path: Path) -> BinaryIO:
    """The file, locked: appended to, unbuffered, for its owner alone (it holds addresses)."""
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        file = os.fdopen(number, "r+b", buffering=0)
    except OSError:
        raise JournalError("write") from None
    try:
        import fcntl
    except ImportError:  # Windows: two runs at once are the user's own affair there
        return file
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise JournalError("locked") from None
    return file
