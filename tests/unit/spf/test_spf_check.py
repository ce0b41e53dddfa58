"""check_host beyond the published suites: identities, limits, what strangers may put in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol import dns, spf
from posthouse.protocol.dns import Answer, AnswerStatus, Ask
from unit.spf.spf_table import Rows, zone

CLIENT = "192.0.2.1"


def check(rows: Rows, sender: str = "a@b.test", ip: str = CLIENT, **more: Any) -> spf.Result:
    broken = more.pop("broken", ())
    helo = more.pop("helo", "mail.test")
    return dns.run(spf.check_mail(ip, sender, helo, **more), zone(rows, broken=broken))


def ids(result: spf.Result) -> list[str]:
    return [note.id for note in result.trace]


def test_a_pass_tells_every_step() -> None:
    rows = {
        "b.test TXT": ["v=spf1 ip4:198.51.100.1 ip6:2001:db8::1 a include:c.test -all"],
        "b.test A": ["203.0.113.1"],
        "c.test TXT": ["v=spf1 ip4:192.0.2.0/24 ~all"],
    }
    result = check(rows)
    assert (result.code, result.term, result.lookups, result.voids) == (
        spf.Code.PASS,
        "include:c.test",
        2,
        0,
    )
    assert [(note.id, note.depth, note.domain, note.term) for note in result.trace] == [
        ("record_found", 0, "b.test", ""),
        ("ip_miss", 0, "b.test", "ip4:198.51.100.1 ip6:2001:db8::1"),
        ("a_miss", 0, "b.test", "a"),
        ("include", 0, "b.test", "include:c.test"),
        ("record_found", 1, "c.test", ""),
        ("ip_match", 1, "c.test", "ip4:192.0.2.0/24"),
        ("include_match", 0, "b.test", "include:c.test"),
    ]


@pytest.mark.parametrize(
    ("sender", "helo", "domain"),
    [
        ("a@b.test", "h.test", "b.test"),
        ("@b.test", "h.test", "b.test"),
        ("", "h.test", "h.test"),
        ("a@b.test.", "h.test", "b.test"),
        ("a@bücher.test", "h.test", "xn--bcher-kva.test"),
        ('"x@y"@b.test', "h.test", "b.test"),
    ],
)
def test_whose_record_is_asked(sender: str, helo: str, domain: str) -> None:
    result = check({f"{domain} TXT": ["v=spf1 -all"]}, sender, helo=helo)
    assert (result.code, result.domain) == (spf.Code.FAIL, domain)


@pytest.mark.parametrize(
    "domain",
    ["", "test", "a..test", ".test", "x" * 64 + ".test", "[192.0.2.1]", "-\u00ad.test", "."],
)
def test_malformed_domains_are_none_and_ask_nothing(domain: str) -> None:
    with pytest.raises(StopIteration) as end:
        next(spf.check_host(CLIENT, domain, f"a@{domain}"))
    result = end.value.value
    assert (result.code, result.problem) == (spf.Code.NONE, "domain_malformed")


@pytest.mark.parametrize("ip", ["", "1.2.3", "x", "1.2.3.4/8", "::g"])
def test_no_address(ip: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        spf.check_host(ip, "a.test", "x@a.test")


def test_local_part_that_is_not_ascii_never_matches() -> None:
    record = "v=spf1 exists:%{l}.a.test exists:%{L}.a.test include:%{s}.a.test a:%{o}.c.test -all"
    rows = {"b.test TXT": [record], "b.test.c.test A": [CLIENT]}
    result = check(rows, "ü@b.test")
    assert result.code is spf.Code.PASS
    assert ids(result).count("target_local") == 3


@pytest.mark.parametrize(("ip", "asked"), [(CLIENT, "A"), ("::ffff:192.0.2.1", "A")])
def test_mapped_addresses_are_ip4(ip: str, asked: str) -> None:
    assert (
        check({"b.test TXT": ["v=spf1 a -all"], f"b.test {asked}": [CLIENT]}, ip=ip).code == "pass"
    )
    assert check({"b.test TXT": ["v=spf1 ip6:::/0 -all"]}, ip=ip).code == "fail"


def test_mx_hosts_without_ip6_are_no_void_lookups() -> None:
    """Four IPv4-only mail servers are a find; RFC 7208 section 4.6.4 counts terms."""
    rows = {
        "b.test TXT": ["v=spf1 mx ip6:2001:db8::/32 -all"],
        "b.test MX": [f"10 mx{n}.b.test." for n in range(4)],
        **{f"mx{n}.b.test A": ["192.0.2.9"] for n in range(4)},
    }
    result = check(rows, ip="2001:db8::5")
    assert (result.code, result.voids) == (spf.Code.PASS, 0)


@pytest.mark.parametrize(
    ("record", "code", "problem"),
    [
        ("v=spf1 a:x1.test a:x2.test ?all", "neutral", ""),
        ("v=spf1 a:x1.test mx:x2.test exists:x3.test ?all", "permerror", "voids_over"),
        ("v=spf1 redirect=b.test", "permerror", "lookups_over"),
        ("v=spf1 include:none.test all", "permerror", "include_none"),
        ("v=spf1 include:a..b.test all", "permerror", "include_none"),
        ("v=spf1 redirect=none.test", "permerror", "redirect_none"),
        ("v=spf1 a:broken.test all", "temperror", "dns_failed"),
        ("v=spf1 include:broken.test all", "temperror", "dns_failed"),
        ("v=spf1 mx:many.test all", "permerror", "mx_many"),
        ("v=spf1 ptr:b.test ?all", "neutral", ""),
        ("v=spf1 oops", "permerror", "record_syntax"),
    ],
)
def test_errors(record: str, code: str, problem: str) -> None:
    rows = {
        "b.test TXT": [record],
        "b.test A": ["192.0.2.9"],
        "many.test MX": [f"{n} mx.test." for n in range(11)],
    }
    result = check(rows, broken=("broken.test", "1.2.0.192.in-addr.arpa"))
    assert (result.code, result.problem) == (code, problem)
    assert not problem or problem in ids(result)


def test_limits_can_be_set() -> None:
    rows = {"b.test TXT": ["v=spf1 a:x1.test a:x2.test a:x3.test ?all"]}
    assert check(rows, limits=spf.Limits(voids=3)).code == "neutral"
    assert check(rows, limits=spf.Limits(lookups=2)).problem == "lookups_over"


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("%{i} is not %{d}'s", "192.0.2.1 is not b.test's"),
        ("%{c} %{r} %{t}", "192.0.2.1 mx.test 7"),
        ("no\r\nQUIT", ""),
        ("caf\u00e9", ""),
        ("%{l}", ""),
        ("%{L}", "%C3%BC%0D"),
        ("%{p}", "unknown"),
        ("%{q}", ""),
        ("%{s}" * 500, ""),
    ],
)
def test_explanations_fit_into_a_reply(text: str, explanation: str) -> None:
    rows = {"b.test TXT": ["v=spf1 -all exp=why.%{d}"], "why.b.test TXT": [text]}
    result = check(rows, "\u00fc\r@b.test", receiver="mx.test", now=7)
    assert (result.code, result.explanation) == (spf.Code.FAIL, explanation)


def test_pointers_that_do_not_lead_back_prove_nothing() -> None:
    rows = {
        "b.test TXT": ["v=spf1 ptr -all"],
        "1.2.0.192.in-addr.arpa PTR": ["mail.b.test.", "xb.test.", "good.B.test."],
        "mail.b.test A": ["192.0.2.9"],
        "xb.test A": [CLIENT],
    }
    assert check(rows).code == "fail"
    assert check({**rows, "good.b.test A": [CLIENT]}).code == "pass"


@pytest.mark.parametrize("record", ["v=spf1 ptr -all", "v=spf1 exists:%{p}.ok.test -all"])
@pytest.mark.parametrize(("before", "code"), [(9, "pass"), (10, "fail")])
def test_only_ten_names_of_a_client_are_looked_at(record: str, before: int, code: str) -> None:
    """RFC 7208 section 4.6.4: further ones are as if they were not there."""
    rows = {
        "b.test TXT": [record],
        "1.2.0.192.in-addr.arpa PTR": [*(f"n{n}.b.test." for n in range(before)), "good.b.test."],
        "good.b.test A": [CLIENT],
        "good.b.test.ok.test A": ["127.0.0.1"],
    }
    assert check(rows).code == code


def test_a_hostile_local_part_makes_no_escape() -> None:
    asked: list[Ask] = []

    def lookup(ask: Ask) -> Answer:
        asked.append(ask)
        found = ("v=spf1 exists:%{l}.c.test -all",) if ask.name == "b.test" else ()
        status = AnswerStatus.OK if found else AnswerStatus.NXDOMAIN
        return Answer(ask.name, ask.type, status, found)

    dns.run(spf.check_mail(CLIENT, "a\\046b@b.test", "h.test"), lookup)
    assert asked[-1].name == "a\\\\046b.c.test"


TERMS = """
a mx ptr -all ?all include:b.test include:c.test exists:%{l}.b.test redirect=c.test exp=c.test
a:%{p} ip4:192.0.2.0/24 exists:%{h} a:%{D2} v=spf1 oops a:%{s}.%{ir}.%{v} mx:c.test/0 ip6:::/0
a:c.test//0
"""
RECORDS = st.lists(st.sampled_from(TERMS.split())).map(lambda terms: " ".join(["v=spf1", *terms]))
ROWS = st.sampled_from([CLIENT, "::1", "10 b.test.", "."])
VALUES = st.one_of(RECORDS, st.text(max_size=20), ROWS)
ANSWERS = st.builds(
    Answer, st.just(""), st.just(""), st.sampled_from(AnswerStatus), st.lists(VALUES).map(tuple)
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([CLIENT, "2001:db8::1", "::ffff:1.2.3.4"]),
    st.one_of(st.text(), st.sampled_from(["a@b.test", "ü@b.test", "@b.test"])),
    st.text(),
    st.lists(ANSWERS, min_size=1),
)
def test_nothing_makes_a_check_fail(ip: str, sender: str, helo: str, answers: list[Answer]) -> None:
    asked = 0

    def lookup(ask: Ask) -> Answer:
        nonlocal asked
        asked += 1
        assert ask.type in ("TXT", "A", "AAAA", "MX", "PTR")
        assert ask.name.isascii()
        assert 0 < len(ask.name.replace("\\\\", "\\")) <= 253
        return answers[asked % len(answers)]

    result = dns.run(spf.check_mail(ip, sender, helo), lookup)
    assert asked <= 1 + 10 * (1 + 1 + 10 + 11) + 11  # ten terms, each with its names and a %{p}
    assert result.explanation.isascii()
    for note in result.trace:
        assert set(note.params) == set(spf.TRACE_IDS[note.id])
