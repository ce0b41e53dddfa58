"""Tag lists: ``name=value; name=value``, as DKIM, ARC, DMARC, MTA-STS and TLS-RPT write them.

Enters: the text of a header field or of a DNS record. Leaves: its tags by name, in their order,
each with its place in the text. Called by ``dkim``, ``arc`` and every reader of such records.
Fails with TagListError alone. RFC 6376 section 3.2; values may hold UTF-8 (RFC 8616 section 3).
Time is linear in the text, whatever it holds.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

WSP: Final = " \t\r\n"  # folding white space: line ends are gone or stand before a blank
TEXT_LIMIT: Final = 65_536  # characters; a TXT record cannot be longer (RFC 1035 section 3.2.1)
TAGS_LIMIT: Final = 100  # the longest list in any RFC has 15; more is an attack on whoever looks

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
# tval may hold all that is visible but ";", with white space between (and none of the controls).
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class TagListError(Exception):
    """Text that is no tag list. ``reason`` is a stable id, ``position`` an index into the text.

    Reasons: ``empty`` (no tag at all, or two semicolons in a row), ``no_equals``, ``bad_name``,
    ``bad_character``, ``duplicate``, ``too_long``, ``too_many``.
    """

    def __init__(self, reason: str, position: int, name: str = "") -> None:
        super().__init__(f"{reason} at {position}: {name}" if name else f"{reason} at {position}")
        self.reason = reason
        self.position = position
        self.name = name


class Tag(NamedTuple):
    """One tag."""

    name: str  # as written: names are case-sensitive
    value: str  # without the white space around it; that inside is kept
    position: int  # of the value in the text


def parse_tags(text: str) -> dict[str, Tag]:
    """The tags of ``text`` by name, in their order. Raises TagListError.

    One semicolon may end the list; an empty tag anywhere else is an error, and so is a name that
    comes twice: then the whole list is void.
    """
    if len(text) > TEXT_LIMIT:
        raise TagListError("too_long", TEXT_LIMIT)
    if bad := _FORBIDDEN.search(text):
        raise TagListError("bad_character", bad.start())
    specs = text.split(";")
    if len(specs) > 1 and not specs[-1].strip(WSP):
        specs.pop()
    if len(specs) > TAGS_LIMIT:
        raise TagListError("too_many", len(text))
    tags: dict[str, Tag] = {}
    position = 0
    for spec in specs:
        tag = _tag(spec, position)
        if tag.name in tags:
            raise TagListError("duplicate", position, tag.name)
        tags[tag.name] = tag
        position += len(spec) + 1
    return tags


def _tag(spec: str, position: int) -> Tag:
    left, equals, right = spec.partition("=")
    name = left.strip(WSP)
    if not equals:
        raise TagListError("no_equals" if name else "empty", position, name[:40])
    if not _NAME.fullmatch(name):
        raise TagListError("bad_name", position, name[:40])
    value = right.lstrip(WSP)
    start = position + len(spec) - len(value)
    return Tag(name, value.rstrip(WSP), start)


def without_wsp(value: str) -> str:
    """``value`` with all its white space gone, as base64 and lists of names are read."""
    return "".join(value.split()) if not value.isalnum() else value
