"""Facts beside the repository, where they are; tests that need them are skipped by name."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

FACTS = Path(os.environ.get("POSTHOUSE_SHARED") or Path(__file__).parents[4] / "shared") / "facts"


def path(name: str) -> Path:
    """A file of facts; skips the test where it is not there."""
    found = FACTS / name
    if not found.is_file():
        pytest.skip(f"shared facts are not here: {name} (POSTHOUSE_SHARED names their folder)")
    return found


def rows(name: str) -> list[dict[str, str]]:
    """A table of facts."""
    with path(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
