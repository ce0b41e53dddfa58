"""Reports of failed delivery, one file of ``bounces/`` for each form.

Each file tells what is expected of it: "X-Expect: ACTION ADDRESS CAUSE" a recipient, and
"X-Expect-Id" the message that bounced. Those named "none-..." are no reports.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.explain.bounce import read_bounce
from posthouse.protocol.message import parse_headers

FOLDER = Path(__file__).parent / "bounces"
FILES = sorted(FOLDER.glob("*.eml"))
REPORTS = [file for file in FILES if not file.stem.startswith("none-")]


def expected(raw: bytes) -> list[tuple[str, ...]]:
    return [tuple(line.split()) for line in parse_headers(raw).all("X-Expect")]


@pytest.mark.parametrize("file", REPORTS, ids=lambda file: file.stem)
def test_each_recipient_has_its_cause(file: Path) -> None:
    raw = file.read_bytes()
    found = read_bounce(raw)
    assert found is not None
    told = [
        (r.action, r.recipient, r.explanation.cause.id if r.explanation else "-")
        for r in found.recipients
    ]
    assert told == expected(raw), [r.diagnostic for r in found.recipients]
    wanted = parse_headers(raw).get("X-Expect-Id")
    assert not wanted or found.message_id == wanted


@pytest.mark.parametrize("file", [f for f in FILES if f not in REPORTS], ids=lambda file: file.stem)
def test_other_mail_is_no_report(file: Path) -> None:
    assert read_bounce(file.read_bytes()) is None
