"""Where many messages come from: an mbox, a folder of .eml files, a Maildir, lines of JSON.

Enters: a path, a pipe, or standard input. Leaves: ``Draft``s, one at a time as they are asked for,
so that memory does not grow with the input. Called by the command line, which gives them to
``crew``. Can fail: SourceError where the path is none of these; a message that can't be read is a
draft that says so.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, BinaryIO, Final

from posthouse.protocol.message import looks_like_message
from posthouse.send.client.facts import BOM, Draft, Kind, Problem, Unusable

MESSAGE_LIMIT: Final = 150_000_000  # octets of one message; the largest servers take that much
SNIFFED: Final = 16_384  # octets looked at
BLOCK: Final = 1_048_576  # octets read at once where only lines are counted
# RFC 4155: "From ", an address or a name, and a date.
_FROM: Final = re.compile(rb"From \S.{0,200}\d\d:\d\d.{0,100}$")
_QUOTED: Final = re.compile(rb">+From ")
_FIELD: Final = re.compile(rb"[!-9;-~]{1,100}[ \t]*:")
_MAILDIR: Final = ("new", "cur")


class SourceError(Exception):
    """Not to be sent from. ``reason``: "missing", "empty_folder", "unknown", "several"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Source:
    """Messages to be read, in their order."""

    path: Path
    form: str  # "json", "mbox", "mail", "folder", or "empty": nobody had anything to say today
    name: str = ""  # for people
    files: tuple[Path, ...] = ()
    piped: IO[bytes] | None = None  # what can be read once, kept in a file as long as this is

    def drafts(self) -> Iterator[Draft]:
        """The messages, read one by one."""
        if self.form == "folder":
            for file in self.files:
                yield _of_file(file, file.name)
        elif self.form == "mail":
            yield _of_file(self.path, self.name)
        elif self.form != "empty":
            reader = json_lines if self.form == "json" else mbox
            with self.path.open("rb") as stream:
                yield from reader(stream, self.name)

    def count(self) -> int:
        """How many there are."""
        if self.form == "folder":
            return len(self.files)
        if self.form == "empty":
            return 0
        if self.form == "mail":
            return 1
        with self.path.open("rb") as stream:
            if self.form == "json":
                return sum(1 for line in iter(lambda: stream.readline(BLOCK), b"") if _ends(line))
            return sum(1 for _ in _starts(stream))


def open_source(path: str) -> Source:
    """What a path holds, or standard input ("-"). Raises SourceError, OSError.

    Standard input and pipes are read to their end first: they are read once, and a slow writer must
    not keep us from hearing servers.
    """
    if path == "-":
        return _piped(sys.stdin.buffer, "-")
    place = Path(path)
    if place.is_dir():
        return _folder(place)
    if not place.exists():
        raise SourceError("missing")
    if not place.is_file():
        with place.open("rb") as stream:
            return _piped(stream, place.name)
    return Source(place, _form(_head(place)), place.name)


def one_message(stream: BinaryIO, where: str) -> Draft:
    """What was given as one message. Raises SourceError ("several"), OSError."""
    data = stream.read(MESSAGE_LIMIT + 1)
    if _several(data):
        raise SourceError("several")
    return _draft(where, data)


def _several(data: bytes) -> bool:
    """Whether it is an mbox with more than one message, or lines of JSON."""
    try:
        form = _form(data[:SNIFFED])
    except SourceError:
        return False
    return form == "json" or (form == "mbox" and len(list(islice(_starts(BytesIO(data)), 2))) > 1)


def _piped(stream: BinaryIO, name: str) -> Source:
    piped = NamedTemporaryFile(prefix="posthouse-")  # noqa: SIM115  closed with the Source
    shutil.copyfileobj(stream, piped)
    piped.flush()
    place = Path(piped.name)
    return Source(place, _form(_head(place)), name, piped=piped)


