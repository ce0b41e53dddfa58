"""Times in what servers say, and whose clock is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from fakes.certs import Authority, Kind
from posthouse.net import verify
from posthouse.net.servertime import ClockState, ServerTime, clock_verdict, time_in
from posthouse.net.tls import TlsSession

T = datetime(2026, 1, 13, 10, 0, 0, tzinfo=UTC)

TEXTS = [
    ("Tue, 13 Jan 2026 10:00:00 GMT", T),
    ("Date: Tue, 13 Jan 2026 11:00:00 +0100", T),
    ("220 mail.test ESMTP Exim 4.96 Tue, 13 Jan 2026 10:00:00 +0000", T),
    ("220 x.test Microsoft ESMTP MAIL Service ready at Tue, 13 Jan 2026 18:00:00 +0800", T),
    ("220 ls.test ESMTP Sendmail 8.17.1/8.17.1; Tue, 13 Jan 2026 02:00:00 -0800 (PST)", T),
    ("220 old.test ready at Tue Jan 13 10:00:00 2026", T),
    ("220-2026-01-13T10:00:00Z hello", T),
    ("log 2026-01-13 12:00:00.123+02:00 end", T),
    ("Date: Tuesday, 13-Jan-2026 10:00:00 GMT", T),
    ("220 mail.test ESMTP Postfix", None),
    ("250 2026 messages on 13 Jan", None),
    ("Tue, 32 Jan 2026 10:00:00 GMT", None),
    ("13 Jan 2026 10:00:00 +9999", None),
    ("x" * 5000 + "Tue, 13 Jan 2026 10:00:00 GMT", None),  # past the limit
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_times_in_texts(text: str, expected: datetime | None) -> None:
    assert time_in(text) == expected


@given(st.text(alphabet="0123456789 :-+,TZJanFebGMT", max_size=60))
def test_any_text_gives_a_time_or_none(text: str) -> None:
    found = time_in(text)
    assert found is None or found.tzinfo is not None


def seen(authority: Authority, kind: Kind, at: datetime) -> TlsSession:
    """The session a machine with the clock at ``at`` makes of a certificate."""
    chain = [authority.issue(kind).certificate, authority._intermediate.certificate]
    ders = [c.public_bytes(Encoding.DER) for c in chain]
    session = TlsSession("TLSv1.3", "x", 128, server_name="mail.test")
    return verify.judged(session, ders, ca_file=str(authority.ca_file), at=at)


NOW = datetime.now(UTC)
YEARS = timedelta(days=3 * 365)
SOURCES = [
    # kind, this clock's error, what others say (their error), state, explains
    (Kind.GOOD, timedelta(0), [timedelta(0)], ClockState.RIGHT, False),
    (Kind.GOOD, -YEARS, [timedelta(0)], ClockState.WRONG, True),
    (Kind.GOOD, YEARS, [timedelta(0), timedelta(0)], ClockState.WRONG, True),
    (Kind.EXPIRED, timedelta(0), [timedelta(0)], ClockState.RIGHT, False),
    (Kind.EXPIRED, YEARS, [timedelta(0), timedelta(0)], ClockState.WRONG, False),
    (Kind.EXPIRED, timedelta(0), [-YEARS], ClockState.UNKNOWN, False),  # their battery is dead
    (Kind.GOOD, timedelta(0), [YEARS], ClockState.UNKNOWN, False),
    (Kind.GOOD, timedelta(0), [YEARS, -YEARS], ClockState.UNKNOWN, False),
    (Kind.GOOD, timedelta(0), [], ClockState.UNKNOWN, False),
    (Kind.GOOD, timedelta(0), [timedelta(hours=8)], ClockState.RIGHT, False),  # a local time
]


@pytest.mark.parametrize(("kind", "ours", "theirs", "state", "explains"), SOURCES)
def test_whose_clock_is_wrong(
    authority: Authority,
    kind: Kind,
    ours: timedelta,
    theirs: list[timedelta],
    state: ClockState,
    explains: bool,
) -> None:
    now = NOW + ours
    others = [ServerTime(f"s{i}", NOW + error) for i, error in enumerate(theirs)]
    verdict = clock_verdict(seen(authority, kind, now), now, others, ca_file=str(authority.ca_file))
    assert (verdict.state, verdict.explains) == (state, explains)
    if state is ClockState.WRONG:
        assert verdict.behind == -ours


def test_without_a_session_two_witnesses_are_needed() -> None:
    late = NOW - YEARS
    one = [ServerTime("a", NOW)]
    assert clock_verdict(None, late, one).state is ClockState.UNKNOWN
    two = [*one, ServerTime("b", NOW)]
    assert clock_verdict(None, late, two).state is ClockState.WRONG
