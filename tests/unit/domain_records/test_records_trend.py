"""After a fix the failing share falls; the reports say when it is below the target."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from posthouse.protocol.dmarc.report import AggregateReport, Metadata, Published, ReportRecord
from posthouse.setup.domain.records import trend, trend_text

FIX = date(2026, 11, 1)


def report(day: int, failed: int, count: int = 1_000) -> AggregateReport:
    moment = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=day)
    begin = int(moment.timestamp())
    rows = (
        ReportRecord("192.0.2.1", count - failed, "none", "pass", "pass", "example.test"),
        ReportRecord("192.0.2.2", failed, "reject", "fail", "fail", "example.test"),
    )
    data = Metadata("receiver.test", "r@receiver.test", str(day), begin, begin + 86_399)
    return AggregateReport(data, Published("example.test", "reject"), rows)


@pytest.mark.parametrize(
    ("shares", "days", "expected"),
    [
        ([500, 300, 100, 30, 20], 3, None),  # row 139: below 5 % on the third day
        ([500, 30, 100, 30], 3, None),  # a day above it begins anew
        ([500, 400, 300, 200], None, 2),  # ten of a hundred a day: two days more
        ([500, 500, 500], None, None),
        ([100, 200, 300], None, None),
        ([500], None, None),
        ([49], 0, None),
        ([50], None, None),
        ([], None, None),
    ],
)
def test_target(shares: list[int], days: int | None, expected: int | None) -> None:
    reports = [report(-1, 900), *(report(day, share) for day, share in enumerate(shares))]
    made = trend(reports, since=FIX)
    assert (made.days, made.expected) == (days, expected)
    assert "None" not in trend_text(made) + trend_text(made, "zh")
    assert made.met is (days is not None)
    assert [round(one.share * 10) for one in made.points] == shares
