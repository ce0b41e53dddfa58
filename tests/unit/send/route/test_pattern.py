"""Patterns of addresses: which fit, which don't, which are refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from budget import soon
from posthouse.send.hop import Hop
from posthouse.send.route import Facts, read_routes
from posthouse.send.route import pattern as patterns

FITS = [
    # pattern, address, whether it fits
    ("bob@d.example", "bob@d.example", True),
    ("bob@d.example", "BOB@D.Example", True),
    ("Bob@D.example", "bob@d.example", True),
    ("bob@d.example", "bob@d.example.", True),
    ("bob@d.example", '"bob"@d.example', True),
    ("bob@d.example", "bobby@d.example", False),
    ("bob@d.example", "bob@sub.d.example", False),
    ('"b b"@d.example', '"b b"@D.example', True),
    ("*@d.example", "anyone@d.example", True),
    ("@d.example", "anyone@d.EXAMPLE", True),
    ("@d.example", "anyone@xd.example", False),
    ("@d.example", "anyone@sub.d.example", False),
    ("@d.example", "d.example", False),
    ("@d.example", "", False),
    (".d.example", "x@a.d.example", True),
    (".d.example", "x@a.b.d.example", True),
    (".d.example", "x@d.example", False),
    (".d.example", "x@ad.example", False),
    (".example", "x@d.example", True),
    ("<>", "", True),
    ("<>", "a@d.example", False),
    ("@münchen.example", "x@xn--mnchen-3ya.example", True),
    ("@xn--mnchen-3ya.example", "x@MÜNCHEN.example", True),
    (".例子.example", "x@a.xn--fsqu00a.example", True),
    ("jürgen@d.example", "JÜRGEN@d.example", True),
    ("jürgen@d.example", "ju\u0308rgen@d.example", True),
    ("@[192.0.2.1]", "x@[192.0.2.1]", True),
    ("@[IPv6:2001:db8::1]", "x@[ipv6:2001:DB8:0::1]", True),
    ("@[192.0.2.1]", "x@[192.0.2.2]", False),
    ("postmaster@d.example", "postmaster", False),
    ("＠d.example", "x@d.example", True),  # typed with a Chinese input method
]
REFUSED = {
    "": "pattern",
    "*": "pattern",
    "@": "pattern",
    ".": "pattern",
    "bob": "pattern",
    "a b@d.example": "pattern",
    "@d..example": "pattern",
    "@[192.0.2]": "pattern",
    "d.example": "pattern_domain",
    "b*@d.example": "pattern_glob",
    "*@*.d.example": "pattern_glob",
    "@*.d.example": "pattern_glob",
    ".*.example": "pattern_glob",
}
GLOBS = [
    ("bulk*", "Bulk-7", True),
    ("bulk*", "not bulk", False),
    ("*", "", True),
    ("a?c", "abc", True),
    ("a?c", "ac", False),
    ("[list] *", "[List] hello", True),
    ("[list] *", "l hello", False),
    ("*新闻*", "每日新闻", True),
    ("a*c", "a\nc", True),
]


def fits(pattern: str, address: str) -> bool:
    table = {"route": [{"name": "it", "recipient": pattern, "hop": "a"}, {"hop": "a"}]}
    routes = read_routes(table, {"a": Hop("a")})
    chosen = routes.choose(Facts(), address)
    assert routes.explain(Facts(), address)[-1].rule.choice == chosen
    return chosen.rule == "it"


@pytest.mark.parametrize(("pattern", "address", "whether"), FITS)
def test_patterns(pattern: str, address: str, whether: bool) -> None:
    assert fits(pattern, address) is whether


@pytest.mark.parametrize(("text", "reason"), REFUSED.items())
def test_no_patterns(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        patterns.parse(text)


@pytest.mark.parametrize(("glob", "value", "whether"), GLOBS)
def test_globs(glob: str, value: str, whether: bool) -> None:
    assert bool(patterns.glob(glob).match(value)) is whether


def test_a_glob_never_goes_back_far() -> None:
    compiled = patterns.glob("*a*a*a*a*a*a*a*b")
    with soon():
        assert not compiled.match("a" * 16_384)


@given(st.text(max_size=60))
@example("@")
@example('"@')
@example("x@" + "a." * 200)
def test_any_address_is_looked_up(address: str) -> None:
    found = patterns.parts(address)
    assert patterns.parts(address) == found
    assert found.address.endswith(found.domain)


LABEL = st.text("abcdefgh-0123", min_size=1, max_size=6).filter(lambda s: s.strip("-") == s)
DOMAIN = st.lists(LABEL, min_size=1, max_size=4).map(lambda some: ".".join([*some, "example"]))
LOCAL = st.text("abcDEF.+-_0", min_size=1, max_size=8).map(lambda s: s.strip(".") or "x").filter(
    lambda s: ".." not in s
)  # fmt: skip


@given(LOCAL, DOMAIN)
def test_an_address_fits_its_own_patterns(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    assert fits(address.upper(), address)
    assert fits(address, address.upper())
    assert fits(f"*@{domain}", address.upper())
    assert not fits(f".{domain}", address)
    for parent in patterns.parents(domain):
        assert fits(f".{parent}", address)
        assert not fits(f"@{parent}", address)
