"""Text that a program wrote down octet by octet, or read in the wrong charset, beside its own."""

from __future__ import annotations

import pytest

from posthouse.explain import reading

CODE = "请使用授权码登录"


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (repr(CODE.encode("gb18030"))[2:-1], CODE),
        (repr(CODE.encode())[2:-1], CODE),
        ("".join(f"\\{octet:03o}" for octet in CODE.encode()), CODE),
        (f"配置异常: {CODE.encode('gb18030').decode('latin-1')}", f"配置异常: {CODE}"),
        (f"配置异常: {CODE.encode().decode('latin-1')} ok", f"配置异常: {CODE} ok"),
        ("C:\\x86\\data", "C:\\x86\\data"),
        ("\\x41\\x42", "\\x41\\x42"),
        ("naïve café", "naïve café"),
        ("Übertragung fehlgeschlagen: größe", "Übertragung fehlgeschlagen: größe"),
        ("déjà vu 授权码", "déjà vu 授权码"),
    ],
)
def test_what_was_meant_is_read(line: str, read: str) -> None:
    assert reading.read(line).text == read
