"""The grammar of RFC 7208 section 12, as tables."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from ipaddress import IPv6Network

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from budget import linear
from posthouse.protocol.spf import RecordError, is_record, parse
from posthouse.protocol.spf.lint import normal
from posthouse.protocol.spf.parse import MAX_RECORD, parse_anew


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("v=spf1", []),
        ("V=SPF1  -ALL ", ["-all"]),
        ("v=spf1 a mx/24 a//64 mx/24//64 ?ptr", ["+a", "+mx/24", "+a//64", "+mx/24//64", "?ptr"]),
        ("v=spf1 a:b/0 -all".replace("b", "b.c"), ["+a:b.c/0", "-all"]),
        ("v=spf1 a:foo:bar/baz.example.com/8//9", ["+a:foo:bar/baz.example.com/8//9"]),
        ("v=spf1 ip4:192.0.2.77/24 ip6:2001:DB8::1", ["+ip4:192.0.2.0/24", "+ip6:2001:db8::1/128"]),
        ("v=spf1 IP4:1.2.3.4/0 ip4:1.2.3.4", ["+ip4:0.0.0.0/0", "+ip4:1.2.3.4/32"]),
        # How it is written changed with Python 3.13.
        ("v=spf1 ip6:::ffff:1.2.3.4/96", [f"+ip6:{IPv6Network('::ffff:0:0/96')}"]),
        ("v=spf1 exists:%{i}.%{l1r-}.%{D}", ["+exists:%{i}.%{l1r-}.%{D}"]),
        ("v=spf1 include:_spf.Example.com.", ["+include:_spf.example.com"]),
        ("v=spf1 a:x.xn--zckzah a:1.a1 a:1.1-1", ["+a:x.xn--zckzah", "+a:1.a1", "+a:1.1-1"]),
        ("v=spf1 a:%%%_%-", ["+a:%%%_%-"]),
        ("v=spf1 a:%%.com", ["+a:%%.com"]),
        ("v=spf1 a=b all=1 moo.cow-far_out=man:dog/cat x=", []),
        (
            "v=spf1 exists:%{l999999999999999999999999r}.a",
            ["+exists:%{l999999999999999999999999r}.a"],
        ),
    ],
)
def test_good(text: str, terms: list[str]) -> None:
    assert [normal(each) for each in parse(text).mechanisms] == terms


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        ("v=spf10", "version", 0),
        ("v=spf1\t-all", "version", 0),
        ("v=spf1 -all\t", "control", 11),
        ("v=spf1 \u200b-all", "not_ascii", 7),
        ("v=spf1 moo", "unknown_mechanism", 7),
        ("v=spf1 -all moo:x", "unknown_mechanism", 12),
        ("v=spf1 --all", "unknown_mechanism", 7),
        ("v=spf1 all.", "unknown_mechanism", 7),
        ("v=spf1 all:foo", "argument_forbidden", 10),
        ("v=spf1 redirect:a.b", "redirect_colon", 7),
        ("v=spf1 1up=foo", "modifier_name", 7),
        ("v=spf1 =all", "modifier_name", 7),
        ("v=spf1 -x=y", "modifier_name", 7),
        ("v=spf1 include", "argument_missing", 14),
        ("v=spf1 exists/24", "argument_forbidden", 13),
        ("v=spf1 ip4", "argument_missing", 10),
        ("v=spf1 include:", "domain_empty", 15),
        ("v=spf1 exp= -all", "domain_empty", 11),
        ("v=spf1 a:museum", "domain_end", 9),
        ("v=spf1 a:museum.", "domain_end", 9),
        ("v=spf1 a:abc.123", "domain_end", 9),
        ("v=spf1 a:b.-c", "domain_end", 9),
        ("v=spf1 a:%{d}com", "domain_end", 9),
        ("v=spf1 a:111.222.33.44", "domain_ip", 9),
        ("v=spf1 a:b.c%(ir)", "macro", 12),
        ("v=spf1 a:%{x}", "macro", 9),
        ("v=spf1 a:%{d", "macro", 9),
        ("v=spf1 a:%", "macro", 9),
        ("v=spf1 -all foo=%abc", "macro", 16),
        ("v=spf1 exp=%{r}.example.com", "macro_exp_only", 11),
        ("v=spf1 x=%{t}", "macro_exp_only", 9),
        ("v=spf1 a:%{d0}", "macro_zero", 9),
        ("v=spf1 a:%{d00}", "macro_zero", 9),
        ("v=spf1 ip4:1.2.3", "ip4", 11),
        ("v=spf1 ip4:1.2.03.4", "ip4", 11),
        ("v=spf1 ip4:1.2.3.256", "ip4", 11),
        ("v=spf1 ip4:1.2.3.4/33", "cidr", 18),
        ("v=spf1 ip4:1.2.3.4/08", "cidr", 18),
        ("v=spf1 ip4:1.2.3.4/", "cidr", 18),
        ("v=spf1 ip4:1.2.3.4//8", "cidr", 18),
        ("v=spf1 ip6:fe80::1%eth0", "ip6", 11),
        ("v=spf1 ip6::CAFE::BABE", "ip6", 11),
        ("v=spf1 ip6:::1/129", "cidr", 14),
        ("v=spf1 a/33", "cidr", 8),
        ("v=spf1 a//129", "cidr", 8),
        ("v=spf1 a/24/64", "cidr", 8),
        ("v=spf1 a/", "cidr", 8),
        ("v=spf1 mx:b.c/33", "cidr", 13),
        ("v=spf1 a, mx", "comma", 8),
        ("v=spf1 ip4:1.2.3.4, mx", "comma", 11),
        ("v=spf1 redirect=a.b redirect=a.b", "duplicate", 20),
        ("v=spf1 exp=a.b EXP=c.d", "duplicate", 15),
        ("v=spf1 " + "a " * MAX_RECORD, "too_long", MAX_RECORD),
    ],
)
def test_bad(text: str, reason: str, position: int) -> None:
    with pytest.raises(RecordError) as caught:
        parse(text)
    assert (caught.value.reason, caught.value.position) == (reason, position)


PIECES = """
all include: a mx ptr ip4: ip6: exists: redirect= exp= v=spf1 192.0.2.1 2001:db8:: /24 //64 %{d}
%{l1r-} b.test
"""
WORDS = st.sampled_from([*"+-~?:/=%{}.,;_ \u200b\x00", *PIECES.split(), "9" * 5_000])


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(WORDS).map("".join)))
@example("v=spf1 a:%{d" + "9" * 5_000 + "}")
def test_any_text(text: str) -> None:
    for each in (text, f"v=spf1 {text}"):
        try:
            record = parse_anew(each)
        except RecordError as error:
            fits = 0 <= error.position <= len(each)
            assert fits
            continue
        assert is_record(each)
        # what was read, written again, is the same record
        again = parse_anew(" ".join(["v=spf1", *(term.text for term in record.terms)]))
        assert [term.text for term in again.terms] == [term.text for term in record.terms]


@pytest.mark.parametrize(
    "part",
    [
        "a.",
        "a",
        "%{d}",
        "/",
        "a/",
        "a-",
        ":",
        "%",
        "1.",
        "a ",
        "/9",
        "%{d.",
        "//",
        "a:b.c/",
        "%%",
        "0",
    ],
)
@pytest.mark.parametrize("begin", ["", "a:", "a", "mx:b.c", "x=", "ip4:", "ip6:", "a:%{d"])
def test_the_longest_record_costs_no_more_than_its_length(begin: str, part: str) -> None:
    """A pattern that goes back and forth would need seconds for 16,000 characters."""

    def work(text: str) -> None:
        with contextlib.suppress(RecordError):
            parse_anew(text)

    linear(work, f"v=spf1 {begin}{part * MAX_RECORD}"[:MAX_RECORD])


def forth_and_back(text: str) -> None:
    for end in range(len(text)):
        if text[end] == "!":
            for _ in range(end):
                pass


@pytest.mark.parametrize(
    ("work", "text"),
    [
        (re.compile("a*b").search, "a" * 8_000),
        (re.compile(r"(?:[a-z]+\.?)*!").match, "a" * 20),
        (lambda text: [text[at:].count("b") for at in range(len(text))], "a" * 32_000),
        (forth_and_back, "!" * 1_000),
    ],
)
def test_more_would_be_seen(work: Callable[[str], object], text: str) -> None:
    with pytest.raises(AssertionError):
        linear(work, text)
