"""publicsuffix.org's own cases, against its list and against the one we come with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance.suites import need
from posthouse.protocol import psl
from posthouse.protocol.psl.rules import a_labels

ROW = re.compile(r"^checkPublicSuffix\((null|'[^']*'), (null|'[^']*')\);", re.MULTILINE)


def cases(text: str) -> list[tuple[str, str | None]]:
    """The rows of test_psl.txt; null is no name at all."""
    rows = [(a.strip("'"), b.strip("'")) for a, b in ROW.findall(text)]
    return [(a, None if b == "null" else b) for a, b in rows if a != "null"]


@pytest.fixture(scope="module")
def folder() -> Path:
    return need("psl")


def check(suffixes: psl.PublicSuffixList, rows: list[tuple[str, str | None]]) -> list[str]:
    """The rows that come out otherwise."""
    wrong = []
    for name, wanted in rows:
        found = suffixes.organizational(name)
        if found != (a_labels(wanted) if wanted else None):
            wrong.append(f"{name}: {found}, not {wanted}")
    return wrong


def test_the_suite(folder: Path) -> None:
    suffixes = psl.PublicSuffixList((folder / "public_suffix_list.dat").read_text("utf-8"))
    rows = cases((folder / "test_psl.txt").read_text("utf-8"))
    assert len(rows) >= 75
    assert check(suffixes, rows) == []


def test_the_newer_form_of_the_suite(folder: Path) -> None:
    suffixes = psl.PublicSuffixList((folder / "public_suffix_list.dat").read_text("utf-8"))
    lines = (folder / "tests.txt").read_text("utf-8").splitlines()
    pairs = [line.split() for line in lines if line.strip() and not line.startswith("//")]
    rows = [(a, None if b == "null" else b) for a, b in pairs if a != "null"]
    assert len(rows) >= 75
    assert check(suffixes, rows) == []


def test_the_list_we_come_with(folder: Path) -> None:
    rows = cases((folder / "test_psl.txt").read_text("utf-8"))
    assert check(psl.default_list(), rows) == []
