"""One TLSA record: four fields, and whether mail can use it. RFC 6698 section 2, RFC 7672 3.1.

Enters: presentation form ("3 1 1 0123..."), with the names of RFC 7218 or in the form for unknown
types (RFC 3597 section 5) too. Leaves: ``Tlsa``. Fails with TlsaError alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

# Characters of one record: a whole certificate in hex is some 4,000; DNS holds 65,535 octets.
TEXT_LIMIT: Final = 131_200
DER_SEQUENCE: Final = 0x30  # both a certificate and a public key begin with it (RFC 5280)


class Usage(IntEnum):
    """Section 2.1.1; the two for PKIX are not for mail (RFC 7672 section 3.1.3)."""

    PKIX_TA = 0
    PKIX_EE = 1
    DANE_TA = 2
    DANE_EE = 3


class Selector(IntEnum):
    """Section 2.1.2."""

    CERT = 0
    SPKI = 1


class Matching(IntEnum):
    """Section 2.1.3."""

    FULL = 0
    SHA256 = 1
    SHA512 = 2


LENGTHS: Final[Mapping[int, int]] = {Matching.SHA256: 32, Matching.SHA512: 64}
# RFC 7218
_NAMES: Final = (
    {"pkix-ta": 0, "pkix-ee": 1, "dane-ta": 2, "dane-ee": 3, "privcert": 255},
    {"cert": 0, "spki": 1, "privsel": 255},
    {"full": 0, "sha2-256": 1, "sha2-512": 2, "privmatch": 255},
)


class TlsaError(Exception):
    """Text that is no TLSA record. ``reason`` is a stable id.

    Reasons: ``too_long``, ``fields``, ``number``, ``hex``, ``empty``, ``length``.
    """

    def __init__(self, reason: str, text: str = "") -> None:
        shown = "".join(char if char.isprintable() else "?" for char in text[:80])
        super().__init__(f"{reason}: {shown}")
        self.reason = reason
        self.text = shown


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One record; numbers nobody has given a meaning to are kept."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"

    @property
    def kind(self) -> str:
        """The three numbers, "3 1 1"."""
        return f"{self.usage} {self.selector} {self.matching}"

    @property
    def usable(self) -> bool:
        """Whether a mail client can do anything with it (RFC 7672 section 3.1)."""
        if self.usage not in (Usage.DANE_TA, Usage.DANE_EE) or self.selector not in (0, 1):
            return False
        if self.matching == Matching.FULL:
            return self.data[:1] == bytes([DER_SEQUENCE])
        return self.matching in LENGTHS


def parse(text: str) -> Tlsa:
    """The record in ``text``. Raises TlsaError."""
    if len(text) > TEXT_LIMIT:
        raise TlsaError("too_long", text)
    parts = text.replace("(", " ").replace(")", " ").split()
    if parts[:1] == ["\\#"]:
        return _generic(parts, text)
    if len(parts) < 3:
        raise TlsaError("fields", text)
    usage, selector, matching = (
        _number(part, names, text) for part, names in zip(parts, _NAMES, strict=False)
    )
    return _checked(usage, selector, matching, _hex(parts[3:], text), text)


def _generic(parts: list[str], text: str) -> Tlsa:
    """RFC 3597 section 5: "\\# length hex"."""
    if len(parts) < 3 or not (parts[1].isascii() and parts[1].isdigit()):
        raise TlsaError("fields", text)
    data = _hex(parts[2:], text)
    if parts[1].lstrip("0") != str(len(data)) or len(data) < 3:
        raise TlsaError("length", text)
    return _checked(data[0], data[1], data[2], data[3:], text)


def _number(part: str, names: dict[str, int], text: str) -> int:
    named = names.get(part.lower())
    if named is not None:
        return named
    if not (part.isascii() and part.isdigit()) or len(part) > 3 or int(part) > 255:
        raise TlsaError("number", text)
    return int(part)


def _hex(parts: Sequence[str], text: str) -> bytes:
    joined = "".join(parts)
    try:
        return bytes.fromhex(joined)
    except ValueError:
        raise TlsaError("hex", text) from None


def _checked(usage: int, selector: int, matching: int, data: bytes, text: str) -> Tlsa:
    if not data:
        raise TlsaError("empty", text)
    if len(data) != LENGTHS.get(matching, len(data)):
        raise TlsaError("length", text)
    return Tlsa(usage, selector, matching, data)


def parse_all(texts: Iterable[str]) -> tuple[tuple[Tlsa, ...], tuple[TlsaError, ...]]:
    """All that can be read, and what is wrong with the others."""
    records, errors = [], []
    for text in texts:
        try:
            records.append(parse(text))
        except TlsaError as error:
            errors.append(error)
    return tuple(records), tuple(errors)


def agile(records: Sequence[Tlsa]) -> tuple[Tlsa, ...]:
    """The usable records without those that a stronger digest replaces. RFC 7671 section 9.

    Per usage and selector the strongest digest alone counts; whole values always do.
    """
    usable = [record for record in records if record.usable]
    best: dict[tuple[int, int], int] = {}
    for record in usable:
        key = (record.usage, record.selector)
        best[key] = max(best.get(key, 0), record.matching)
    return tuple(
        record
        for record in usable
        if record.matching in (Matching.FULL, best[record.usage, record.selector])
    )
