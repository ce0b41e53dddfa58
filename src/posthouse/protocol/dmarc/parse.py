"""Reading a DMARC record. RFC 9989 sections 4.7 and 4.8.

Enters: the text of a TXT record, its strings joined. Leaves: ``Record``. Called by ``walk``,
``former``, ``external`` and ``lint``. Fails with RecordError alone, where the text is no DMARC
record; all other mistakes are ``Problem``s and leave the default ("Syntax errors in the remainder
of the record MUST be discarded in favor of default values (if any) or ignored outright").

So this is no DKIM tag list, where one mistake voids all. A tag that comes twice, of which the
RFC says nothing, counts once, as first written. Time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar
from urllib.parse import unquote

from posthouse.protocol.dmarc.record import (
    REMOVED,
    TAGS,
    Action,
    Mode,
    Policy,
    Problem,
    Psd,
    Record,
    RecordError,
    ReportUri,
)

TEXT_LIMIT: Final = 65_536  # characters; a TXT record cannot be longer
TAGS_LIMIT: Final = 100  # there are 14 known ones; more is an attack on whoever looks
URIS_LIMIT: Final = 20  # of one tag; a report goes to each, so this caps what we would send
SHOWN: Final = 60  # characters of a part at fault

_WSP: Final = " \t"
_VERSION: Final = re.compile(r"[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_NAME: Final = re.compile(r"[A-Za-z]+", re.ASCII)
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_FO: Final = re.compile(r"[01ds]|d:s|s:d")
# RFC 3986 section 3, as far as a URI can be told from a mistake: a scheme, and only its characters.
_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):([A-Za-z0-9._~:/?#\[\]@$&'()*+;=%-]+)")
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_AUTHORITY: Final = re.compile(r"//(?:[^/?#@]*@)?(\[[0-9A-Fa-f:.]+\]|[^/?#:]*)")
_SIZE: Final = re.compile(r"([0-9]{1,18})([kmgt]?)", re.IGNORECASE)
_UNITS: Final = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_PART: Final = r"[^\s@,;:/?#\[\]]"
# After its first character no dot stands before the one it needs: else the time is quadratic.
_DOMAIN: Final = re.compile(rf"{_PART}[^\s@,;:/?#\[\].]*\.{_PART}+|\[[0-9A-Fa-f:.]+\]")

E = TypeVar("E", bound=StrEnum)


class _Tag(NamedTuple):
    name: str  # lower case
    value: str
    position: int  # of the value


def is_record(text: str) -> bool:
    """Whether a TXT record is a DMARC record: v=DMARC1 first, in just these letters."""
    return _VERSION.match(text) is not None


def parse(text: str) -> Record:
    """The record. Raises RecordError where it is none."""
    if len(text) > TEXT_LIMIT:
        raise RecordError("too_long", TEXT_LIMIT)
    version = _VERSION.match(text)
    if version is None:
        raise RecordError("version", 0)
    return _Reader(text, version.end()).record()


class _Reader:
    """One record on its way in: its tags, and the problems as they are met."""

    def __init__(self, text: str, start: int) -> None:
        self._text = text
        self._problems: list[Problem] = []
        self._tags: dict[str, _Tag] = {}
        for tag in self._each(start):
            if tag.name in self._tags or tag.name == "v":
                self._note("duplicate", tag.position, tag.name, tag.value)
            else:
                self._tags[tag.name] = tag

    def record(self) -> Record:
        policy = self._policy()
        broken = {t for t in ("p", "sp", "np") if t in self._tags and getattr(policy, t) is None}
        for name, tag in self._tags.items():
            if name in REMOVED:
                self._note("removed", tag.position, name, tag.value)
            elif name not in TAGS:
                self._note("unknown", tag.position, name, tag.value)
        return Record(
            self._text,
            policy,
            tuple(sorted(self._problems, key=lambda problem: problem.position)),
            frozenset(broken),
            {name: self._tags[name].value for name in REMOVED if name in self._tags},
            ("v", *self._tags),
        )

    def _policy(self) -> Policy:
        return Policy(
            self._choice("p", Action),
            self._choice("sp", Action),
            self._choice("np", Action),
            self._choice("adkim", Mode) or Mode.RELAXED,
            self._choice("aspf", Mode) or Mode.RELAXED,
            self._choice("psd", Psd) or Psd.UNKNOWN,
            self._flag("t"),
            self._options(),
            self._uris("rua"),
            self._uris("ruf"),
        )

    def _note(self, id_: str, position: int, tag: str = "", text: str = "") -> None:
        self._problems.append(Problem(id_, position, tag[:SHOWN], text[:SHOWN]))

    def _each(self, start: int) -> Iterator[_Tag]:
        parts = self._text[start:].split(";")
        position = start
        for index, part in enumerate(parts[:TAGS_LIMIT]):
            tag = self._one(part, position, last=index == len(parts) - 1)
            if tag is not None:
                yield tag
            position += len(part) + 1
        if len(parts) > TAGS_LIMIT:
            self._note("too_many", position)

    def _one(self, part: str, position: int, *, last: bool) -> _Tag | None:
        left, equals, right = part.partition("=")
        name = left.strip(_WSP)
        begin = position + len(part) - len(part.lstrip(_WSP))
        if not part.strip(_WSP):
            if not last:
                self._note("empty", position)
            return None
        if not equals or not _NAME.fullmatch(name):
            self._note("no_tag", begin, text=part.strip(_WSP))
            return None
        value = right.strip(_WSP)
        start = position + len(part) - len(right.lstrip(_WSP))
        if not value:
            self._note("no_value", begin, name)
        elif bad := _first_bad(value):
            self._note("character", start + bad[0], name, bad[1])
        else:
            return _Tag(name.lower(), value, start)
        return _Tag(name.lower(), "", start) if name.lower() in ("p", "sp", "np") else None

    def _choice(self, name: str, kind: type[E]) -> E | None:
        """Values are ABNF strings, so their case does not matter (RFC 5234 section 2.3)."""
        tag = self._tags.get(name)
        if tag is None or not tag.value:
            return None
        try:
            return kind(tag.value.lower())
        except ValueError:
            self._note("value", tag.position, name, tag.value)
            return None

    def _flag(self, name: str) -> bool:
        tag = self._tags.get(name)
        if tag is None or tag.value.lower() in ("y", "n"):
            return tag is not None and tag.value.lower() == "y"
        self._note("value", tag.position, name, tag.value)
        return False

    def _options(self) -> tuple[str, ...]:
        """RFC 7489 let 0 and 1 be combined with the letters; RFC 9989 does not."""
        tag = self._tags.get("fo")
        if tag is None:
            return ("0",)
        value = tag.value.lower().replace(" ", "")
        if _FO.fullmatch(value):
            return tuple(value.split(":"))
        self._note("value", tag.position, "fo", tag.value)
        return ("0",)

    def _uris(self, name: str) -> tuple[ReportUri, ...]:
        tag = self._tags.get(name)
        if tag is None:
            return ()
        found: list[ReportUri] = []
        position = tag.position
        for part in tag.value.split(","):
            uri = self._uri(name, part.strip(_WSP), position + len(part) - len(part.lstrip(_WSP)))
            if uri is not None:
                found.append(uri)
            position += len(part) + 1
        if len(found) > URIS_LIMIT:
            self._note("too_many_uris", tag.position, name)
        return tuple(found[:URIS_LIMIT])

    def _uri(self, name: str, text: str, position: int) -> ReportUri | None:
        body, mark, size = text.partition("!")
        limit = _limit(size) if mark else None
        if mark:
            self._note("uri_size" if limit else "uri", position + len(body), name, mark + size)
        if mark and limit is None:
            return None
        uri = report_uri(body, limit)
        if uri is None:
            self._note("uri", position, name, text)
        return uri


def _first_bad(value: str) -> tuple[int, str] | None:
    end = _VALUE.match(value).end()  # type: ignore[union-attr]  # matches anything
    return (end, value[end]) if end < len(value) else None


def _limit(text: str) -> int | None:
    found = _SIZE.fullmatch(text)
    return int(found[1]) << _UNITS[found[2].lower()] if found else None


def report_uri(text: str, limit: int | None = None) -> ReportUri | None:
    """The URI; None where it is none. A mailto without a complete address is none."""
    found = _URI.fullmatch(text)
    if found is None or _ESCAPE.search(text):
        return None
    if found[1].lower() != "mailto":
        authority = _AUTHORITY.match(found[2])
        host = authority[1].lower() if authority else ""
        return ReportUri(text, "", host.removesuffix("."), limit)
    address = unquote(found[2].partition("?")[0])
    local, at, domain = address.rpartition("@")
    if not at or not local or not _DOMAIN.fullmatch(domain) or not address.isprintable():
        return None
    return ReportUri(text, address, domain.lower().removesuffix("."), limit)
