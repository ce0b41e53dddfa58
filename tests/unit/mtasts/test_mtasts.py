"""MTA-STS: record, policy, fetch, decision, audit. RFC 8461."""

# ruff: noqa: PT017  a test looks at an error where it catches it

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.flow import Status
from posthouse.protocol import mtasts
from posthouse.protocol.dns import Answer, AnswerStatus, run
from posthouse.protocol.mtasts import Mode, Policy, Tls, Verdict

GOOD = b"""version: STSv1
mode: enforce
mx: mx1.example.com
mx: *.example.net
max_age: 604800
""".replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ("v=STSv1; id=20160831085700Z;", "20160831085700Z"),
        ("v=STSv1;id=1", "1"),
        ("v=STSv1; id=" + "a" * 32, "a" * 32),
        ("v=STSv1; x=y; id=1 ;", "1"),
        ("v=STSv1;\tid=1\t;\t1a.b-c_d=!~/", "1"),
    ],
)
def test_records(text: str, id_: str) -> None:
    assert mtasts.parse_record(text).id == id_


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "version"),
        ("v=STSv2; id=1", "version"),
        ("v=stsv1; id=1", "version"),
        (" v=STSv1; id=1", "version"),
        ("v=STSv1", "version"),
        ("v=STSv1;", "empty_field"),
        ("v=STSv1;;id=1", "empty_field"),
        ("v=STSv1; id=1;;", "empty_field"),
        ("v=STSv1; id", "no_equals"),
        ("v=STSv1; id=", "bad_id"),
        ("v=STSv1; id= 1", "bad_id"),
        ("v=STSv1; id =1", "bad_name"),
        ("v=STSv1; id=2026-01-01", "bad_id"),
        ("v=STSv1; id=" + "a" * 33, "bad_id"),
        ("v=STSv1; ID=1", "no_id"),
        ("v=STSv1; id=1; id=2", "duplicate_id"),
        ("v=STSv1; id=1; x=a b", "bad_value"),
        ("v=STSv1; id=1; x=é", "bad_value"),
        ("v=STSv1; id=1; " + "a" * 33 + "=b", "bad_name"),
        ("v=STSv1; " + "x=y;" * 2_000, "too_long"),
    ],
)
def test_broken_records(text: str, reason: str) -> None:
    with pytest.raises(mtasts.RecordError) as caught:
        mtasts.parse_record(text)
    assert caught.value.reason == reason
    assert 0 <= caught.value.position <= max(len(text), 1)


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (["v=STSv1; id=1"], "one"),
        (["other", "v=STSv1; id=1"], "one"),
        (["v=STSv1; id=1", "v=STSv1; id=2"], "several"),
        (["v=STSv1; id=1", "v=STSv1"], "one"),  # section 3.1: that other one does not count
        (["v=STSv1; id=1", "v=STSv1; id=-"], "several"),
        (["v=STSv1; nothing=1"], "invalid"),
        (["v=STSV1; id=1"], "invalid"),  # passed over by senders, shown to its owner
        (["v=spf1 -all"], "none"),
        ([], "none"),
    ],
)
def test_discovery(records: list[str], found: str) -> None:
    answer = Answer("", "TXT", AnswerStatus.OK, tuple(records), canonical="sts.host.example")
    asked: list[str] = []
    got = run(mtasts.discover("Bücher.example"), lambda ask: (asked.append(ask.name), answer)[1])
    assert got.found == found
    assert asked == ["_mta-sts.xn--bcher-kva.example"]
    assert got.alias == "sts.host.example"  # a CNAME is fine


@pytest.mark.parametrize("status", [AnswerStatus.TIMEOUT, AnswerStatus.SERVFAIL])
def test_silence_is_not_none(status: AnswerStatus) -> None:
    got = run(mtasts.discover("example.com"), lambda ask: Answer("", "TXT", status))
    assert got.found is mtasts.Found.FAILED
    assert not mtasts.should_fetch("1", got)


def test_a_policy() -> None:
    policy = mtasts.parse(GOOD)
    assert policy == Policy(Mode.ENFORCE, ("mx1.example.com", "*.example.net"), 604_800)
    assert mtasts.parse(GOOD.replace(b"\r\n", b"\n").rstrip(b"\n")) == policy


LINES = "version: STSv1", "mode: testing", "mx: a.example", "max_age: 86400"


