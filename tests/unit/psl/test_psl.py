"""The algorithm on a small list, and the list we come with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol import psl

LIST = psl.PublicSuffixList(
    """
// comment
com   after a blank nothing counts
co.uk
*.ck
!www.ck
*.kobe.jp
!city.kobe.jp
jp
公司.cn

// ===BEGIN PRIVATE DOMAINS===
blogspot.com
"""
)


@pytest.mark.parametrize(
    ("name", "suffix", "organizational"),
    [
        ("com", "com", None),
        ("example.com", "com", "example.com"),
        ("A.Example.COM.", "com", "example.com"),
        ("a.b.co.uk", "co.uk", "b.co.uk"),
        ("uk", "uk", None),  # no rule: "*"
        ("a.uk", "uk", "a.uk"),
        ("b.test", "test", "b.test"),
        ("x.y.ck", "y.ck", "x.y.ck"),
        ("y.ck", "y.ck", None),
        ("www.ck", "ck", "www.ck"),
        ("a.www.ck", "ck", "www.ck"),
        ("a.c.kobe.jp", "c.kobe.jp", "a.c.kobe.jp"),
        ("a.city.kobe.jp", "kobe.jp", "city.kobe.jp"),
        ("kobe.jp", "jp", "kobe.jp"),
        ("me.blogspot.com", "blogspot.com", "me.blogspot.com"),
        ("食狮.公司.cn", "xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn"),
        ("xn--85x722f.xn--55qx5d.cn", "xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn"),
        ("", None, None),
        (".com", None, None),
        ("a..com", None, None),
    ],
)
def test_rules(name: str, suffix: str | None, organizational: str | None) -> None:
    assert (LIST.suffix(name), LIST.organizational(name)) == (suffix, organizational)
    assert LIST.is_suffix(name) is (suffix is not None and organizational is None)


def test_without_private_suffixes() -> None:
    text = "com\n// ===BEGIN PRIVATE DOMAINS===\nblogspot.com\n"
    assert (
        psl.PublicSuffixList(text, private=False).organizational("a.blogspot.com") == "blogspot.com"
    )
    assert len(psl.PublicSuffixList(text)) == 2


def test_the_list_we_come_with() -> None:
    found = psl.default_list()
    assert len(found) > 9_000
    assert found.organizational("www.example.co.uk") == "example.co.uk"
    assert found.organizational("a.b.com.cn") == "b.com.cn"
    assert psl.default_list() is found


@given(st.text(max_size=400) | st.text("a.中", max_size=1_200))
def test_any_name(name: str) -> None:
    suffix, organizational = LIST.suffix(name), LIST.organizational(name)
    assert suffix is not None or organizational is None
    if suffix is not None and organizational is not None:
        assert organizational.endswith("." + suffix)
        assert organizational.count(".") == suffix.count(".") + 1


@given(st.text(max_size=200))
def test_any_list(text: str) -> None:
    assert psl.PublicSuffixList(text).suffix("a.b.test") is not None
