"""Own lines in many languages, and the cause each must come to.

Two files: ``rules/examples.txt``, whose words ``likeness`` has learnt, and ``lines.txt`` beside
this file, of which it has seen nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse import explain
from posthouse.explain import build

LINES = Path(__file__).with_name("lines.txt")
UNSEEN = build.sections(LINES)
LEARNT = build.sections()


def wrong(sections: dict[str, list[str]], causes: str) -> dict[str, str]:
    allowed = [cause.strip() for cause in causes.split("|")]
    return {
        line: found.cause.id
        for line in sections[causes]
        if (found := explain.explain_reply(line)).cause.id not in allowed
    }


@pytest.mark.parametrize("causes", LEARNT)
def test_examples_come_to_their_cause(causes: str) -> None:
    assert wrong(LEARNT, causes) == {}


@pytest.mark.parametrize("causes", UNSEEN)
def test_lines_come_to_their_cause(causes: str) -> None:
    assert wrong(UNSEEN, causes) == {}


def test_no_line_is_an_example() -> None:
    learnt = {line for lines in LEARNT.values() for line in lines}
    assert not learnt & {line for lines in UNSEEN.values() for line in lines}


def test_both_have_lines_for_every_cause() -> None:
    for sections, least in ((LEARNT, 1_500), (UNSEEN, 100)):
        named = {cause.strip() for causes in sections for cause in causes.split("|")}
        assert named == {cause.id for cause in explain.causes()}
        assert sum(map(len, sections.values())) > least
        assert any(not line.isascii() for lines in sections.values() for line in lines)
