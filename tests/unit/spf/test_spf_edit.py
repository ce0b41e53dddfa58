"""Records changed: added to, cut, merged, flattened, split."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol import dns, spf
from posthouse.protocol.spf import edit
from unit.spf.spf_table import zone


@pytest.mark.parametrize(
    ("text", "domain", "made"),
    [
        ("v=spf1 mx -all", "r.test", "v=spf1 mx include:r.test -all"),
        ("v=spf1", "r.test", "v=spf1 include:r.test"),
        ("v=spf1 include:R.test. ~all", "r.test", "v=spf1 include:R.test. ~all"),
        ("v=spf1 redirect=x.test", "r.test", "v=spf1 include:r.test redirect=x.test"),
        ("v=spf1 exp=e.test  -all a", "r.test", "v=spf1 include:r.test -all a exp=e.test"),
    ],
)
def test_add_include(text: str, domain: str, made: str) -> None:
    assert edit.add_include(text, domain) == made
    assert edit.add_include(made, domain) == made


@pytest.mark.parametrize(
    ("address", "term"),
    [
        ("192.0.2.1", "ip4:192.0.2.1"),
        ("192.0.2.1/24", "ip4:192.0.2.0/24"),
        ("2001:DB8::1", "ip6:2001:db8::1"),
        ("2001:db8::/32", "ip6:2001:db8::/32"),
    ],
)
def test_add_and_remove_an_address(address: str, term: str) -> None:
    made = edit.add_ip("v=spf1 a -all", address)
    assert made == f"v=spf1 a {term} -all"
    assert edit.remove_ip(made, address) == "v=spf1 a -all"


@pytest.mark.parametrize(
    ("text", "term", "made"),
    [
        ("v=spf1 A:X.test a -all", "a:x.test", "v=spf1 a -all"),
        ("v=spf1 a +a a/32 -all", "a", "v=spf1 -all"),
        ("v=spf1 redirect=x.test a", "REDIRECT=x.test", "v=spf1 a"),
        ("v=spf1 a -all", "-all", "v=spf1 a"),
    ],
)
def test_remove(text: str, term: str, made: str) -> None:
    assert edit.remove(text, term) == made


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        (lambda: edit.remove("v=spf1 a", "mx"), "not_there"),
        (lambda: edit.remove("v=spf1 a", "-a"), "not_there"),
        (lambda: edit.add("v=spf1", "a mx"), "bad_term"),
        (lambda: edit.add("v=spf1", "x=y"), "bad_term"),
        (lambda: edit.add("v=spf1", ""), "bad_term"),
        (lambda: edit.add_include("v=spf1", "no domain"), "bad_term"),
        (lambda: edit.add_ip("v=spf1", "1.2.3"), "bad_address"),
        (lambda: edit.merge([]), "nothing"),
        (lambda: edit.strings("ü"), "not_ascii"),
    ],
)
def test_refused(do: object, reason: str) -> None:
    assert callable(do)
    with pytest.raises(spf.EditError) as caught:
        do()
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("texts", "made"),
    [
        (["v=spf1 a -all"], "v=spf1 a -all"),
        (["v=spf1 include:a.test -all", "v=spf1 include:b.test ~all"],
         "v=spf1 include:a.test include:b.test ~all"),
        (["v=spf1 a mx -all", "v=spf1 A +mx ip4:192.0.2.1 -all"], "v=spf1 a mx ip4:192.0.2.1 -all"),
        (["v=spf1 a +all", "v=spf1 mx -all"], "v=spf1 a mx -all"),
        (["v=spf1 a +all"], "v=spf1 a ~all"),
        (["v=spf1 redirect=a.test", "v=spf1 mx -all"], "v=spf1 mx include:a.test -all"),
        (["v=spf1 redirect=a.test", "v=spf1 redirect=A.test"], "v=spf1 redirect=a.test"),
        (["v=spf1 redirect=a.test", "v=spf1 redirect=b.test"],
         "v=spf1 include:a.test include:b.test ~all"),
        (["v=spf1 -all redirect=a.test", "v=spf1 mx"], "v=spf1 mx -all"),
        (["v=spf1 -ip4:192.0.2.1 -all", "v=spf1 ip4:192.0.2.1 -all"], "v=spf1 ip4:192.0.2.1 -all"),
        (["v=spf1 exp=a.test -all", "v=spf1 exp=b.test ra=x -all"], "v=spf1 -all exp=a.test ra=x"),
    ],
)  # fmt: skip
def test_merge(texts: list[str], made: str) -> None:
    assert edit.merge(texts) == made


def test_flatten_lets_the_same_clients_through() -> None:
    text = "v=spf1 a ?include:r.test include:s.test exists:%{i}.b.test ~all exp=e.test"
    rows = {
        "b.test TXT": [text],
        "b.test A": ["8.8.8.8"],
        "r.test TXT": ["v=spf1 ip4:8.8.4.0/24 ip6:2001:db8::/32 include:s.test -all"],
        "s.test TXT": ["v=spf1 ip4:8.8.5.0/24 ~all"],
    }
    found = dns.run(spf.survey("b.test"), zone(rows))
    flat = edit.flatten(text, found.terms)
    assert flat == (
        "v=spf1 ip4:8.8.8.8 ?ip4:8.8.4.0/23 ?ip6:2001:db8::/32 ip4:8.8.5.0/24"
        " exists:%{i}.b.test ~all exp=e.test"
    )
    for ip in ("8.8.8.8", "8.8.4.1", "8.8.5.1", "2001:db8::1", "192.0.2.1", "::1"):
        before, after = (
            dns.run(spf.check_host(ip, "b.test", "a@b.test"), zone({**rows, "b.test TXT": [each]}))
            for each in (text, flat)
        )
        assert before.code == after.code


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii"), max_size=2_000))
def test_strings_are_the_record_again(text: str) -> None:
    parts = edit.strings(text)
    assert "".join(parts) == text
    assert all(len(part) <= 255 for part in parts)


def test_strings_part_at_spaces() -> None:
    text = "v=spf1 " + " ".join(f"ip4:192.0.2.{n}" for n in range(40)) + " -all"
    assert all(part.endswith(" ") for part in edit.strings(text)[:-1])
    assert edit.quoted('v=spf1 x="\\') == '"v=spf1 x=\\"\\\\"'
