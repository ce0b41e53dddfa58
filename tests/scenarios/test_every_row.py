"""No row of the table of scenarios is without a test, and its test names the row's cause.

The tests are read, not run: which file shows a row is in the name of the test (``test_s31_...``).
"""

from __future__ import annotations

import ast
import csv
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("POSTHOUSE_SHARED") or HERE.parents[2] / "shared")
TABLE = SHARED / "facts" / "scenarios.tsv"
ROWS = [f"S{number:02}" for number in range(1, 53)]
NO_CAUSE = ("any", "-")  # rows about every cause, or about none
NAME = re.compile(r"test_(s\d\d)_")


def scenarios_in(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and NAME.match(node.name):
            yield node


@cache
def shown() -> dict[str, dict[str, set[str]]]:
    """Row -> test -> all strings in that test and its parameters."""
    found: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for path in sorted(HERE.glob("test_s*.py")):
        for test in scenarios_in(ast.parse(path.read_text("utf-8"))):
            row = NAME.match(test.name)
            assert row is not None
            words = {n.value for n in ast.walk(test) if isinstance(n, ast.Constant)}
            found[row[1].upper()][test.name] = {w for w in words if isinstance(w, str)}
    return found


@cache
def causes() -> dict[str, str]:
    if not TABLE.is_file():
        pytest.skip(f"shared facts are not here: {TABLE.name}")
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["id"]: row["cause"] for row in rows}


@pytest.mark.parametrize("row", ROWS)
def test_the_row_has_a_test(row: str) -> None:
    assert shown()[row], f"no test_{row.lower()}_... in {HERE.name}/"


def test_the_table_has_these_rows() -> None:
    assert sorted(causes()) == ROWS
    assert set(shown()) == set(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_its_test_names_the_cause(row: str) -> None:
    said = {word for words in shown()[row].values() for word in words}
    for cause in causes()[row].split("|"):
        if cause in NO_CAUSE:
            continue
        known = {c for c in said if c.startswith(cause[:-1])} if "*" in cause else said & {cause}
        assert known, f"{row}: no test expects {cause}"
