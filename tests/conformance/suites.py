"""Where published suites are: $POSTHOUSE_SUITES, by default ../shared/suites beside the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITES = Path(os.environ.get("POSTHOUSE_SUITES", ROOT.parent / "shared" / "suites"))


def files(folder: str, *suffixes: str) -> list[Path]:
    """The files of a suite with these endings; none where the suite is not there."""
    where = SUITES / folder
    if not where.is_dir():
        return []
    found = sorted(path for path in where.iterdir() if path.is_file())
    return [path for path in found if not suffixes or path.suffix in suffixes]


def need(folder: str) -> Path:
    """The suite's folder, or the test is skipped by its name."""
    where = SUITES / folder
    if not where.exists():
        pytest.skip(f"the suite {folder} is not here")
    return where
