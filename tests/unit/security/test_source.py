"""What must not stand in the source: shells, code from text, trust in any certificate."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted((ROOT / "src").rglob("*.py")) + [
    path
    for path in sorted((ROOT / "scripts").iterdir())
    if path.is_file()
    and (path.suffix == ".py" or path.read_bytes().startswith(b"#!/usr/bin/env python"))
]
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "tempfile.mktemp",
}
FORBIDDEN_MODULES = {
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "yaml",
    "xml.etree",
    "xml.dom",
    "xml.sax",
}
ALLOWED = {"xml.sax.saxutils"}  # escapes text, reads nothing


def names(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file(path: Path) -> None:
    for line, name in names(path):
        bad = any(name == m or name.startswith(m + ".") for m in FORBIDDEN_MODULES)
        assert not bad or name in ALLOWED, f"line {line}: {name}"
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        assert ast.unparse(node.func) not in FORBIDDEN_CALLS, f"line {node.lineno}"
        for keyword in node.keywords:
            shell = keyword.arg == "shell"
            assert not shell or ast.unparse(keyword.value) == "False", f"line {node.lineno}"


def test_certificates_are_ignored_in_two_places_alone() -> None:
    """The handshake takes any certificate so that it can be shown; ``net.verify`` judges it. A
    relay's opportunistic TLS takes any as well, and no login goes over it (RFC 7435)."""
    found = {
        path.relative_to(ROOT / "src/posthouse").as_posix()
        for path in FILES
        if "src" in path.parts
        and (
            "CERT_NONE" in path.read_text("utf-8")
            or "_unverified_context" in path.read_text("utf-8")
        )
    }
    assert found == {"net/tls.py", "send/deliver/encrypt.py"}
