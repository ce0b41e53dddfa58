"""Files that hold messages: whether a file is one, and the messages of an mbox.

Enters: the bytes of a file. Leaves: yes or no, and each message's bytes. Called by whoever is
given a file that may be a log, a reply or a mail. Nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

MESSAGES_LIMIT: Final = 100_000  # messages of one mbox
SNIFFED: Final = 16_384  # bytes looked at

# RFC 4155: "From ", an address or a name, and a date.
_FROM_LINE: Final = re.compile(rb"^From \S[^\n]{0,200}\d\d:\d\d[^\n]{0,100}$", re.MULTILINE)
_FIELD: Final = re.compile(rb"([!-9;-~]{2,80}):(?:[ \t]|$)")
_USUAL: Final = frozenset(
    b"authentication-results cc content-transfer-encoding content-type date delivered-to "
    b"dkim-signature from message-id mime-version received reply-to return-path sender subject to "
    b"x-mailer x-original-to x-failed-recipients auto-submitted".split()
)


def looks_like_message(raw: bytes) -> bool:
    """Whether a file is a message or an mbox, and not a log or a reply.

    A message begins with header fields, and at least two of them are usual ones.
    """
    head = raw[:SNIFFED].lstrip(b"\xef\xbb\xbf\r\n\t ")
    lines = head.splitlines()
    if lines and _FROM_LINE.match(lines[0]):
        lines = lines[1:]
    usual: set[bytes] = set()
    for line in lines:
        if line[:1] in b" \t" and line.strip():
            continue
        found = _FIELD.match(line)
        if found is None:
            break
        usual |= {found[1].lower()} & _USUAL
    return len(usual) >= 2


def split_mbox(raw: bytes) -> Iterator[bytes]:
    """The messages of an mbox; ``raw`` itself where it is none."""
    starts = [found.start() for found in _FROM_LINE.finditer(raw) if _begins(raw, found)]
    if not starts or raw[: starts[0]].strip():
        yield raw
        return
    starts = starts[:MESSAGES_LIMIT]
    for start, end in zip(starts, [*starts[1:], len(raw)], strict=True):
        yield raw[start:end]


def _begins(raw: bytes, found: re.Match[bytes]) -> bool:
    """After an empty line, and before a field: a text may have a line that begins so, too."""
    before = raw[max(0, found.start() - 4) : found.start()].replace(b"\r", b"")
    after = raw[found.end() : found.end() + 100].lstrip(b"\r\n")
    return (not before or before.endswith(b"\n\n")) and _FIELD.match(after) is not None
