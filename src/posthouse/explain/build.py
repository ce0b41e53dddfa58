"""Makes ``rules/index.json`` of the rules: ``python -m posthouse.explain.build``.

Enters: ``rules/*.toml``. Leaves: the ``Index`` and its JSON text. To be run after every change
of a rule; a test fails by name where it was forgotten. RuleError names a rule that can't be read.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Final

from posthouse.explain import rules, store
from posthouse.explain.rules import Index

# one file of rules a family of causes; terms, signs, codes and failures have forms of their own
CAUSES: Final = store.RULES.parent / "causes.toml"
FAMILIES: Final = ("connection", "auth", "sender", "rate", "recipient", "message", "other")


def compile_rules() -> Index:
    """The index as the TOML files say it."""
    causes: dict[str, Any] = {}
    for family in FAMILIES:
        causes |= _rules(family)
    terms = _rules("terms")["terms"]
    return rules.build(terms, _rules("signs"), causes, _rules("codes"))


def text() -> str:
    """The whole of ``index.json``, the same for the same rules."""
    index = compile_rules()
    packed = {
        "rules": [[*r[:3], f"{r.need:x}", f"{r.veto:x}", *r[5:]] for r in index.rules],
        "terms": index.terms,
        "signs": [[f"{group:x}", kind, name] for group, kind, name in index.signs],
        "codes": index.codes,
        "causes": _read(CAUSES),
        "failures": _rules("failures")["rows"],
        "context": _rules("context")["rows"],
    }
    # The causes keep their order (the order in which a message meets them), so no sort_keys.
    return json.dumps(packed, ensure_ascii=False, separators=(",", ":")) + "\n"


def _rules(name: str) -> dict[str, Any]:
    return _read(store.RULES / f"{name}.toml")


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    store.INDEX.write_text(text(), "utf-8")
