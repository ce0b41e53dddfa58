"""Every id has words in both languages, and they use no gap that is never filled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse import explain
from posthouse.explain.catalogue import entries
from posthouse.protocol import spf
from posthouse.protocol.spf import record
from posthouse.protocol.spf.edit import EditError


def reasons(error: type[Exception]) -> list[str]:
    """The ids an error's documentation lists."""
    return re.findall(r"``(\w+)``", (error.__doc__ or "").partition("Reasons:")[2])


def keys() -> Iterator[tuple[str, set[str]]]:
    for id_, params in spf.TRACE_IDS.items():
        yield f"spf.trace.{id_}", set(params)
    for id_, params in spf.FINDING_IDS.items():
        name = id_.removeprefix("spf.")
        yield f"spf.finding.{name}.text", set(params)
        yield f"spf.finding.{name}.do", set(params)
    for reason in reasons(record.RecordError):
        yield f"spf.syntax.{reason}", set()
    for reason in reasons(EditError):
        yield f"spf.edit.{reason}", {"term"}
    for code in spf.Code:
        yield f"spf.result.{code}", set()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_words(lang: str) -> None:
    words = explain.Catalogue(lang, strict=True)
    known = dict(keys())
    for key, params in known.items():
        assert words.text(key, **dict.fromkeys(params, "x")).strip()
    listed = {f"spf.{key}": text for key, text in entries(lang, "spf").items()}
    assert set(listed) == set(known)
    for key, text in listed.items():
        assert set(re.findall(r"\{(\w+)\}", text)) <= known[key], key


def test_every_reason_that_is_raised_is_documented() -> None:
    folder = Path(record.__file__).parent
    raised = {
        reason
        for name in ("parse.py", "macro.py")
        for line in re.findall(r"RecordError\(([^\n]*)", (folder / name).read_text("utf-8"))
        for reason in re.findall(r'"([a-z0-9_]+)"', line)
    }
    assert raised <= set(reasons(record.RecordError))
