"""Inputs from seeds: the same edits for hypothesis, which can shrink them, and for scripts/fuzz.

Enters: valid inputs of a parser, and numbers. Leaves: damaged ones. Nothing here is random by
itself: the same numbers give the same bytes, so that every crash can be replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from random import Random

LONGEST = 20_000  # octets of one input; caps above that have tests of their own


class Op(IntEnum):
    """One kind of damage."""

    FLIP = 0
    INSERT = 1
    OVERWRITE = 2
    DELETE = 3
    REPEAT = 4
    SPLICE = 5
    SWAP = 6
    TRUNCATE = 7


# Octets that mean something to some parser here.
TOKENS: tuple[bytes, ...] = (
    *(bytes([n]) for n in b"\0\x01\t\n\r \"#%&'(),-./:;<=>?@[\\]{|}~\x7f\x80\xa0\xff09azAZ"),
    b"\r\n",
    b"\r\n.\r\n",
    b"\n.\n",
    b"..",
    b"{0}\r\n",
    b"{10}\r\n",
    b"{99999999999}",
    b"250 ",
    b"250-",
    b"334 ",
    b"421 ",
    b"5.7.8 ",
    b"AUTH PLAIN ",
    b"STARTTLS",
    b"BDAT 3 LAST\r\n",
    b"https://",
    b"//[",
    b"&#0;",
    b"&amp;",
    b"<![CDATA[",
    b"<!DOCTYPE a [",
    b"\\ud800",
    b"\\u0000",
    b"1e999",
    b"NaN",
    b"%EMAILADDRESS%",
    b"xn--",
    b"mailto:",
    b"smtp;",
    b"=?utf-8?B?",
    b"eyJ",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    "授权码".encode(),
    "授权码".encode("gb18030"),
    "\u202e\u2066\u200b".encode(),
    "\ufdfa".encode(),
    "Ω٣é".encode(),
    b"\xff\xff\xff\xff",
    b"\x80\0\0\0",
)


@dataclass(frozen=True, slots=True)
class Edit:
    """One step of damage; ``at`` and ``size`` are taken modulo what is there."""

    op: Op
    at: int
    size: int
    piece: bytes


def apply(data: bytes, edit: Edit, seeds: Sequence[bytes]) -> bytes:
    """``data`` after one edit."""
    at = edit.at % (len(data) + 1)
    end = min(len(data), at + 1 + edit.size % 40)
    match edit.op:
        case Op.FLIP if at < len(data):
            return data[:at] + bytes([data[at] ^ (1 << edit.size % 8)]) + data[at + 1 :]
        case Op.OVERWRITE:
            return data[:at] + edit.piece + data[at + len(edit.piece) :]
        case Op.DELETE:
            return data[:at] + data[end:]
        case Op.REPEAT:
            return data[:at] + data[at:end] * (2 + edit.size % 60) + data[end:]
        case Op.SPLICE:
            other = seeds[edit.size % len(seeds)] if seeds else b""
            return data[:at] + other[edit.at % (len(other) + 1) :]
        case Op.SWAP:
            return data[:at] + data[end : end + end - at] + data[at:end] + data[end + end - at :]
        case Op.TRUNCATE:
            return data[:at]
    return data[:at] + edit.piece + data[at:]


def damaged(data: bytes, edits: Sequence[Edit], seeds: Sequence[bytes]) -> bytes:
    """``data`` after all edits, not longer than LONGEST."""
    for edit in edits:
        data = apply(data, edit, seeds)[:LONGEST]
    return data


def generate(seeds: Sequence[bytes], number: str) -> bytes:
    """The input that belongs to ``number`` ("<seed>:<n>")."""
    random = Random(number)
    if not seeds or random.random() < 0.1:
        return random.randbytes(random.choice((1, 4, 16, 60, 300)))
    edits = [_edit(random) for _ in range(random.choice((1, 1, 2, 3, 5, 9)))]
    return damaged(random.choice(seeds), edits, seeds)


def _edit(random: Random) -> Edit:
    piece = (
        random.choice(TOKENS) if random.random() < 0.7 else random.randbytes(random.randint(1, 6))
    )
    return Edit(
        Op(random.randrange(len(Op))), random.randrange(1 << 16), random.randrange(256), piece
    )


def cuts(data: bytes) -> list[bytes]:
    """``data`` in pieces, the same for the same data."""
    random = Random(data)
    pieces, at = [], 0
    while at < len(data):
        size = random.choice((1, 1, 2, 3, 5, 17, 80, 400))
        pieces.append(data[at : at + size])
        at += size
    return pieces
