"""The reply inside the words of a program that quotes it.

Enters: the words about one recipient. Leaves: the innermost reply ("host x said: 550 ..." gives
"550 ...") and the host that gave it. Called by ``judge``. Nothing raises; linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from posthouse.explain.bounce.forms import forms

TEXT_LIMIT: Final = 8_000  # characters of one recipient's words

_CODE: Final = re.compile(
    r"(?<![\w.,/@-])([45]\d\d)(?:[ \-]#?([45]\.\d{1,3}\.\d{1,3})(?!\.?\d))?(?![\w./@%])"
)
_SPECIFIC: Final = re.compile(r"[45]\.\d{1,3}\.[1-9]")
_DOUBLED: Final = re.compile(r"^([45]\d\d)[ -]+\1(?=[ -])")
_CLOSING: Final = {"'": "'", '"': '"', "[": "]", "<": ">", "(": ")", "‘": "’", "“": "”"}
_MARKS: Final = re.compile(r"^(?:\S{1,20} )?(?:<<<|>>>)\s*")


def innermost(text: str) -> str:
    """The last reply quoted in ``text``, "" where there is none."""
    text = text[:TEXT_LIMIT]
    starts = list(_starts(text))
    for index in range(len(starts) - 1, -1, -1):
        first = index
        while first and _continues(text, starts[first - 1], starts[first]):
            first -= 1
        reply = _cut(text, starts[first].start())
        if sum(char.isalpha() for char in reply) >= 3 or _SPECIFIC.search(reply):
            return reply
    return ""


def _starts(text: str) -> Iterator[re.Match[str]]:
    """The codes that begin a reply."""
    opens = forms().quote_before
    for found in _CODE.finditer(text):
        before = text[max(0, found.start() - 40) : found.start()].rstrip(" #\t\n")
        if (
            not before
            or before[-1] in ":;'\"[<(>=‘“：，,-"
            or (found[2] and not before[-1].isdigit())  # "550 5.1.1" is a reply wherever it stands
            or re.search(r"(?:^|\s)[45]\d\d$", before)
            or opens.search(before)
        ):
            yield found


def _continues(text: str, one: re.Match[str], other: re.Match[str]) -> bool:
    """A later line of the same reply ("550-5.1.1 a 550 5.1.1 b"), or its code doubled."""
    if one[1] != other[1]:
        return False
    dashed = text[one.end(1) : one.end(1) + 1] == "-"
    doubled = not text[one.end() : other.start()].strip(" -")
    return dashed or doubled or (one[2] is not None and one[2] == other[2])


def _cut(text: str, start: int) -> str:
    """From ``start`` to the end of the quotation."""
    opening = text[start - 1 : start] if start else ""
    reply = text[start:TEXT_LIMIT]
    for trailer in forms().lists["quotes.after"]:
        end = reply.find(trailer)
        if end > 0:
            reply = reply[:end]
    closing = _CLOSING.get(opening)
    if closing and (end := reply.rfind(closing)) > 3:
        reply = reply[:end]
    reply = reply.strip()
    for left, right in ("<>", "[]", "()"):  # the end of a quotation that began before the code
        if reply.endswith(right) and reply.count(right) > reply.count(left):
            reply = reply[:-1].rstrip()
    return _DOUBLED.sub(r"\1", reply)


def speaker(text: str) -> str:
    """The host whose words are quoted, "" where it is not told."""
    best, where = "", -1
    for pattern in forms().hosts:
        for found in pattern.finditer(text[:TEXT_LIMIT]):
            if found.start() > where and ("." in found[1] or "-" in found[1]):
                best, where = found[1].strip("."), found.start()
    return best


def unmarked(line: str) -> str:
    """A line of a transcript without its marks."""
    return _MARKS.sub("", line)
