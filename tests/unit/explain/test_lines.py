"""Own lines in many languages, and the cause each must come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse import explain

LINES = Path(__file__).with_name("lines.txt")


def sections() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in LINES.read_text("utf-8").splitlines():
        if line.startswith("= "):
            current = found.setdefault(line[2:], [])
        elif line and not line.startswith("# "):
            current.append(line)
    return found


SECTIONS = sections()


@pytest.mark.parametrize("causes", SECTIONS)
def test_lines_come_to_their_cause(causes: str) -> None:
    allowed = [cause.strip() for cause in causes.split("|")]
    wrong = {
        line: found.cause.id
        for line in SECTIONS[causes]
        if (found := explain.explain_reply(line)).cause.id not in allowed
    }
    assert wrong == {}


def test_the_table_has_lines_for_every_cause() -> None:
    named = {cause.strip() for causes in SECTIONS for cause in causes.split("|")}
    assert named == {cause.id for cause in explain.causes()}
    assert sum(map(len, SECTIONS.values())) > 1_000
    assert any(not line.isascii() for lines in SECTIONS.values() for line in lines)
