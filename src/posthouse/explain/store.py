"""The rules in memory: one ``Index`` and the small tables, read from ``rules/index.json``.

Reading 80 KB of TOML and filing 7,000 terms takes longer than a whole command may, so the filed
form is kept beside the rules; ``build`` makes it and a test compares the two. Called by ``engine``
and by whoever needs a table; a missing or damaged index is a broken installation and raises what
``json`` raises.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from posthouse.explain import rules
from posthouse.explain.likeness import Table
from posthouse.explain.rules import Index, Rule

RULES: Final = Path(__file__).parent / "rules"
INDEX: Final = RULES / "index.json"


@cache
def load() -> Index:
    """The index, made once."""
    packed = _content()
    return Index(
        rules=[
            Rule._make((*row[:3], rules.bits(row[3]), rules.bits(row[4]), *row[5:]))
            for row in packed["rules"]
        ],
        terms=packed["terms"],
        signs=packed["signs"],
        codes=packed["codes"],
    )


@cache
def likeness() -> Table:
    """The words of the examples, as ``likeness.learn`` filed them."""
    return Table(_content()["likeness"], sorted(causes()))


def causes() -> dict[str, dict[str, Any]]:
    """The tables of ``causes.toml``, by cause."""
    return _content()["causes"]  # type: ignore[no-any-return]


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of ``rules/failures.toml`` or ``rules/context.toml``."""
    return _content()[name]  # type: ignore[no-any-return]


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(INDEX.read_text("utf-8"))
    return content
