"""TLS reports as they were sent, compared with the JSON inside."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from conformance.suites import files, need
from posthouse.protocol import tlsrpt

FOLDERS = ("tlsrpt/mail-auth-rs", "tlsrpt/mox", "tlsrpt/parsedmarc")
PATHS = [path for folder in FOLDERS for path in files(folder)]
JSON = [path for path in PATHS if path.suffix == ".json"]


def test_the_suites_are_here() -> None:
    need("tlsrpt")
    assert len(PATHS) >= 11


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_sample_is_read(path: Path) -> None:
    (found,) = tlsrpt.read(path.read_bytes())
    assert found.organization
    assert found.report_id
    assert found.start is not None
    assert found.end is not None
    assert found.start <= found.end
    assert found.policies
    known = {"rpt03.json": {"word_unknown"}, "mail.ru.json": {"sum_differs"}}
    assert {note.id for note in found.notes} == known.get(path.name, set())


def number(data: dict[str, Any], name: str) -> int:
    return int(data.get(name, 0))


@pytest.mark.parametrize("path", JSON, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_field_by_field(path: Path) -> None:
    theirs = json.loads(path.read_text("utf-8"))
    (ours,) = tlsrpt.read(path.read_bytes())
    assert ours.organization == theirs["organization-name"]
    assert ours.report_id == theirs["report-id"]
    assert ours.contact == theirs["contact-info"]
    period = theirs["date-range"]
    assert ours.start == datetime.fromisoformat(period["start-datetime"])
    assert ours.end == datetime.fromisoformat(period["end-datetime"])
    assert len(ours.policies) == len(theirs["policies"])
    for mine, row in zip(ours.policies, theirs["policies"], strict=True):
        policy, totals = row["policy"], row["summary"]
        hosts = policy.get("mx-host", [])
        assert mine.policy_type == policy["policy-type"]
        assert mine.policy_domain == policy.get("policy-domain", "")
        assert list(mine.policy_string) == policy.get("policy-string", [])
        assert list(mine.mx_hosts) == ([hosts] if isinstance(hosts, str) else hosts)
        assert mine.successes == number(totals, "total-successful-session-count")
        assert mine.failures == number(totals, "total-failure-session-count")
        details = row.get("failure-details", [])
        assert len(mine.details) == len(details)
        for detail, told in zip(mine.details, details, strict=True):
            assert detail.result_type == told["result-type"]
            assert detail.count == told["failed-session-count"]
            assert detail.receiving_mx_hostname == told.get("receiving-mx-hostname", "")
            assert detail.receiving_ip == told.get("receiving-ip", "")
            assert bool(detail.sending_mta_ip) == bool(told.get("sending-mta-ip"))
            assert detail.reason_code == told.get("failure-reason-code", "")
            assert detail.additional_information == told.get("additional-information", "")


def test_mail_and_file_hold_the_same() -> None:
    """rpt01.eml has rpt01.json inside, and so on."""
    where = need("tlsrpt/mail-auth-rs")
    for mail in sorted(where.glob("*.eml")):
        assert tlsrpt.read(mail.read_bytes()) == tlsrpt.read(mail.with_suffix(".json").read_bytes())
