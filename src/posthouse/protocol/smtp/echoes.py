"""Credentials found again in a server's words, however it wrote them.

Enters: what was sent (``add``), then any text. Leaves: the text with every echo as ``***``: plain,
base64 at any alignment, URL-encoded, escaped as in JSON, in another case; and pieces of one that
the server cut off or broke over lines. Owned by a ``Masker``. Nothing fails.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

HIDDEN: Final = "***"
SHORTEST: Final = 3  # a secret shorter than this would mask half of the words there are
# Characters in a row that give a piece of a secret away. Encoded text has no words in common with
# a sentence; a password may ("password-2026"), and must not blank out the sentence about it.
ENCODED_PIECE: Final = 8
PLAIN_PIECE: Final = 10


class Echoes:
    """What must not be shown: whole secrets, and pieces of a certain length."""

    def __init__(self) -> None:
        self._whole: set[str] = set()
        self._pieces: dict[int, set[str]] = {}  # length -> pieces, lower case

    def add(self, secret: bytes) -> None:
        """A secret that may come back in any form."""
        for text in _texts(secret):
            self._add(text, max(PLAIN_PIECE, len(text) // 2))
            for form in _escaped(text):
                self._add(form, max(PLAIN_PIECE, len(form) // 2))
        if len(secret) >= SHORTEST:
            self.add_encoded(secret)

    def add_encoded(self, data: bytes) -> None:
        """What is no secret as it stands, but would be in base64: a whole SASL response."""
        for encoded in _base64(data):
            self._add(encoded, ENCODED_PIECE)
            self._add(quote(encoded, safe=""), ENCODED_PIECE)
        if data:
            self._add(base64.b64encode(data).decode("ascii"), ENCODED_PIECE)

    def _add(self, form: str, size: int) -> None:
        if len(form) < SHORTEST:
            return
        self._whole.add(form)
        if len(form) >= size:
            lower = _lower(form)
            pieces = (lower[i : i + size] for i in range(len(lower) - size + 1))
            self._pieces.setdefault(size, set()).update(pieces)

    def hide(self, text: str) -> str:
        """``text`` without any of them."""
        if not self._whole:
            return text
        hidden = bytearray(len(text))
        for form in self._whole:
            at = text.find(form)
            while at >= 0:
                hidden[at : at + len(form)] = b"\1" * len(form)
                at = text.find(form, at + 1)
        lower = _lower(text)
        for size, pieces in self._pieces.items():
            for at in range(len(lower) - size + 1):
                if lower[at : at + size] in pieces:
                    hidden[at : at + size] = b"\1" * size
        return "".join(_runs(text, hidden)) if 1 in hidden else text


def _runs(text: str, hidden: bytearray) -> Iterator[str]:
    """The characters to show, and one mark for each run of others."""
    for at, char in enumerate(text):
        if not hidden[at]:
            yield char
        elif not at or not hidden[at - 1]:
            yield HIDDEN


def _lower(text: str) -> str:
    lower = text.lower()
    return lower if len(lower) == len(text) else text  # positions must stay true


def _texts(secret: bytes) -> set[str]:
    """As the server may have decoded it."""
    found = {secret.decode("latin-1")}
    for charset in ("utf-8", "gb18030"):
        try:
            found.add(secret.decode(charset))
        except UnicodeDecodeError:
            continue
    return found


def _escaped(text: str) -> set[str]:
    """As in a URL, a JSON string, a repr."""
    octets = text.encode("utf-8", "surrogatepass")
    found = {quote(octets, safe=""), quote(octets), quote_plus(octets), repr(octets)[2:-1]}
    return found | {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def _base64(data: bytes) -> Iterator[str]:
    """What stays the same of the base64 of ``data``, whatever stands before and after it."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode("ascii")
        first = -(-before * 8 // 6)
        core = encoded[first : (before + len(data)) * 8 // 6]
        if len(core) >= ENCODED_PIECE // 2:
            yield core
            yield core.replace("+", "-").replace("/", "_")
