"""RFC 6652: who wants reports of failures."""

from __future__ import annotations

import pytest

from posthouse.protocol import spf


@pytest.mark.parametrize(
    ("modifiers", "wanted", "bad"),
    [
        ("", None, ()),
        ("rp=50 rr=f", None, ()),
        ("ra=spf", ("spf", 100, {"all"}), ()),
        ("ra=spf rp=50 rr=f:s:z", ("spf", 50, {"f", "s"}), ()),
        ("ra=a=2Bb", ("a+b", 100, {"all"}), ()),
        ("ra=spf rp=101", ("spf", 100, {"all"}), ("rp=101",)),
        ("ra=spf rr=q", ("spf", 100, {"all"}), ("rr=q",)),
        ("ra=%{l}", None, ("ra=%{l}",)),
        ("ra=a ra=b", ("a", 100, {"all"}), ("ra=b",)),
        ("ra=a@b.test", None, ("ra=a@b.test",)),
        ("ra=a=0D=0Ab", None, ("ra=a=0D=0Ab",)),
        ("ra=" + "a" * 65, None, ("ra=" + "a" * 65,)),
    ],
)
def test_modifiers(
    modifiers: str, wanted: tuple[str, int, set[str]] | None, bad: tuple[str, ...]
) -> None:
    found, wrong = spf.reporting(spf.parse(f"v=spf1 -all {modifiers}"))
    assert wrong == bad
    assert (found is None) == (wanted is None)
    if found is not None:
        assert (found.local, found.percentage, found.kinds) == wanted


def test_kinds() -> None:
    found, _ = spf.reporting(spf.parse("v=spf1 -all ra=x rr=e:f"))
    assert found is not None
    assert {code.value for code in spf.Code if found.wants(code)} == {
        "permerror",
        "temperror",
        "fail",
    }
