"""Block lists: names, answers, what is no listing, lists that are gone. RFC 5782."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.directory import blocklists
from posthouse.flow import Status
from posthouse.protocol import dnsbl
from posthouse.protocol.dns import AnswerStatus, run
from posthouse.protocol.dnsbl import Blocklist, Kind, State
from unit.dane.table import Row, Zone

PLAIN = Blocklist("x", "X", "bl.test", Kind.IP, "https://x.test/", ipv6=True)
DOMAINS = Blocklist("d", "D", "dbl.test", Kind.DOMAIN, "https://d.test/")
ZEN = blocklists.blocklist("spamhaus-zen")
SIX = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4"


@pytest.mark.parametrize(
    ("subject", "list_", "name"),
    [
        ("192.0.2.99", PLAIN, "99.2.0.192.bl.test"),
        ("4321:0:1:2:3:4:567:89ab", PLAIN, f"{SIX}.bl.test"),  # the example of RFC 5782
        ("::ffff:192.0.2.99", PLAIN, "99.2.0.192.bl.test"),
        ("::ffff:7f00:2", PLAIN, f"2.0.0.0.0.0.f.7.f.f.f.f{'.0' * 20}.bl.test"),
        ("Bücher.Example.", DOMAINS, "xn--bcher-kva.example.dbl.test"),
    ],
)
def test_names(subject: str, list_: Blocklist, name: str) -> None:
    assert dnsbl.question(subject, list_) == name


@pytest.mark.parametrize(
    ("subject", "list_", "reason"),
    [
        ("example.com", PLAIN, "not_ip"),
        ("192.0.2.999", PLAIN, "not_ip"),
        ("", PLAIN, "not_ip"),
        ("2001:db8::1", Blocklist("y", "Y", "y.test", Kind.IP, ""), "no_ipv6"),
        ("192.0.2.1", DOMAINS, "not_domain"),
        ("2001:db8::1", DOMAINS, "not_domain"),
        ("", DOMAINS, "not_domain"),
        (".".join(["a" * 60] * 4), DOMAINS, "too_long"),
    ],
)
def test_nothing_to_ask(subject: str, list_: Blocklist, reason: str) -> None:
    with pytest.raises(dnsbl.SubjectError) as caught:
        run(dnsbl.check(subject, list_), Zone({}))
    assert caught.value.reason == reason


@given(st.text(max_size=60), st.sampled_from([PLAIN, DOMAINS]))
def test_nothing_else_escapes(subject: str, list_: Blocklist) -> None:
    try:
        assert len(dnsbl.question(subject, list_)) <= 253
    except dnsbl.SubjectError:
        return


def zone(list_: Blocklist, name: str, answer: Row, text: str = "") -> Zone:
    rows: dict[str, Row] = {f"{name}.{list_.zone} A": answer}
    if text:
        rows[f"{name}.{list_.zone} TXT"] = [text]
    return Zone(rows)


REVERSED = "99.2.0.192"


@pytest.mark.parametrize(
    ("list_id", "answer", "state", "detail"),
    [
        ("spamhaus-zen", ["127.0.0.2"], "listed", ["sbl"]),
        ("spamhaus-zen", ["127.0.0.3"], "listed", ["css"]),
        ("spamhaus-zen", ["127.0.0.4"], "listed", ["xbl"]),
        ("spamhaus-zen", ["127.0.0.9", "127.0.0.2"], "listed", ["sbl", "drop"]),
        ("spamhaus-zen", ["127.0.0.10"], "listed", ["pbl_isp"]),
        ("spamhaus-zen", ["127.0.0.11", "127.0.0.4"], "listed", ["pbl_spamhaus", "xbl"]),
        ("spamhaus-zen", ["127.0.0.99"], "listed", ["other"]),
        ("spamhaus-zen", ["127.255.255.252"], "error", "wrong_name"),
        ("spamhaus-zen", ["127.255.255.254"], "error", "public_resolver"),
        ("spamhaus-zen", ["127.255.255.255"], "error", "rate_limit"),
        ("spamhaus-zen", ["127.255.255.250"], "error", "refused"),
        ("barracuda", ["127.0.0.2"], "listed", ["spam_source"]),
        ("barracuda", ["127.255.255.254"], "error", "public_resolver"),  # of any list
        ("spamcop", ["127.0.0.1"], "error", "not_the_list"),
        ("spamcop", ["203.0.113.5"], "error", "not_the_list"),  # a search page answers
        ("spamcop", [], "clear", ""),
        ("spamcop", AnswerStatus.TIMEOUT, "timeout", ""),
        ("spamcop", AnswerStatus.SERVFAIL, "error", "servfail"),
        ("spamcop", AnswerStatus.REFUSED, "error", "refused"),
    ],
)
def test_addresses(list_id: str, answer: Row, state: str, detail: Any) -> None:
    list_ = blocklists.blocklist(list_id)
    got = run(dnsbl.check("192.0.2.99", list_), zone(list_, REVERSED, answer, "why\x00 not"))
    assert got.state == state
    if got.state is State.LISTED:
        assert sorted(got.meanings) == sorted(detail)
        assert got.evidence == "why  not"
    else:
        assert (got.reason, got.codes if got.reason == "" else ()) == (detail, ())
        assert got.evidence == ""


@pytest.mark.parametrize(
    ("list_id", "answer", "state", "detail"),
    [
        ("spamhaus-dbl", ["127.0.1.2"], "listed", ["spam_domain"]),
        ("spamhaus-dbl", ["127.0.1.104"], "listed", ["abused_phishing"]),
        ("spamhaus-dbl", ["127.0.1.255"], "error", "ip_query"),
        ("surbl", ["127.0.0.80"], "listed", ["malware", "spam_domain"]),
        ("surbl", ["127.0.0.8"], "listed", ["phishing"]),
        ("uribl", ["127.0.0.2"], "listed", ["uribl_black"]),
        ("uribl", ["127.0.0.1"], "error", "refused"),
    ],
)
def test_domains(list_id: str, answer: Row, state: str, detail: Any) -> None:
    list_ = blocklists.blocklist(list_id)
    got = run(dnsbl.check("bad.example", list_), zone(list_, "bad.example", answer))
    assert (got.state, list(got.meanings) if got.meanings else got.reason) == (state, detail)


def test_findings() -> None:
    listed = run(dnsbl.check("192.0.2.99", ZEN), zone(ZEN, REVERSED, ["127.0.0.2"], "see there"))
    finding = listed.finding
    assert (finding.id, finding.status, finding.cause) == (
        "dnsbl.listed",
        Status.FAIL,
        "sender.reputation",
    )
    assert finding.params["evidence"] == "see there"
    assert finding.params["removal"] == "https://check.spamhaus.org/"
    for answer, status in (
        ([], Status.OK),
        (["127.255.255.254"], Status.UNKNOWN),
        (AnswerStatus.TIMEOUT, Status.UNKNOWN),
    ):
        got = run(dnsbl.check("192.0.2.99", ZEN), zone(ZEN, REVERSED, answer)).finding
        assert got.status is status
        assert set(got.params) == set(dnsbl.FINDING_IDS[got.id])
    assert set(finding.params) == set(dnsbl.FINDING_IDS[finding.id])


@pytest.mark.parametrize(
    ("test", "state", "reason"),
    [
        (["127.0.0.2"], "clear", ""),
        ([], "error", "unproven"),
        (["127.255.255.254"], "error", "public_resolver"),
        (AnswerStatus.TIMEOUT, "timeout", ""),
    ],
)
def test_clear_is_proven_by_the_test_entry(test: Row, state: str, reason: str) -> None:
    got = run(dnsbl.check("192.0.2.99", PLAIN, prove=True), zone(PLAIN, "2.0.0.127", test))
    assert (got.state, got.reason) == (state, reason)


@pytest.mark.parametrize(
    ("list_", "always", "never", "pulse"),
    [
        (PLAIN, ["127.0.0.2"], [], "works"),
        (PLAIN, [], [], "empty"),
        (PLAIN, ["127.0.0.2"], ["127.0.0.2"], "lists_all"),
        (PLAIN, ["203.0.113.5"], ["203.0.113.5"], "error"),
        (PLAIN, ["127.255.255.255"], [], "error"),
        (PLAIN, AnswerStatus.TIMEOUT, [], "timeout"),
        (DOMAINS, ["127.0.0.2"], [], "works"),
        (DOMAINS, ["127.0.0.2"], ["127.0.0.3"], "lists_all"),
    ],
)
def test_health(list_: Blocklist, always: Row, never: Row, pulse: str) -> None:
    test, clear = ("2.0.0.127", "1.0.0.127") if list_.kind is Kind.IP else ("test", "invalid")
    rows: dict[str, Row] = {
        f"{test}.{list_.zone} A": always,
        f"{clear}.{list_.zone} A": never,
    }
    got = run(dnsbl.health(list_), Zone(rows))
    assert got.pulse == pulse
    assert set(got.finding.params) == set(dnsbl.FINDING_IDS[got.finding.id])
    assert (got.finding.status is Status.OK) is (pulse == "works")


def test_the_lists_that_are_shipped() -> None:
    lists = blocklists.blocklists()
    assert len(lists) >= 12
    for field in ("id", "name", "zone"):
        assert len({getattr(each, field) for each in lists}) == len(lists)
    for each in lists:
        assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]+", each.zone)
        assert each.removal.startswith("https://")
        assert each.source.startswith("https://")
        date.fromisoformat(each.date)
        for code in {**each.codes, **each.errors}:
            pattern = r"\d{1,3}" if each.mask and code in each.codes else r"127(\.\d{1,3}){3}"
            assert re.fullmatch(pattern, code), (each.id, code)
        assert not any(code.startswith("127.255.255.") for code in each.codes)
    assert blocklists.blocklist("barracuda").registration
    assert not ZEN.public_resolvers
    assert {each.id for each in blocklists.of_kind(Kind.DOMAIN)} >= {"spamhaus-dbl", "surbl"}


def test_a_list_of_one_s_own() -> None:
    table = {
        "name": "Own",
        "zone": "own.test",
        "kind": "ip",
        "removal": "https://own.test/",
        "source": "https://own.test/",
        "date": "2026-01-01",
    }
    (made,) = blocklists.read({"own": table})
    assert (
        run(dnsbl.check("192.0.2.99", made), zone(made, REVERSED, ["127.0.0.2"])).state == "listed"
    )
    with pytest.raises(ValueError, match="zone"):
        blocklists.read({"own": {k: v for k, v in table.items() if k != "zone"}})
    with pytest.raises(ValueError, match="typo"):
        blocklists.read({"own": {**table, "typo": 1}})
    with pytest.raises(KeyError):
        blocklists.blocklist("nowhere")
