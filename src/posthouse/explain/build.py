"""Makes ``rules/index.json`` of the rules: ``python -m posthouse.explain.build``.

Enters: ``rules/*.toml`` and ``rules/examples.txt``. Leaves: the ``Index`` and its JSON text. To be
run after every change of a rule; a test fails by name where it was forgotten. RuleError names a
rule that can't be read.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from posthouse.explain import likeness, reading, rules, store, words
from posthouse.explain.rules import Index

# one file of rules a family of causes; terms, signs, codes and failures have forms of their own
EXAMPLES: Final = store.RULES / "examples.txt"
CAUSES: Final = store.RULES.parent / "causes.toml"
FAMILIES: Final = ("connection", "auth", "sender", "rate", "recipient", "message", "other")


def compile_rules() -> Index:
    """The index as the TOML files say it."""
    causes: dict[str, Any] = {}
    for family in FAMILIES:
        causes |= _rules(family)
    terms = _rules("terms")["terms"]
    said = [
        words.split(reading.read(line).judged) for lines in sections().values() for line in lines
    ]
    return rules.build(terms, _rules("signs"), causes, _rules("codes"), said)


def text() -> str:
    """The whole of ``index.json``, the same for the same rules."""
    index = compile_rules()
    causes = _read(CAUSES)
    packed = {
        "rules": [
            [*r[:3], rules.numbers(r.need), rules.numbers(r.veto), *r[5:]] for r in index.rules
        ],
        "terms": index.terms,
        "signs": [[group, *sign[1:]] for group, sign in index.signs.items()],
        "codes": index.codes,
        "likeness": likeness.learn(list(examples()), sorted(causes)),
        "causes": causes,
        "failures": _rules("failures")["rows"],
        "context": _rules("context")["rows"],
    }
    # The causes keep their order (the order in which a message meets them), so no sort_keys.
    return json.dumps(packed, ensure_ascii=False, separators=(",", ":")) + "\n"


def sections(path: Path = EXAMPLES) -> dict[str, list[str]]:
    """The examples as filed: "cause | other" -> lines. Any of the causes named is right."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("= "):
            current = found.setdefault(line[2:], [])
        elif line and not line.startswith("# "):
            current.append(line)
    return found


def examples() -> Iterator[tuple[list[str], str]]:
    """The keys of each example, and the first of its causes."""
    for causes, lines in sections().items():
        cause = causes.partition("|")[0].strip()
        for line in lines:
            yield words.split(reading.read(line).judged).keys, cause


def _rules(name: str) -> dict[str, Any]:
    return _read(store.RULES / f"{name}.toml")


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    store.INDEX.write_text(text(), "utf-8")