def _head(place: Path) -> bytes:
    with place.open("rb") as stream:
        return stream.read(SNIFFED)


def _form(head: bytes) -> str:
    head = head.removeprefix(BOM)
    first = head.lstrip().partition(b"\n")[0].rstrip(b"\r")
    if not first:
        return "empty"
    if first.startswith(b"{"):
        return "json"
    if _FROM.match(first):
        return "mbox"
    if looks_like_message(head):
        return "mail"
    raise SourceError("unknown")


def _folder(place: Path) -> Source:
    maildir = all((place / name).is_dir() for name in _MAILDIR)
    folders = [place / name for name in _MAILDIR] if maildir else [place]
    files = [
        file
        for folder in folders
        for file in sorted(folder.iterdir())
        if file.is_file() and not file.name.startswith(".")
        if maildir or file.suffix.lower() == ".eml"
    ]
    if not files and not maildir:  # somebody may have meant another one
        raise SourceError("empty_folder")
    return Source(place, "folder", place.name, tuple(files))


def _of_file(file: Path, where: str) -> Draft:
    try:
        with file.open("rb") as stream:
            data = stream.read(MESSAGE_LIMIT + 1)
    except OSError:
        return Draft(where, b"", problem=Unusable(Problem.UNREADABLE))
    return _draft(where, data)


def _draft(where: str, data: bytes, kind: Kind = Kind.MAIL) -> Draft:
    if len(data) > MESSAGE_LIMIT:
        return Draft(where, b"", kind, Unusable(Problem.TOO_LONG))
    return Draft(where, data, kind)


def json_lines(stream: BinaryIO, name: str) -> Iterator[Draft]:
    """One object a line; empty lines are none."""
    number = 0
    while line := stream.readline(MESSAGE_LIMIT + 1):
        number += 1
        piece = line
        while len(line) > MESSAGE_LIMIT and piece and not piece.endswith(b"\n"):
            piece = stream.readline(BLOCK)  # the rest of a line that is too long is not kept
        if number == 1:
            line = line.removeprefix(BOM)
        if line.strip():
            yield _draft(f"{name}:{number}", line, Kind.JSON)


def mbox(stream: BinaryIO, name: str) -> Iterator[Draft]:
    """The messages of an mbox, ">From " made "From " again (the form called mboxrd)."""
    number, size = 0, 0
    parts: list[bytes] = []
    for line, begins in _lines(stream):
        if begins:
            if number:
                yield _joined(f"{name}#{number}", parts, size)
            number, parts, size = number + 1, [], 0
            continue
        size += len(line)
        if size <= MESSAGE_LIMIT:
            parts.append(line[1:] if line[:1] == b">" and _QUOTED.match(line) else line)
    if number:
        yield _joined(f"{name}#{number}", parts, size)


def _joined(where: str, parts: list[bytes], size: int) -> Draft:
    if size > MESSAGE_LIMIT:
        return Draft(where, b"", problem=Unusable(Problem.TOO_LONG))
    if parts and not parts[-1].strip():
        parts.pop()  # the empty line before the next message is the mbox's
    return Draft(where, b"".join(parts))


def _lines(stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Each line, and whether a message begins with it.

    That is a "From " line after an empty one and before a header field: a text may have a line
    that begins so, too.
    """
    empty, line = True, stream.readline(BLOCK).removeprefix(BOM)
    while line:
        following = stream.readline(BLOCK)
        begins = empty and line[:5] == b"From " and _FROM.match(line.rstrip(b"\r\n")) is not None
        yield line, begins and _FIELD.match(following) is not None
        empty, line = not line.strip(), following


def _starts(stream: BinaryIO) -> Iterator[bytes]:
    return (line for line, begins in _lines(stream) if begins)


def _ends(piece: bytes) -> bool:
    """Whether a line with something in it ends here (a long one is read in pieces)."""
    whole = piece.endswith(b"\n") or len(piece) < BLOCK
    return whole and bool(piece.strip())
