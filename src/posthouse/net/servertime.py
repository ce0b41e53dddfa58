"""What time a server thinks it is, and whether this machine's clock is the one that is wrong.

Enters: greetings, EHLO and other reply text, HTTP or mail Date headers; later a TLS session and
the times found. Leaves: aware datetimes, and a ``ClockVerdict``: an "expired" certificate on a
machine whose clock is three years ahead is not the provider's fault. Never raises.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from posthouse.net.tls import Problem, TlsSession

TEXT_LIMIT: Final = 4_096  # characters searched: a greeting or one header
TOLERANCE: Final = timedelta(hours=26)  # a server may print local time without its zone
AGREEMENT: Final = timedelta(hours=26)  # so may another

_MONTHS: Final = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
# RFC 5322 section 3.3 and RFC 9110 section 5.6.7, anywhere in a text
_DATE: Final = re.compile(
    rf"\b(\d{{1,2}})[ -]({_MONTHS})[ -](\d{{4}} +"
    rf"\d{{1,2}}:\d{{2}}(?::\d{{2}})?(?: +(?:[+-]\d{{4}}|GMT|UTC|UT|[A-Z]{{1,4}}))?)"
)
# ctime order, as some greetings print it: Tue Jan 13 10:00:00 2026
_CTIME: Final = re.compile(rf"\b({_MONTHS}) +(\d{{1,2}}) (\d{{2}}:\d{{2}}:\d{{2}}) (\d{{4}})\b")
_ISO: Final = re.compile(
    r"\b(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2})(?:\.\d+)?(Z|[+-]\d{2}:?\d{2})?"
)


def time_in(text: str) -> datetime | None:
    """The first date with a time of day in ``text``, in UTC; None if there is none.

    Shapes: "Tue, 13 Jan 2026 10:00:00 +0100" (Date headers, SMTP greetings of Exim, Exchange),
    "Tue Jan 13 10:00:00 2026" and ISO 8601. A missing zone counts as UTC.
    """
    text = text[:TEXT_LIMIT]
    try:
        if match := _DATE.search(text):
            return _utc(parsedate_to_datetime(" ".join(match.groups())))
        if match := _CTIME.search(text):
            return _utc(parsedate_to_datetime(f"{match[2]} {match[1]} {match[4]} {match[3]}"))
        if match := _ISO.search(text):
            zone = (match[2] or "Z").replace("Z", "+00:00")
            return _utc(datetime.fromisoformat(match[1] + zone))
    except (ValueError, OverflowError):
        return None  # 32 January, year 0000, an offset of 99 hours
    return None


def _utc(moment: datetime) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


class ClockState(StrEnum):
    """Whose clock is wrong."""

    RIGHT = "right"  # other machines agree with this one
    WRONG = "wrong"  # they agree with each other, and not with this one
    UNKNOWN = "unknown"  # nobody told the time, or they disagree


@dataclass(frozen=True, slots=True)
class ServerTime:
    """What one other machine said."""

    source: str  # "smtp.example.org", "http://..."
    time: datetime


@dataclass(frozen=True, slots=True)
class ClockVerdict:
    """``behind`` is how far this clock is behind the others (negative: ahead).

    ``valid_then``: the chain has no date problem at the others' time, None if not to be told.
    ``explains``: the wrong clock is the whole reason for the certificate's date problem.
    """

    state: ClockState
    behind: timedelta = timedelta(0)
    valid_then: bool | None = None
    explains: bool = False
    sources: tuple[str, ...] = ()


def clock_verdict(
    session: TlsSession | None,
    now: datetime,
    others: Sequence[ServerTime],
    *,
    ca_file: str | None = None,
) -> ClockVerdict:
    """Compare this machine's ``now`` with what others said, and the certificate's dates with both.

    One witness is enough to call a clock wrong only where the certificate agrees with the witness:
    a server with a dead clock battery exists too.
    """
    if not others:
        return ClockVerdict(ClockState.UNKNOWN)
    times = sorted(o.time for o in others)
    sources = tuple(o.source for o in others)
    theirs = times[len(times) // 2]
    behind = theirs - now
    dated = session is not None and bool(_date_kinds(session))
    valid_then = _valid_at(session, theirs, ca_file) if session is not None else None
    if abs(behind) <= TOLERANCE:
        return ClockVerdict(ClockState.RIGHT, behind, valid_then, False, sources)
    agreed = times[-1] - times[0] <= AGREEMENT
    if not agreed or (len(others) == 1 and not (dated and valid_then)):
        return ClockVerdict(ClockState.UNKNOWN, behind, valid_then, False, sources)
    return ClockVerdict(ClockState.WRONG, behind, valid_then, dated and bool(valid_then), sources)


def _date_kinds(session: TlsSession) -> list[Problem]:
    dates = (Problem.EXPIRED, Problem.NOT_YET_VALID)
    return [p.kind for p in session.problems if p.kind in dates]


def _valid_at(session: TlsSession, moment: datetime, ca_file: str | None) -> bool | None:
    if not session.chain:
        return None
    from posthouse.net import verify

    problems = verify.problems_of(session.chain, session.server_name, ca_file=ca_file, at=moment)
    return not any(p.kind in (Problem.EXPIRED, Problem.NOT_YET_VALID) for p in problems)
