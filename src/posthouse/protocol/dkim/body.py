"""The hash of a body, taken while it streams by, in memory that does not grow with it.

Enters: a body in chunks of any size, cut anywhere. Leaves: its SHA-256 for each canonicalization
and length limit wanted, and how long it was. Called by ``sign``, ``verify`` and ``arc``. Nothing
fails. RFC 6376 sections 3.4.3, 3.4.4 and 3.7.

A bare LF counts as CRLF (a message kept with Unix line ends is hashed as it will be sent, and most
verifiers do the same); a bare CR is an octet like any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from posthouse.protocol.dkim.canon import CRLF, Canon, relaxed_text
from posthouse.protocol.dkim.fields import crlf

_PIECE: Final = CRLF * 4_096  # empty lines are given to the hash in pieces of this size
Want = tuple[Canon, int | None]  # canonicalization, and how many octets of it (None: all)


class _Sink:
    """One hash, of the first ``limit`` octets."""

    __slots__ = ("digest", "left")

    def __init__(self, limit: int | None) -> None:
        self.digest = hashlib.sha256()
        self.left = limit

    def update(self, data: bytes) -> None:
        if self.left is not None:
            data = data[: self.left]
            self.left -= len(data)
        self.digest.update(data)


class _Lines:
    """One canonicalization: holds empty lines back until something follows them."""

    __slots__ = ("blank", "canon", "empty", "length", "sinks")

    def __init__(self, canon: Canon) -> None:
        self.canon = canon
        self.sinks: dict[int | None, _Sink] = {}
        self.length = 0  # canonical octets so far
        self.empty = 0  # line ends not yet hashed: they count only if something follows
        self.blank = False  # a blank not yet hashed: it counts only if no line end follows

    def feed(self, data: bytes) -> None:
        """``data`` has CRLF line ends and does not end within one."""
        if self.canon is Canon.RELAXED:
            data = relaxed_text(b" " + data if self.blank else data)
            self.blank = data.endswith(b" ")
            if self.blank:
                data = data[:-1]
        content, ends = _parted(data)
        if content:
            self._line_ends(self.empty)
            self.empty = 0
            self._emit(content)
        self.empty += ends

    def finish(self) -> None:
        """The body has ended: one line end, except for an empty body in relaxed form."""
        if self.length or self.canon is Canon.SIMPLE:
            self._emit(CRLF)

    def _line_ends(self, number: int) -> None:
        while number > 0:
            piece = _PIECE[: 2 * number]
            self._emit(piece)
            number -= len(piece) // 2

    def _emit(self, data: bytes) -> None:
        self.length += len(data)
        for sink in self.sinks.values():
            sink.update(data)


def _parted(data: bytes) -> tuple[bytes, int]:
    """``data`` without the line ends at its end, and their number."""
    if not data.endswith(CRLF):
        return data, 0
    bare = len(data.rstrip(CRLF))
    doubled = data.rfind(b"\r\r", bare)  # the first of two CR belongs to no line end
    start = bare if doubled < 0 else doubled + 1
    return data[:start], (len(data) - start) // 2


class BodyHasher:
    """The owner of a body's hashes: ``feed`` it, ``finish`` once, then ask."""

    __slots__ = ("_cr", "_lines", "octets")

    def __init__(self, wants: Iterable[Want]) -> None:
        self._lines: dict[Canon, _Lines] = {}
        self._cr = False  # a CR not yet given on: LF may follow
        self.octets = 0  # fed
        for canon, limit in wants:
            lines = self._lines.setdefault(canon, _Lines(canon))
            lines.sinks.setdefault(limit, _Sink(limit))

    def feed(self, chunk: bytes) -> None:
        """The next octets of the body."""
        self.octets += len(chunk)
        if self._cr and chunk:
            chunk = b"\r" + chunk
            self._cr = False
        if chunk.endswith(b"\r"):
            self._cr = True
            chunk = chunk[:-1]
        if chunk:
            chunk = crlf(chunk)
            for lines in self._lines.values():
                lines.feed(chunk)

    def finish(self) -> None:
        """No more octets. Call it once."""
        for lines in self._lines.values():
            if self._cr:
                lines.feed(b"\r")
            lines.finish()

    def digest(self, canon: Canon, limit: int | None = None) -> bytes:
        """The SHA-256 of the first ``limit`` canonical octets, for a pair that was wanted."""
        return self._lines[canon].sinks[limit].digest.digest()

    def length(self, canon: Canon) -> int:
        """How many octets the canonical body has."""
        return self._lines[canon].length


def canonical_body(data: bytes, canon: Canon) -> bytes:
    """A whole body as it is hashed: for small ones, where ``BodyHasher``'s care would cost more.

    ``data`` has CRLF line ends.
    """
    if canon is Canon.RELAXED:
        data = relaxed_text(data)
        if data.endswith(b" "):
            data = data[:-1]
    if data.endswith(CRLF) and data[-3:-2] not in CRLF:
        return data  # something, and one line end: nearly all bodies
    content, _ = _parted(data)
    return content + CRLF if content or canon is Canon.SIMPLE else b""


def hash_body(body: bytes | Iterable[bytes], wants: Iterable[Want]) -> BodyHasher:
    """The finished hashes of a body, whole or in chunks."""
    hasher = BodyHasher(wants)
    for chunk in (body,) if isinstance(body, bytes) else body:
        hasher.feed(chunk)
    hasher.finish()
    return hasher
