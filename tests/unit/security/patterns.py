"""Every regular expression of the package, how it is used, and strings that could make it slow.

Enters: the source files. Leaves: ``Use``s: a compiled pattern, the methods called on it and the
most characters it is ever given. A pattern that is new is found by itself.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

SOURCE = Path(__file__).resolve().parents[3] / "src" / "posthouse"
METHODS = ("match", "search", "fullmatch", "findall", "finditer", "sub", "split")

# The most characters that a module's patterns ever see: the cap of what it reads. The longest
# fitting beginning counts.
CAPS = {
    "": 4_096,
    "directory": 1_000,  # host names, and files of our own
    "explain/bounce": 16_384,  # several lines of 2,000 characters
    "explain/bounce/report": 200_000,
    "explain/reading": 4_096 + 2_048,  # TEXT_LIMIT and an opened OAuth error
    "explain/reply": 4_096 + 2_048,
    "explain/words": 4_096 + 2_048,
    "net/http": 4_096,
    "net/imap": 65_536,
    "protocol/address": 1_000,
    "protocol/arc": 65_536,  # taglist's TEXT_LIMIT
    "protocol/arf/compose": 262_144,  # whole messages
    "protocol/arf/read": 16_384,  # VALUE_LIMIT of a header; more of a text, see READERS
    "protocol/authres": 16_384,  # VALUE_LIMIT
    "protocol/bimi/mark": 524_288,  # FILE_LIMIT
    "protocol/bimi/record": 65_536,
    "protocol/bimi/svg": 262_144,  # SIZE_LIMIT
    "protocol/discovery": 262_144,  # MAX_DOCUMENT
    "protocol/discovery/txt": 65_535,  # a DNS message
    "protocol/discovery/pacc": 65_535,
    "protocol/dkim": 262_144,  # bodies; taglist's TEXT_LIMIT in signature
    "protocol/dmarc": 65_536,  # TEXT_LIMIT
    "protocol/dmarc/report/read": 4_096,  # VALUE
    "protocol/dmarc/report/xml": 262_144,  # of documents of any size
    "protocol/fcrdns": 255,  # a name in DNS
    "protocol/first_bytes": 262_144,
    "protocol/host": 1_000,
    "protocol/message": 16_384,  # VALUE_LIMIT
    "protocol/message/dsn": 262_144,  # STATUS_LIMIT is twice as much
    "protocol/message/headers": 262_144,  # HEADER_LIMIT
    "protocol/message/html": 262_144,
    "protocol/message/mbox": 262_144,
    "protocol/message/mime": 262_144,
    "protocol/message/received": 2_000,  # LINE_LIMIT
    "protocol/message/text": 262_144,  # whole parts
    "protocol/mtasts": 65_536,  # BODY_LIMIT
    "protocol/server_input": 1_000,
    "protocol/smtp": 12_288,  # AUTH_LINE
    "protocol/smtp/masking": 12_288,
    "protocol/smtp/data": 262_144,
    "protocol/smtp/reply": 65_536,
    "protocol/spf": 16_384,  # MAX_RECORD
    "protocol/taglist": 65_536,  # TEXT_LIMIT
    "protocol/tlsrpt/read": 4_096,  # VALUE
    "protocol/tlsrpt/record": 65_536,  # taglist's TEXT_LIMIT
    "send/deliver/keys": 4_000,  # FROM_LIMIT
    "send/deliver/prepare": 262_144,  # headers of whole messages
    "send/deliver/waits": 1_000,  # TEXT_LIMIT
    "send/submit/header": 262_144,
    "setup": 4_096,
    "setup/probe/letter": 262_144,
}
# Read nothing that comes from elsewhere.
SKIPPED = ("cli", "directory/lint", "explain/catalogue")


@dataclass(frozen=True, slots=True)
class Use:
    """One pattern as it is used."""

    where: str  # "protocol/smtp/reply:30"
    pattern: re.Pattern[Any]
    methods: tuple[str, ...]
    cap: int


def cap_of(module: str) -> int:
    return CAPS[max((name for name in CAPS if module.startswith(name)), key=len)]


@cache
def uses() -> tuple[Use, ...]:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        module = path.relative_to(SOURCE).with_suffix("").as_posix()
        if not module.startswith(SKIPPED):
            found += list(_in_file(path, module))
    return tuple(found)


def _in_file(path: Path, module: str) -> Iterator[Use]:
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    values = _constants(tree)
    names = {id(node.value): t for node in ast.walk(tree) for t in _assigned(node)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re"):
            continue
        if node.func.attr not in (*METHODS, "compile") or not node.args:
            continue
        text = _text(node.args[0], values)
        if text is None:
            continue  # put together while running: tested by name below
        pattern = re.compile(text, _flags(node))
        methods = (node.func.attr,)
        if node.func.attr == "compile":
            name = names.get(id(node), "")
            told = re.findall(rf"\b{name}\.({'|'.join(METHODS)})\b", source) if name else []
            methods = tuple(dict.fromkeys(told)) or ("match", "fullmatch")
        yield Use(f"{module}:{node.lineno}", pattern, methods, cap_of(module))


def _assigned(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return [node.targets[0].id]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        return [node.target.id]
    return []


def _constants(tree: ast.AST) -> dict[str, Any]:
    """Texts that patterns are put together from."""
    values: dict[str, Any] = {}
    for node in ast.walk(tree):
        for name in _assigned(node):
            value = _text(node.value, values)  # type: ignore[attr-defined]
            if value is not None:
                values[name] = value
    return values


def _text(node: ast.AST, values: dict[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str | bytes) else None
    if isinstance(node, ast.Name):
        return values.get(node.id)
    if isinstance(node, ast.JoinedStr):
        parts = [
            part.value if isinstance(part, ast.Constant) else _text(part.value, values)
            for part in node.values
        ]
        texts = [part for part in parts if isinstance(part, str)]
        return "".join(texts) if len(texts) == len(parts) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left, values), _text(node.right, values)
        return left + right if type(left) is type(right) and left is not None else None
    return None


def _flags(node: ast.Call) -> int:
    text = " ".join(ast.unparse(arg) for arg in (*node.args[1:], *(k.value for k in node.keywords)))
    flags = 0
    for name in re.findall(r"re\.([A-Z]+)\b", text):
        flags |= getattr(re, name)
    return flags


# Strings


Recipe = tuple[str, str, str]  # a beginning, what comes for ever, an end


def recipes(pattern: re.Pattern[Any]) -> list[Recipe]:
    """A beginning that fits, then one or two characters for ever, then an end that does not fit."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    fits = _example(tree)[:40]
    alphabet = list(dict.fromkeys([*_alphabet(tree), "a", "0", " ", "\n"]))
    alphabet = [*alphabet[:7], *(char for char in "a0 \n" if char not in alphabet[:7])]
    heads = dict.fromkeys(("", fits, fits[: len(fits) // 2]))
    pairs = map("".join, product(alphabet[:3], repeat=2))
    bodies = dict.fromkeys((*alphabet, *pairs, fits or "a", f"{fits} "))
    # A class that takes all but a few takes NUL, too: then one of these has to end it.
    ends = ("\x00", "\x00 @<\n") if "[^" in str(pattern.pattern) else ("\x00",)
    return list(product(heads, bodies, ends))


def cook(recipe: Recipe, cap: int, pattern: re.Pattern[Any]) -> Any:
    """The string of that length."""
    head, body, end = recipe
    text = (head + body * (cap // len(body) + 1))[: cap - len(end)] + end
    return text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text


def _alphabet(tree: Any) -> Iterator[str]:
    for op, value in tree:
        if op in (sre.LITERAL, sre.NOT_LITERAL):
            yield chr(value)
        elif op is sre.IN:
            yield _of_class(value)
        else:
            for part in _inside(op, value):
                yield from _alphabet(part)


def _inside(op: Any, value: Any) -> list[Any]:
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        return [value[2]]
    if op is sre.SUBPATTERN:
        return [value[3]]
    if op is sre.BRANCH:
        return list(value[1])
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return [value[1]]
    return [value] if op is sre.ATOMIC_GROUP else []


def _of_class(items: Any) -> str:
    first = items[0]
    if first[0] is sre.NEGATE:
        taken = re.compile("[a-z0-9 ]")
        refused = {chr(i[1]) for i in items if i[0] is sre.LITERAL}
        ranges = [i[1] for i in items if i[0] is sre.RANGE]
        for char in "a0 -.":
            if char not in refused and not any(a <= ord(char) <= b for a, b in ranges):
                return char
        return "a" if taken else ""
    if first[0] is sre.LITERAL:
        return chr(first[1])
    if first[0] is sre.RANGE:
        return chr(first[1][0])
    return {sre.CATEGORY_DIGIT: "0", sre.CATEGORY_SPACE: " "}.get(first[1], "a")


def _example(tree: Any) -> str:
    """A short string that fits, more or less."""
    made = ""
    for op, value in tree:
        if op is sre.LITERAL:
            made += chr(value)
        elif op is sre.IN:
            made += _of_class(value)
        elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            made += _example(value[2]) * max(1, min(value[0], 8))
        elif op is sre.SUBPATTERN:
            made += _example(value[3])
        elif op is sre.ATOMIC_GROUP:
            made += _example(value)
        elif op is sre.BRANCH:
            made += _example(value[1][0])
        elif op in (sre.ANY, sre.NOT_LITERAL):
            made += "a"
    return made
