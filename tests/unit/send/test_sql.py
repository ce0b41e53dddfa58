"""SQL that every SQLite beside a Python 3.11 knows: RHEL 8 has 3.26, RHEL 9 has 3.34."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import posthouse

SOURCE = Path(posthouse.__file__).parent
# What came later, by the release notes: 3.28 to 3.42. Words of SQL are in capitals here.
LATER = re.compile(
    r"\b(RETURNING|STRICT|MATERIALIZED|IIF|DROP COLUMN|RENAME COLUMN|NULLS (FIRST|LAST)"
    r"|GENERATED ALWAYS|(RIGHT|FULL)( OUTER)? JOIN|IS (NOT )?DISTINCT FROM)\b"
    r"|\bFILTER \(|\b(unixepoch|timediff|unhex|format|concat|concat_ws|string_agg|jsonb)\(.* FROM\b"
    r"|(?<=\w) ->>? ('|\")"
)
SQL = [path for path in SOURCE.rglob("*") if path.suffix == ".sql"] + [
    path for path in SOURCE.rglob("*.py") if "import sqlite3" in path.read_text("utf-8")
]


@pytest.mark.parametrize("path", SQL, ids=lambda path: path.name)
def test_no_sql_of_later_versions(path: Path) -> None:
    code = "\n".join(line.partition("#")[0] for line in path.read_text("utf-8").splitlines())
    assert not LATER.search(code)


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE counter SET changed = changed + 1 RETURNING changed",
        "CREATE TABLE t (a INTEGER) STRICT",
        "SELECT data ->> 'kind' FROM events",
        "SELECT unixepoch() AS now FROM t",
    ],
)
def test_such_sql_would_be_seen(text: str) -> None:
    assert LATER.search(text)
