"""Lines break where both scripts allow it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from posthouse.cli.prose import wrap
from posthouse.cli.screen import Prose


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("", 10, [""]),
        ("a\nb", 10, ["a", "b"]),
        ("授权码不是登录密码。", 8, ["授权码不", "是登录密", "码。"]),
        ("填写授权码，再试", 10, ["填写授权", "码，再试"]),
        ("先看“说明”再试", 9, ["先看“说", "明”再试"]),
        ("QQ 邮箱（含 Foxmail）在这里", 12, ["QQ 邮箱（含", "Foxmail）在", "这里"]),
        (
            "https://mail.example/a/very/long/path",
            12,
            ["https://mail", ".example/a/v", "ery/long/pat", "h"],
        ),
    ],
)
def test_wrap(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width) == lines


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Mn", "Cf"])),
    st.integers(4, 60),
)
def test_nothing_is_lost_and_no_line_is_too_long(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_in_a_console() -> None:
    console = Console(file=io.StringIO(), width=10)
    console.print(Prose("填写授权码，再试"))
    assert console.file.getvalue() == "填写授权\n码，再试\n"  # type: ignore[attr-defined]
