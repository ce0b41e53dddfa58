"""Text on the border of the program: octets cut short, and arguments that were never text.

Enters: octets of unknown charset, or text from a command line. Leaves: the same, fit to be decoded
and printed. Called by ``smtp.reply`` and ``explain.reading``. Nothing fails.
"""

from __future__ import annotations


def head(raw: bytes, limit: int) -> bytes:
    """The first octets of ``raw``, at most ``limit``, without half a character at their end.

    A cut inside a character would make all of it look like another charset. A blank is never a
    part of a character in UTF-8 or GB18030.
    """
    if len(raw) <= limit:
        return raw
    cut = raw[:limit]
    blank = max(cut.rfind(b" "), cut.rfind(b"\n"))
    if blank > limit // 2:
        return cut[:blank]
    end = limit
    while limit - end < 3 and raw[end] & 0xC0 == 0x80:
        end -= 1
    return raw[:end]


def unescaped(text: str) -> str | bytes:
    """``text``; where it holds octets that an argument could not decode (PEP 383), those octets.

    Other lone surrogates, which no encoding can write, become "?".
    """
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return text.encode("utf-8", "replace")
    return text
