"""Every id has words in both languages, and they use no gap that is never filled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse import explain
from posthouse.explain.catalogue import entries
from posthouse.setup.domain import records
from posthouse.setup.domain.keys import KEY_FINDING_IDS, KeyStoreError
from posthouse.setup.domain.records.model import FINDING_IDS, WHY_IDS, Change, Stage

SECTIONS = [
    "host",
    "spf",
    "dkim",
    "service",
    "mx",
    "srv",
    "tls_rpt",
    "dmarc",
    "mta_sts",
    "dane",
    "bimi",
]
SOURCES = "\n".join(path.read_text("utf-8") for path in Path(records.__file__).parent.glob("*.py"))


def reasons(error: type[Exception]) -> list[str]:
    return re.findall(r"``(\w+)``", (error.__doc__ or "").partition("Reasons:")[2])


def keys() -> Iterator[tuple[str, set[str]]]:
    yield "records.nothing", set()
    yield "records.elsewhere", set()
    yield "records.trend.none", set()
    yield "records.trend.reached", {"day", "target", "days"}
    yield "records.trend.open", {"share", "target", "expected"}
    for stage in Stage:
        yield f"records.stage.{stage.name.lower()}", set()
    for change in Change:
        yield f"records.change.{change.value}", set()
    for section in SECTIONS:
        yield f"records.section.{section}", set()
    for id_, params in WHY_IDS.items():
        yield f"records.why.{id_}", set(params)
    for id_, params in {**FINDING_IDS, **KEY_FINDING_IDS}.items():
        for part in ("text", "do"):
            yield f"records.finding.{id_.removeprefix('records.')}.{part}", set(params)
    for reason in reasons(records.InventoryError):
        yield f"records.inventory.{reason}", {"key", "detail"}
    for reason in reasons(KeyStoreError):
        yield f"records.key_error.{reason}", {"detail", "fix"}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_words(lang: str) -> None:
    words = explain.Catalogue(lang, strict=True)
    known = dict(keys())
    for key, params in known.items():
        assert words.text(key, **dict.fromkeys(params, "x")).strip()
    listed = {f"records.{key}": text for key, text in entries(lang, "records").items()}
    assert set(listed) == set(known)
    for key, text in listed.items():
        assert set(re.findall(r"\{(\w+)\}", text)) <= known[key], key
        if lang == "zh" and not key.endswith(("section.spf", ".dkim", ".dmarc", ".system")):
            assert re.search("[\u4e00-\u9fff]", text) or "section" in key, key


def test_every_id_in_the_code_is_known() -> None:
    said = set(re.findall(r'\bsay\(\s*"(\w+)"', SOURCES))
    assert said
    assert {f"records.{one}" for one in said} == set(FINDING_IDS)
    raised = set(re.findall(r'InventoryError\(\s*"(\w+)"', SOURCES))
    raised |= set(re.findall(r'self\._error\(\s*"(\w+)"', SOURCES))
    assert raised == set(reasons(records.InventoryError))
    raised = set(re.findall(r'KeyStoreError\(\s*"(\w+)"', SOURCES))
    assert raised == set(reasons(KeyStoreError))
