"""Where in a configuration file a mistake stands, and what whoever typed it may have meant.

Enters: the text of the file; the path of a setting, or what ``tomllib`` says. Leaves: a line, the
id of a hint (``serve.hint``). Called by ``document``. Nothing fails: a line that is not found is
None. ``tomllib`` keeps no lines, so a table's header and its keys are looked for as people write
them, one to a line; nothing of the file is repeated, for a line may hold a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_SETTING: Final = re.compile(r"(\w+)(?:\[(.+?)\])?(?:\.([^.\[]+).*)?", re.DOTALL)
_HEADER: Final = re.compile(r"\s*\[{1,2}\s*([^\]\s]+)\s*\]")
_KEY: Final = re.compile(r"""\s*["']?([^"'=\s]+)["']?\s*=\s*["']?([^"'#]*)""")
_PLACE: Final = re.compile(r"\(at line ([0-9]+), column [0-9]+\)")
# What an input method or a word processor makes of quotation marks, =, comma and brackets.
_WIDE: Final = re.compile("[“”„‘’«»＝，、：［］｛｝＂＇]")
_BOOLEAN: Final = re.compile(r"=\s*(?:yes|no|on|off|True|False|TRUE|FALSE)\b")
_SAID: Final = (
    ("Cannot declare", "tables"),
    ("Cannot overwrite", "twice"),
    ("Unclosed array", "array"),
    ("Illegal character '\\n'", "unclosed"),
    ("Unterminated string", "unclosed"),
    ("Invalid hex value", "backslash"),
    ("Unescaped '\\'", "backslash"),
    ("Invalid value", "quotes"),
    ("Expected '='", "statement"),
    ("Invalid statement", "statement"),
)


@dataclass(slots=True)
class _Section:
    name: str
    line: int
    keys: dict[str, int] = field(default_factory=dict)
    own: str = ""  # the value of its key "name"


def line_of(text: str, setting: str) -> int | None:
    """The line of ``hop[ses].pool``: of that key, or of the table that lacks it."""
    found = _SETTING.fullmatch(setting)
    if found is None:
        return None
    name, which, key = found.groups()
    rows = [one for one in _sections(text) if one.name == name]
    if which is not None:
        named = [one for one in rows if one.own == which]
        counted = int(which) - 1 if which.isascii() and which.isdigit() else len(rows)
        rows = named or rows[counted : counted + 1]
    if len(rows) != 1:
        return None
    return rows[0].keys.get(key or "", rows[0].line)


def _sections(text: str) -> list[_Section]:
    sections: list[_Section] = []
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.match(line):
            sections.append(_Section(header[1], number))
        elif sections and (key := _KEY.match(line)):
            sections[-1].keys.setdefault(key[1], number)
            if key[1] == "name":
                sections[-1].own = sections[-1].own or key[2].strip()
    return sections


def misread(text: str, said: str) -> tuple[int | None, str]:
    """The line at which ``tomllib`` stopped, and the hint that fits; "" where none does."""
    place = _PLACE.search(said)  # none at the end of the document
    number = int(place[1]) if place else None
    line = text.split("\n")[number - 1] if number else ""
    if _WIDE.search(line.partition("#")[0]):
        return number, "wide"
    if said.startswith("Invalid value") and _BOOLEAN.search(line):
        return number, "boolean"
    return number, next((hint for start, hint in _SAID if said.startswith(start)), "")
