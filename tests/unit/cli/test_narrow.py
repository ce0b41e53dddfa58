"""What is shown where the terminal does not speak UTF-8."""

from __future__ import annotations

import io
import json
import sys

import pytest

from posthouse.cli import root


def shown(monkeypatch: pytest.MonkeyPatch, encoding: str, lang: str, *args: str) -> bytes:
    """What a command writes to a terminal of that encoding."""
    octets = io.BytesIO()
    stream = io.TextIOWrapper(octets, encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    assert root.run(args, lang) == 0
    return octets.getvalue()


@pytest.mark.parametrize(
    ("encoding", "lang", "mark"),
    [("gb18030", "zh", "✓"), ("gbk", "zh", "√"), ("ascii", "en", "+")],
)
def test_a_mark_keeps_its_meaning(
    monkeypatch: pytest.MonkeyPatch, encoding: str, lang: str, mark: str
) -> None:
    lines = shown(monkeypatch, encoding, lang, "find", "alice@qq.com", "--offline")
    starts = {line[:2] for line in lines.decode(encoding).splitlines()}
    assert f"{mark} " in starts
    assert "? " not in starts


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "latin-1"])
def test_json_loses_nothing(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """RFC 8259 section 8.1: JSON is UTF-8, of which ASCII is a part."""
    answer = shown(monkeypatch, encoding, "zh", "explain", "535 authentication failed", "--json")
    assert json.loads(answer.decode("utf-8"))["title"] == "用户名或密码不对"
