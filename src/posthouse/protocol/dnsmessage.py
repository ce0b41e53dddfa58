"""DNS messages: the octets of a question, and what the octets of a reply say.

Enters: a name and a type, later the octets that came back. Leaves: ``Question`` and ``Reply``, the
aliases in it followed. Called by ``net.dnswire``. Fails with WireError alone, whatever the octets
are, in time linear in their number. Records that do not bear on the question are passed over
unread. RFC 1035 section 4, RFC 2308 section 5, RFC 5452 section 9.1, RFC 6891.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from posthouse.protocol.dnsrecord import (
    NAME_LIMIT,
    ROOT,
    TYPES,
    WireError,
    data_text,
    name_at,
    name_text,
    name_until,
    soa_minimum,
)

__all__ = ["NXDOMAIN", "REFUSED", "Question", "Reply", "WireError", "question", "read"]

UDP_PAYLOAD: Final = 1232  # DNS flag day 2020: what passes without fragments everywhere
RECORDS_LIMIT: Final = 200  # of one answer; a real MX or TXT set has some dozens at most
CHAIN_LIMIT: Final = 16  # aliases in one reply; longer chains are loops or mistakes
TTL_LIMIT: Final = 0x7FFFFFFF  # RFC 2181 section 8: a larger one counts as 0
NO_TTL: Final = 0xFFFFFFFF  # before any record has said less
NEGATIVE_TTL: Final = 300  # seconds "no" is believed where no SOA says how long

NOERROR: Final = 0
NXDOMAIN: Final = 3
REFUSED: Final = 5
_BARE: Final = frozenset({1, 2, 4, REFUSED})  # errors that some servers send with no question

_CNAME: Final = TYPES["CNAME"]
_SOA: Final = TYPES["SOA"]
_OPT: Final = 41
_SINGLE: Final = frozenset({_CNAME, _SOA, 30, 39, 47})  # no two at a name; the last one counts
# Two of these are one where they differ in nothing but the case or compression of a name.
_NAMING: Final = frozenset(TYPES[name] for name in ("MX", "NS", "PTR", "SRV"))
_IN: Final = 1

_QR: Final = 0x8000
_OPCODE: Final = 0x7800
_TC: Final = 0x0200
_AD: Final = 0x0020

_HEADER: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")
_TAIL: Final = struct.Struct("!HH")  # type and class behind the name of a question
# RD and AD: RFC 6840 section 5.7, AD asks the resolver to say in AD what DNSSEC proved.
_ASKING: Final = struct.pack("!HHHHH", 0x0120, 1, 0, 0, 1)
# RFC 6891 section 6.1.2, with DO (RFC 3225 section 3).
_EDNS: Final = ROOT + _RECORD.pack(_OPT, UDP_PAYLOAD, 0x8000, 0)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")


@dataclass(frozen=True, slots=True)
class Question:
    """A question, ready to be sent."""

    name: str
    type: str
    number: int  # of the type
    section: bytes  # the name, the type and the class, as on the wire

    def message(self, id_: bytes) -> bytes:
        """The query. ``id_``: two octets that nobody can guess."""
        return b"".join((id_, _ASKING, self.section, _EDNS))


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said. ``canonical``: where the aliases led, in lower case, without its dot."""

    rcode: int
    truncated: bool = False  # nothing more was read: ask again by TCP
    authenticated: bool = False
    canonical: str = ""
    records: tuple[str, ...] = ()
    ttl: int = 0


def question(name: str, type_: str) -> Question | None:
    """The question, or None for a name or a type that no DNS can hold."""
    number = TYPES.get(type_)
    if number is None or not _PLAIN.fullmatch(name):
        return _rare_question(name, type_)
    labels = name.encode("ascii").split(b".")
    owner = b"".join([b"%c%b" % (len(label), label) for label in labels]) + ROOT
    if len(owner) > NAME_LIMIT:
        return None
    return Question(name, type_, number, owner + _TAIL.pack(number, _IN))


def _rare_question(name: str, type_: str) -> Question | None:
    """Escapes, other scripts, the root, rare types."""
    import dns.exception
    import dns.name
    import dns.rdatatype

    try:
        owner = dns.name.from_text(name).to_wire() or b""
        number = int(dns.rdatatype.from_text(type_))
    except (dns.exception.DNSException, ValueError):
        return None
    return Question(name, type_, number, owner + _TAIL.pack(number, _IN))


