"""From bytes of a message to characters.

Enters: bytes with the charset somebody named, or none; header values with encoded words. Leaves:
text. Called by every module here. Nothing raises: an unknown or wrong charset is guessed (UTF-8,
else GB18030, else Latin-1), and what no charset explains becomes U+FFFD.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re
from collections.abc import Iterator
from typing import Final

VALUE_LIMIT: Final = 16_384  # characters of one header value that are decoded

# Names are taken from these families alone: Python also knows codecs that are no charsets, and
# some of them (punycode) take quadratic time.
_CHARSET: Final = re.compile(
    r"(?:utf|iso|windows|cp|ibm|koi|gb|big5|euc|shift|sjis|ms_kanji|us-ascii|ascii|ansi_x3"
    r"|latin|ks_c|mac|hz|tis|johab|ms9)[\w.:+-]{0,30}"
)
# GB18030 holds the other two; senders name the smallest and use the largest.
_ALIASES: Final = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "gb2312-80": "gb18030",
    "ks_c_5601-1987": "cp949",
    "iso-8859-1": "cp1252",  # what is labelled so often has Windows' quotes and dashes
    "latin1": "cp1252",
    "iso-8859-8-i": "iso-8859-8",
    "shift_jis": "cp932",
    "utf8mb4": "utf-8",
}
_WORD: Final = re.compile(r"=\?([\w.:+-]{1,40})(?:\*[\w-]{0,20})?\?([bBqQ])\?([^?]*)\?=")
_BETWEEN: Final = re.compile(r"(\?=)\s+(?==\?[\w.:+-]{1,40}(?:\*[\w-]{0,20})?\?[bBqQ]\?)")
_HIGH: Final = re.compile(rb"[\x80-\xff]+")


def decode_charset(raw: bytes, charset: str = "") -> str:
    """Text of ``raw``, in the charset named if that is one and fits, else guessed."""
    name = charset.strip().strip("'\"").lower()
    name = _ALIASES.get(name, name)
    if name and _CHARSET.fullmatch(name):
        try:
            codecs.lookup(name)
        except LookupError:
            return guess(raw)
        if name in ("us-ascii", "ascii") and not raw.isascii():
            return guess(raw)
        try:
            return raw.decode(name)
        except (UnicodeError, ValueError):
            pass
        if name.startswith("utf") and name != "utf-8":
            return raw.decode(name, "replace")
        return guess(raw) if name == "utf-8" else raw.decode(name, "replace")
    return guess(raw)


def guess(raw: bytes) -> str:
    """UTF-8, else GB18030 where high bytes come in pairs, else Latin-1."""
    if raw.isascii():
        return raw.decode("ascii")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        good = raw[: error.start]
        if error.reason == "unexpected end of data" and not good.isascii():  # cut in a character
            return raw.decode("utf-8", "replace")
    runs = _HIGH.findall(raw)
    paired = sum(len(run) // 2 for run in runs if len(run) % 2 == 0)
    if paired >= 0.8 * max(1, len(runs)):
        try:
            return raw.decode("gb18030")
        except UnicodeDecodeError:
            pass
    return raw.decode("cp1252", "replace")


def decode_words(text: str) -> str:
    """RFC 2047 encoded words made text; white space between two of them goes (section 6.2)."""
    if "=?" not in text:
        return text
    text = _BETWEEN.sub(r"\1", text[:VALUE_LIMIT])
    return "".join(_pieces(text))


def _pieces(text: str) -> Iterator[str]:
    """Neighbouring words of one charset are decoded together: many cut a character in two."""
    position, pending, charset = 0, b"", ""
    for word in _WORD.finditer(text):
        gap = text[position : word.start()]
        if pending and (gap or word[1].lower() != charset):
            yield decode_charset(pending, charset)
            pending = b""
        yield gap
        charset = word[1].lower()
        pending += _word(word[2], word[3])
        position = word.end()
    if pending:
        yield decode_charset(pending, charset)
    yield text[position:]


def _word(kind: str, coded: str) -> bytes:
    raw = coded.encode("utf-8", "replace")
    if kind in "qQ":
        return quopri.decodestring(raw.replace(b"_", b" "), header=False)
    return decode_base64(raw)


def decode_base64(raw: bytes) -> bytes:
    """As much as can be read; other characters are skipped (RFC 2045 section 6.8)."""
    kept = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
    kept = kept[: len(kept) - (len(kept) % 4 == 1)]
    try:
        return base64.b64decode(kept + b"=" * (-len(kept) % 4))
    except (binascii.Error, ValueError):
        return b""


def is_utf8(octets: bytes) -> bool:
    """Whether they are UTF-8; what is ASCII is, too."""
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
