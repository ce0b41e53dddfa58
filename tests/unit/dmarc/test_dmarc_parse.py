"""Records: what is one, what a mistake costs, and what can be written."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol import dmarc
from posthouse.protocol.dmarc import Action, Mode, Policy, Psd


@pytest.mark.parametrize(
    "text",
    [
        "v=DMARC1",
        "v=DMARC1;",
        "v = DMARC1 ; p=none",
        "V=DMARC1;p=none",
        "v=DMARC1;;;",
        "v=DMARC1; nonsense",
    ],
)
def test_what_is_a_record(text: str) -> None:
    assert dmarc.is_record(text)
    assert dmarc.parse(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " v=DMARC1; p=none",
        "v=dmarc1; p=none",
        "v=DMARC1 p=none",
        "v=DMARC12",
        "p=none; v=DMARC1",
        "v=spf1 -all",
        "v=DMARC1,p=none",
    ],
)
def test_what_is_none(text: str) -> None:
    assert not dmarc.is_record(text)
    with pytest.raises(dmarc.RecordError) as caught:
        dmarc.parse(text)
    assert caught.value.reason == "version"


def test_all_tags() -> None:
    record = dmarc.parse(
        "v=DMARC1; p=Reject; sp=quarantine; np=none; adkim=s; aspf=S; psd=n; t=y; fo=d:s; "
        "rua=mailto:a@example.com , mailto:b%2Bc@example.net;ruf=mailto:f@example.com"
    )
    policy = record.policy
    assert record.problems == ()
    assert (policy.p, policy.sp, policy.np) == (Action.REJECT, Action.QUARANTINE, Action.NONE)
    assert (policy.adkim, policy.aspf) == (Mode.STRICT, Mode.STRICT)
    assert (policy.psd, policy.testing, policy.fo) == (Psd.NO, True, ("d", "s"))
    assert [uri.address for uri in policy.rua] == ["a@example.com", "b+c@example.net"]
    assert [uri.host for uri in policy.rua] == ["example.com", "example.net"]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        # text after v=DMARC1;, and the problems with the positions they are at
        ("p=none;; sp=none", [("empty", 16)]),
        ("p=none; rua", [("no_tag", 17)]),
        ("p=none; a1=x", [("no_tag", 17)]),
        ("p=none; aspf=", [("no_value", 17)]),
        ("p=none; aspf=x", [("value", 22)]),
        ("p=none; t=maybe", [("value", 19)]),
        ("p=none; fo=1:d:s", [("value", 20)]),
        ("p=none; p=reject", [("duplicate", 19)]),
        ("p=none; v=DMARC1", [("duplicate", 19)]),
        ("p=none; zz=1", [("unknown", 20)]),
        ("p=none; pct=50; ri=1; rf=afrf", [("removed", 21), ("removed", 28), ("removed", 34)]),
        ("p=none; rua=a@example.com", [("uri", 21)]),
        ("p=none; rua=mailto:a@b.test!10m", [("uri_size", 36)]),
        ("p=none; rua=mailto:a@b.test!x", [("uri", 36)]),
        ("p=none; rua=https://b.test/x", []),
        ("p=none; rua=mailto:a@b.test,", [("uri", 37)]),
        ("p=none; rua=mailto:a@localhost", [("uri", 21)]),
        ("p=none; sp=r\u00e9ject", [("character", 21)]),
    ],
)
def test_problems(text: str, problems: list[tuple[str, int]]) -> None:
    record = dmarc.parse("v=DMARC1;" + text)
    assert [(one.id, one.position) for one in record.problems] == problems


def test_a_mistake_leaves_the_default_and_the_rest_stands() -> None:
    record = dmarc.parse("v=DMARC1; p=quarantine; adkim=x; fo=1:d; aspf=s; rua=mailto:a@b.test")
    policy = record.policy
    assert (policy.p, policy.adkim, policy.aspf) == (Action.QUARANTINE, Mode.RELAXED, Mode.STRICT)
    assert policy.fo == ("0",)
    assert policy.rua[0].address == "a@b.test"


@pytest.mark.parametrize(
    ("text", "effective"),
    [
        ("p=reject", Action.REJECT),
        ("p=bogus", None),
        ("p=", None),
        ("", None),
        ("p=reject; sp=bogus", None),
        ("p=reject; np=", None),
        ("p=bogus; rua=mailto:a@b.test", Action.NONE),
        ("rua=mailto:a@b.test", Action.NONE),
        ("p=reject; np=bogus; rua=mailto:a@b.test", Action.NONE),
        ("p=reject; sp=bogus; rua=nonsense", None),
    ],
)
def test_without_a_valid_policy_reports_decide(text: str, effective: Action | None) -> None:
    """RFC 9989 section 4.10.1."""
    policy = dmarc.parse("v=DMARC1;" + text).effective
    assert (policy.p if policy else None) == effective


def test_the_first_of_two_counts() -> None:
    assert dmarc.parse("v=DMARC1; p=none; p=reject").policy.p is Action.NONE


def test_a_record_of_any_length_takes_linear_time_and_little_room() -> None:
    record = dmarc.parse("v=DMARC1;" + "a=b;" * 16_000)
    assert len(record.problems) <= 200
    with pytest.raises(dmarc.RecordError) as caught:
        dmarc.parse("v=DMARC1;" + " " * 70_000)
    assert caught.value.reason == "too_long"


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Policy(), "v=DMARC1; p=none"),
        (Policy(Action.REJECT, np=Action.NONE), "v=DMARC1; p=reject; np=none"),
        (
            Policy(Action.QUARANTINE, adkim=Mode.STRICT, testing=True, psd=Psd.NO),
            "v=DMARC1; p=quarantine; adkim=s; psd=n; t=y",
        ),
        (Policy(fo=("1",)), "v=DMARC1; p=none"),  # fo without ruf says nothing
    ],
)
def test_build(policy: Policy, text: str) -> None:
    assert dmarc.build(policy) == text


def test_what_can_not_be_built() -> None:
    with pytest.raises(ValueError, match="needs p"):
        dmarc.build(Policy(None))
    with pytest.raises(ValueError, match="no address"):
        dmarc.mailto("nobody")


def test_an_address_with_a_comma_or_an_exclamation_mark_is_encoded() -> None:
    uri = dmarc.mailto("o,dd!one;x@example.com")
    assert uri.uri == "mailto:o%2Cdd%21one%3Bx@example.com"
    assert uri.address == "o,dd!one;x@example.com"


locals_ = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
uris = st.builds(lambda local: dmarc.mailto(f"{local}@example.com"), locals_)
actions = st.sampled_from(Action)
policies = st.builds(
    Policy,
    actions,
    st.none() | actions,
    st.none() | actions,
    st.sampled_from(Mode),
    st.sampled_from(Mode),
    st.sampled_from(Psd),
    st.booleans(),
    st.sampled_from([("0",), ("1",), ("d",), ("s",), ("d", "s"), ("s", "d")]),
    st.lists(uris, max_size=3).map(tuple),
    st.lists(uris, max_size=3).map(tuple),
)


@given(policies)
def test_what_is_built_is_read_back(policy: Policy) -> None:
    record = dmarc.parse(dmarc.build(policy))
    assert record.problems == ()
    expected = policy if policy.ruf else replace(policy, fo=("0",))
    assert record.policy == expected


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    record = dmarc.parse("v=DMARC1;" + text)
    dmarc.lint(record)
    for problem in record.problems:
        assert 0 <= problem.position <= len(record.text) + 1
    try:
        dmarc.parse(text)
    except dmarc.RecordError:
        assert not dmarc.is_record(text)