def body(*changed: str, without: str = "") -> bytes:
    lines = [line for line in LINES if not without or not line.startswith(without)]
    return "\n".join([*lines, *changed]).encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            body("x-new: what ever", "other:1"),
            {"extensions": (("x-new", "what ever"), ("other", "1"))},
        ),
        (body("mode: enforce", "max_age: 1"), {"repeated": ("mode", "max_age"), "max_age": 86_400}),
        (body("mx: A.EXAMPLE  \t"), {"mx": ("a.example", "a.example")}),
        (body(), {"mode": Mode.TESTING}),
        (b"mode: none\nversion:STSv1\nmax_age:\t0\n", {"mode": Mode.NONE, "mx": (), "max_age": 0}),
        (body("max_age: 31557601"), {"repeated": ("max_age",)}),
        (body("mx: xn--bcher-kva.example"), {"mx": ("a.example", "xn--bcher-kva.example")}),
        (body("note: 你好"), {"extensions": (("note", "你好"),)}),
    ],
)
def test_lenient_where_the_rfc_is(data: bytes, expected: dict[str, Any]) -> None:
    policy = mtasts.parse(data)
    assert {name: getattr(policy, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("data", "reason", "line"),
    [
        (b"", "empty", 0),
        (b"\r\n\r\n", "empty", 0),
        (b"x" * 65_537, "too_big", 0),
        (b"version: STSv1\n\xff", "not_utf8", 2),
        (body("mode"), "no_colon", 5),
        (body(" mode: x"), "bad_key", 5),
        (body("mode : x"), "bad_key", 5),
        (body("x:"), "bad_value", 5),
        (body("x: a\rb"), "bad_value", 5),
        (body("version: STSv2", without="version"), "version", 4),
        (body("mode: Enforce", without="mode"), "mode", 4),
        (body("mx: a_b.example"), "bad_mx", 5),
        (body("mx: *.*.example"), "bad_mx", 5),
        (body("mx: a.*.example"), "bad_mx", 5),
        (body("mx: bücher.example"), "bad_mx", 5),
        (body("mx: a.example."), "bad_mx", 5),
        (body("mx: a.example, b.example"), "bad_mx", 5),
        (body("max_age: -1", without="max_age"), "max_age", 4),
        (body("max_age: 1d", without="max_age"), "max_age", 4),
        (body("max_age: 31557601", without="max_age"), "max_age_range", 4),
        (body("max_age: 99999999999", without="max_age"), "max_age", 4),
        (body(without="version"), "no_version", 0),
        (body(without="mode"), "no_mode", 0),
        (body(without="mx"), "no_mx", 0),
        (body(without="max_age"), "no_max_age", 0),
        (body(*["mx: b.example"] * 500), "too_many", 504),
    ],
)
def test_broken_policies(data: bytes, reason: str, line: int) -> None:
    with pytest.raises(mtasts.PolicyError) as caught:
        mtasts.parse(data)
    assert (caught.value.reason, caught.value.line) == (reason, line)


@given(
    st.one_of(
        st.binary(max_size=300), st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace"))
    )
)
def test_nothing_else_escapes(data: bytes) -> None:
    try:
        policy = mtasts.parse(data)
    except mtasts.PolicyError:
        return
    assert 0 <= policy.max_age <= mtasts.MAX_AGE


@given(st.text(max_size=60).map(lambda rest: f"v=STSv1;{rest}"))
def test_nothing_else_escapes_from_records(text: str) -> None:
    try:
        assert 1 <= len(mtasts.parse_record(text).id) <= 32
    except mtasts.RecordError as error:
        assert 0 <= error.position <= len(text)


@pytest.mark.parametrize(
    ("pattern", "host", "fits"),
    [
        ("mx.example.com", "MX.Example.COM.", True),
        ("mx.example.com", "a.mx.example.com", False),
        ("*.example.com", "mx.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.mx.example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.com", "example.com", True),
        ("*.example.com", "mxexample.com", False),
    ],
)
def test_patterns(pattern: str, host: str, fits: bool) -> None:
    assert mtasts.matches(pattern, host) is fits


FETCH: dict[str, Any] = {
    "status": 200,
    "content_type": "text/plain; charset=utf-8",
    "redirected": False,
    "tls_trusted": True,
    "body": GOOD,
}


@pytest.mark.parametrize(
    ("changed", "problem", "report"),
    [
        ({}, None, ""),
        ({"content_type": "TEXT/PLAIN"}, None, ""),
        ({"tls_trusted": False}, "certificate", "sts-webpki-invalid"),
        ({"status": 0, "tls_trusted": False}, "certificate", "sts-webpki-invalid"),
        ({"status": 0}, "unreachable", "sts-policy-fetch-error"),
        ({"redirected": True}, "redirect", "sts-policy-fetch-error"),
        ({"status": 301}, "redirect", "sts-policy-fetch-error"),
        ({"status": 404}, "status", "sts-policy-fetch-error"),
        ({"status": 206}, "status", "sts-policy-fetch-error"),
        ({"content_type": "text/html"}, "media_type", "sts-policy-invalid"),
        ({"content_type": ""}, "media_type", "sts-policy-invalid"),
        ({"body": b"x" * 70_000}, "too_big", "sts-policy-invalid"),
        ({"body": b"<html>"}, "syntax", "sts-policy-invalid"),
    ],
)
def test_fetches(changed: dict[str, Any], problem: str | None, report: str) -> None:
    got = mtasts.judge_fetch(**{**FETCH, **changed})
    assert (got.problem, got.report) == (problem, report)
    assert (got.policy is None) is (problem is not None)


def policy(mode: str, *mx: str, max_age: int = 604_800) -> Policy:
    return Policy(Mode(mode), mx or ("*.example.com",), max_age)


@pytest.mark.parametrize(
    ("mode", "host", "tls", "verdict", "reason"),
    [
        ("enforce", "mx.example.com", "trusted", "allowed", "ok"),
        ("enforce", "mx.evil.example", "trusted", "refused", "mx_mismatch"),
        ("enforce", "mx.example.com", "not_offered", "refused", "not_offered"),
        ("enforce", "mx.example.com", "expired", "refused", "expired"),
        ("testing", "mx.evil.example", "trusted", "report", "mx_mismatch"),
        ("testing", "mx.example.com", "wrong_name", "report", "wrong_name"),
        ("testing", "mx.example.com", "trusted", "allowed", "ok"),
        ("none", "mx.evil.example", "untrusted", "allowed", "mode_none"),
        (None, "mx.evil.example", "failed", "allowed", "no_policy"),
    ],
)
def test_decisions(mode: str | None, host: str, tls: str, verdict: str, reason: str) -> None:
    got = mtasts.decide(policy(mode) if mode else None, host, Tls(tls))
    assert (got.verdict, got.reason) == (Verdict(verdict), reason)
    assert bool(got.report) is (verdict != "allowed")


def record(*texts: str) -> mtasts.Discovery:
    answer = Answer("", "TXT", AnswerStatus.OK, texts)
    return run(mtasts.discover("example.com"), lambda ask: answer)


def test_a_new_id_is_fetched() -> None:
    assert mtasts.should_fetch(None, record("v=STSv1; id=1"))
    assert mtasts.should_fetch("1", record("v=STSv1; id=2"))
    assert not mtasts.should_fetch("1", record("v=STSv1; id=1"))
    assert not mtasts.should_fetch("1", record())


ONE = record("v=STSv1; id=1")
NOBODY = mtasts.Fetched(None, mtasts.Problem.STATUS, 404)


@pytest.mark.parametrize(
    ("found", "fetched", "mx", "ids"),
    [
        (ONE, policy("enforce"), ["mx.example.com"], ["ok"]),
        (ONE, policy("testing"), ["mx.example.com"], ["testing"]),
        (ONE, policy("none"), ["other.example"], ["off"]),
        (ONE, policy("enforce"), ["mx.example.com", "other.example"], ["mx_uncovered"]),
        (ONE, policy("enforce", "a.example", "b.example"), ["a.example"], ["mx_unused", "ok"]),
        (ONE, policy("enforce", max_age=86_400), ["mx.example.com"], ["max_age_short"]),
        (ONE, NOBODY, ["mx.example.com"], ["record_without_policy"]),
        (ONE, mtasts.judge_fetch(**{**FETCH, "body": b"mode"}), [], ["policy_syntax"]),
        (ONE, None, ["mx.example.com"], []),
        (record(), NOBODY, ["mx.example.com"], ["none"]),
        (record(), policy("enforce"), ["mx.example.com"], ["policy_without_record"]),
        (record("v=STSv1; id=1", "v=STSv1; id=2"), NOBODY, [], ["several"]),
        (record("v=STSv1; id=1;;"), NOBODY, [], ["record_syntax"]),
    ],
)
def test_audit(found: Any, fetched: Any, mx: list[str], ids: list[str]) -> None:
    got = mtasts.Fetched(fetched) if isinstance(fetched, Policy) else fetched
    made = mtasts.audit(found, got, mx)
    assert [finding.id for finding in made] == [f"mtasts.{id_}" for id_ in ids]
    for finding in made:
        assert set(finding.params) == set(mtasts.FINDING_IDS[finding.id])


def test_a_policy_that_changed_under_the_same_id() -> None:
    old, new = policy("enforce"), mtasts.Fetched(policy("enforce", "*.example.com", "b.example"))
    (kept,) = (f for f in mtasts.audit(ONE, new, before=("1", old)) if f.id == "mtasts.id_kept")
    assert kept.status is Status.FAIL
    made = mtasts.audit(ONE, new, before=("0", old))
    assert [f.id for f in made] == ["mtasts.id_changed", "mtasts.ok"]
    assert [f.id for f in mtasts.audit(ONE, new, before=("1", new.policy))] == ["mtasts.ok"]  # type: ignore[arg-type]