def read(question: Question, wire: bytes, *, whole: bool = False) -> Reply | None:
    """What a message with the question's id says; None for one that answers another question.

    That one may be forged: wait on. ``whole``: it came by TCP, so that TC means nothing more.
    Raises WireError.
    """
    if len(wire) < _HEADER.size:
        raise WireError("short")
    _, flags, *counts = _HEADER.unpack_from(wire)
    if flags & (_QR | _OPCODE) != _QR or not _fits(question, wire, flags & 0xF, counts[0]):
        return None
    if flags & _TC and not whole:
        return Reply(flags & 0xF, truncated=True)
    found = _Records(question, wire, counts)
    rcode = found.upper_rcode << 4 | flags & 0xF
    if rcode not in (NOERROR, NXDOMAIN):
        return Reply(rcode)
    name, rows, ttl = found.followed()
    if rows and rcode == NXDOMAIN:
        raise WireError("records of a name that does not exist")
    return Reply(
        rcode,
        authenticated=bool(flags & _AD),
        canonical=(name_text(name).removesuffix(".") or ".").lower(),
        records=found.texts(rows)[:RECORDS_LIMIT],
        ttl=ttl if rows else min(ttl, found.negative_ttl(name)),
    )


def _fits(question: Question, wire: bytes, rcode: int, count: int) -> bool:
    """Whether the question section is ours. The case of letters does not count."""
    if count == 0:
        return rcode in _BARE
    ours = question.section
    theirs = wire[_HEADER.size : _HEADER.size + len(ours)]
    if count > 1 or theirs == ours:
        return count == 1
    # The octet before a label is below 64, and so no letter: lower() leaves it alone.
    cut = -_TAIL.size
    return theirs[cut:] == ours[cut:] and theirs[:cut].lower() == ours[:cut].lower()


class _Row(NamedTuple):
    """A record whose data is still in the message."""

    ttl: int
    start: int
    end: int


class _Records:
    """The records of one reply, as far as they bear on its question."""

    __slots__ = ("_answers", "_question", "_soas", "_wire", "upper_rcode")

    def __init__(self, question: Question, wire: bytes, counts: Sequence[int]) -> None:
        self._question = question
        self._wire = wire
        self._answers: dict[tuple[bytes, int], list[_Row]] = {}
        self._soas: dict[bytes, list[_Row]] = {}
        self.upper_rcode = 0  # RFC 6891 section 6.1.3
        questions, answers, authorities, others = counts
        at = _HEADER.size + (len(question.section) if questions else 0)
        wanted = (question.number, _CNAME)
        for number in range(answers + authorities + others):
            owner, type_, class_, row = self._record(at)
            at = row.end
            if type_ == _OPT:
                self.upper_rcode = row.ttl >> 24
            elif class_ != _IN:
                continue
            elif number < answers and type_ in wanted:
                self._answers.setdefault((owner, type_), []).append(row)
            elif answers <= number < answers + authorities and type_ == _SOA:
                self._soas.setdefault(owner, []).append(row)

    def _record(self, at: int) -> tuple[bytes, int, int, _Row]:
        """Owner (in lower case), type and class of the record at an offset."""
        owner, at = name_at(self._wire, at, len(self._wire))
        start = at + _RECORD.size
        if start > len(self._wire):
            raise WireError("short")
        type_, class_, ttl, length = _RECORD.unpack_from(self._wire, at)
        if start + length > len(self._wire):
            raise WireError("short")
        return owner.lower(), type_, class_, _Row(ttl, start, start + length)

    def followed(self) -> tuple[bytes, Sequence[_Row], int]:
        """Where the aliases lead, the records there, and the lowest TTL on the way."""
        name, ttl = self._question.section[: -_TAIL.size].lower(), NO_TTL
        for _ in range(CHAIN_LIMIT):
            rows = self._answers.get((name, self._question.number), [])
            aliases = [] if rows else self._answers.get((name, _CNAME), [])
            ttl = min(ttl, _lowest(rows or aliases))
            if not aliases:
                return name, rows, ttl
            _, start, end = aliases[-1]
            name = name_until(self._wire, start, end).lower()
        raise WireError("too many aliases")

    def negative_ttl(self, name: bytes) -> int:
        """How long "no" holds: by the SOA of the closest zone around ``name``. RFC 2308."""
        while name not in self._soas:
            if name == ROOT:
                return NEGATIVE_TTL
            name = name[1 + name[0] :]
        rows = self._soas[name]
        return min(_lowest(rows), soa_minimum(self._wire, *rows[-1][1:]))

    def texts(self, rows: Sequence[_Row]) -> tuple[str, ...]:
        """The records in presentation form, each once."""
        number, wire = self._question.number, self._wire
        found: dict[str | bytes, str] = {}
        for _, start, end in rows[-1:] if number in _SINGLE else rows:
            text = data_text(number, wire, start, end)
            key = text.lower() if number in _NAMING else wire[start:end]
            found.setdefault(key, text)
        return tuple(found.values())


def _lowest(rows: Sequence[_Row]) -> int:
    """RFC 2181 section 5.2: records of one set that differ in TTL count by the lowest."""
    return min([row.ttl if row.ttl <= TTL_LIMIT else 0 for row in rows], default=NO_TTL)
