"""The TXT record at ``_mta-sts``: that there is a policy, and which edition. RFC 8461 section 3.1.

Enters: a domain, and the answer to one question. Leaves: ``Discovery``. ``parse_record`` fails with
RecordError alone. Its grammar is narrower than a tag list: no blank beside "=", names that may
begin with a digit, values without blanks; so it is read here and not by ``taglist``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posthouse.protocol.dns import Answer, Ask, Query
from posthouse.protocol.host import HostError, to_ascii

VERSION: Final = "v=STSv1"
TEXT_LIMIT: Final = 4_096  # characters read; a record has some forty

_WSP: Final = " \t"
_ID: Final = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", re.ASCII)
_VALUE: Final = re.compile(r"[\x21-\x3a\x3c\x3e-\x7e]+", re.ASCII)


class RecordError(Exception):
    """Text that is no MTA-STS record. ``reason`` is a stable id, ``position`` an index into it.

    Reasons: ``version``, ``too_long``, ``empty_field``, ``no_equals``, ``bad_name``, ``bad_value``,
    ``bad_id``, ``duplicate_id``, ``no_id``.
    """

    def __init__(self, reason: str, position: int = 0) -> None:
        super().__init__(f"{reason} at {position}")
        self.reason = reason
        self.position = position


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``extensions`` are fields of names nobody knows yet, in order."""

    text: str
    id: str
    extensions: tuple[tuple[str, str], ...] = ()


class Found(StrEnum):
    """How the question for the record came out."""

    ONE = "one"
    NONE = "none"
    SEVERAL = "several"
    INVALID = "invalid"
    FAILED = "failed"  # DNS did not answer: a policy that is known still counts


@dataclass(frozen=True, slots=True)
class Discovery:
    """What stands in DNS. ``record`` is there for ONE, ``error`` for INVALID."""

    domain: str
    found: Found
    record: Record | None = None
    error: RecordError | None = None
    texts: tuple[str, ...] = ()  # those that mean to be MTA-STS records
    alias: str = ""  # where a CNAME led: allowed, hosting providers live by it
    status: str = ""  # of DNS


def record_name(domain: str) -> str:
    """Where the record of a domain stands."""
    return f"_mta-sts.{domain}"


def is_record(text: str) -> bool:
    """Whether a record counts at all; others are passed over, not errors (section 3.1)."""
    return text.startswith(f"{VERSION};")


def discover(domain: str) -> Query[Discovery]:
    """Look for the record of ``domain`` (U-labels are fine)."""
    try:
        name = to_ascii(domain)
    except HostError:
        return Discovery(domain, Found.NONE)
    answer = yield Ask(record_name(name), "TXT")
    return judge(name, answer)


def judge(domain: str, answer: Answer) -> Discovery:
    """What an answer says."""
    if answer.failed:
        return Discovery(domain, Found.FAILED, status=answer.status)
    alias, status = answer.canonical, answer.status
    counted = tuple(text for text in answer.records if is_record(text))
    if len(counted) > 1:  # section 3.1: as if there was none
        return Discovery(domain, Found.SEVERAL, texts=counted, alias=alias, status=status)
    meant = counted or tuple(text for text in answer.records if _meant(text))
    if not meant:
        return Discovery(domain, Found.NONE, alias=alias, status=status)
    try:
        record = parse_record(meant[0])
    except RecordError as error:
        return Discovery(domain, Found.INVALID, None, error, meant, alias, status)
    return Discovery(domain, Found.ONE, record, None, meant, alias, status)


def _meant(text: str) -> bool:
    """A record that is passed over by senders, but whose owner believes in it."""
    return "stsv1" in text[:40].lower()


def parse_record(text: str) -> Record:
    """The record. Raises RecordError."""
    if len(text) > TEXT_LIMIT:
        raise RecordError("too_long", TEXT_LIMIT)
    if not is_record(text):
        raise RecordError("version")
    pieces = text.split(";")
    if len(pieces) > 2 and not pieces[-1].strip(_WSP):
        pieces.pop()  # one delimiter may end it
    position, id_, extensions = len(pieces[0]) + 1, "", []
    for piece in pieces[1:]:
        start = position + len(piece) - len(piece.lstrip(_WSP))
        name, value = _field(piece.strip(_WSP), start)
        if name != "id":
            extensions.append((name, value))
        elif id_:
            raise RecordError("duplicate_id", start)
        else:
            id_ = value
        position += len(piece) + 1
    if not id_:
        raise RecordError("no_id", len(text))
    return Record(text, id_, tuple(extensions))


def _field(text: str, position: int) -> tuple[str, str]:
    if not text:
        raise RecordError("empty_field", position)
    name, equals, value = text.partition("=")
    if not equals:
        raise RecordError("no_equals", position)
    if not _NAME.fullmatch(name):
        raise RecordError("bad_name", position)
    if name == "id" and not _ID.fullmatch(value):
        raise RecordError("bad_id", position)
    if not _VALUE.fullmatch(value):
        raise RecordError("bad_value", position)
    return name, value
