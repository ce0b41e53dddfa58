"""How many of the shared example replies are explained right: a floor, so that no rule sinks it."""

from __future__ import annotations

from collections import defaultdict

import pytest

from posthouse import explain
from unit.explain import shared

LENIENT_FLOOR = 0.97  # of all lines: the cause, or one also acceptable
MACRO_FLOOR = 0.95  # the mean over causes
SUBMISSION_FLOOR = 0.95  # auth.*, tls.*, sender.*


@pytest.fixture(scope="module")
def judged() -> dict[str, list[bool]]:
    per_cause: dict[str, list[bool]] = defaultdict(list)
    for row in shared.rows("replies-dev.tsv"):
        allowed = {row["cause"], *row["also_acceptable"].split("|")}
        found = explain.explain_reply(row["reply_line"])
        per_cause[row["cause"]].append(found.cause.id in allowed)
    return per_cause


def _rate(results: list[bool]) -> float:
    return sum(results) / len(results)


def test_lenient(judged: dict[str, list[bool]]) -> None:
    assert _rate([good for results in judged.values() for good in results]) >= LENIENT_FLOOR


def test_macro(judged: dict[str, list[bool]]) -> None:
    rates = [_rate(results) for results in judged.values()]
    assert sum(rates) / len(rates) >= MACRO_FLOOR


def test_submission_side(judged: dict[str, list[bool]]) -> None:
    ours = [
        good
        for cause, results in judged.items()
        if cause.split(".")[0] in ("auth", "tls", "sender")
        for good in results
    ]
    assert _rate(ours) >= SUBMISSION_FLOOR
