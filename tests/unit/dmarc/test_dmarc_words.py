"""Every id has words in both languages, and they use no gap that is never filled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse import explain
from posthouse.explain.catalogue import entries
from posthouse.protocol import arf, dmarc, tlsrpt
from posthouse.protocol.arf.model import FEEDBACK_TYPES
from posthouse.protocol.dmarc import report
from posthouse.protocol.dmarc.external import Permission
from posthouse.protocol.tlsrpt.record import RecordError

SOURCE = Path(report.__file__).parents[1] / "parse.py"
# Every id that ``parse`` gives to a problem.
PROBLEMS = re.findall(r'_note\(\s*"(\w+)"', SOURCE.read_text("utf-8"))
PROBLEMS += ["uri_size", "uri"]  # chosen where they are met


def reasons(documented: type) -> list[str]:
    """The ids a docstring lists after "Reasons:"."""
    return re.findall(r"``(\w+)``", (documented.__doc__ or "").partition("Reasons:")[2])


def dmarc_keys() -> Iterator[tuple[str, set[str]]]:
    for area, ids in (
        ("trace", dmarc.TRACE_IDS),
        ("blocker", dmarc.BLOCKER_IDS),
        ("report", report.NOTE_IDS),
        ("feedback", arf.NOTE_IDS),
    ):
        yield from ((f"dmarc.{area}.{id_}", set(params)) for id_, params in ids.items())
    for id_, names in dmarc.FINDING_IDS.items():
        for part in ("text", "do"):
            yield f"dmarc.finding.{id_.removeprefix('dmarc.')}.{part}", set(names)
    for area, words in (
        ("syntax", reasons(dmarc.RecordError)),
        ("unreadable", reasons(report.ReportError)),
        ("not_feedback", reasons(arf.FeedbackError)),
        ("permission", reasons(Permission)),
        ("problem", PROBLEMS),
        ("result", dmarc.Code),
        ("disposition", dmarc.Action),
        ("grade", dmarc.Grade),
        ("method", dmarc.Method),
        ("step", dmarc.Step),
        ("spf", ("strict", "keep")),
        ("kind", FEEDBACK_TYPES),
    ):
        yield from ((f"dmarc.{area}.{word}", set()) for word in words)


def tlsrpt_keys() -> Iterator[tuple[str, set[str]]]:
    for id_, params in tlsrpt.NOTE_IDS.items():
        yield f"tlsrpt.note.{id_}", set(params)
    for id_, names in tlsrpt.FINDING_IDS.items():
        for part in ("text", "do"):
            yield f"tlsrpt.finding.{id_.removeprefix('tlsrpt.')}.{part}", set(names)
    for reason in reasons(RecordError):
        yield f"tlsrpt.syntax.{reason}", set()
    for kind in tlsrpt.RESULT_TYPES:
        yield f"tlsrpt.type.{kind}", set()


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("area", ["dmarc", "tlsrpt"])
def test_words(lang: str, area: str) -> None:
    words = explain.Catalogue(lang, strict=True)
    known = dict(dmarc_keys() if area == "dmarc" else tlsrpt_keys())
    for key, params in known.items():
        assert words.text(key, **dict.fromkeys(params, "x")).strip()
    listed = {f"{area}.{key}": text for key, text in entries(lang, area).items()}
    assert set(listed) == set(known)
    for key, text in listed.items():
        assert set(re.findall(r"\{(\w+)\}", text)) <= known[key], key
