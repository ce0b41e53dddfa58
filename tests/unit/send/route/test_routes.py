"""Which rule decides: tables of rules and letters, and the long way beside the short one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget import soon
from posthouse.letter import Letter, Recipient
from posthouse.send.hop import Action, Choice, Hop
from posthouse.send.route import Condition, Facts, Routes, facts_of, read_routes

HOPS = {name: Hop(name) for name in ("ses", "office", "direct", "spare")}
TABLE = {
    "route": [
        {"name": "bounces", "sender": "<>", "hop": "direct"},
        {"name": "own", "recipient": ["@corp.example", ".corp.example"], "hop": "office"},
        {"name": "spool", "user": ["app1", "app2"], "larger": "10M", "action": "hold"},
        {"name": "bulk", "header": {"X-Stream": ["bulk*", "news"]}, "hop": "ses"},
        {"name": "unsub", "header": {"List-Unsubscribe": "*", "Precedence": "bulk"}, "hop": "ses"},
        {"sender": ["*@shop.example"], "recipient": "@qq.com", "hop": "ses"},
        {"name": "trap", "recipient": "trap@x.example", "smaller": 1000, "action": "discard"},
        {"hop": "direct"},
    ]
}
BULK = {"x-stream": ["Bulk-9"]}
CASES = [
    # sender, user, size, header, recipient, hop or action, rule
    ("a@d.example", "", 10, {}, "b@e.example", "direct", ""),
    ("", "", 10, BULK, "b@corp.example", "direct", "bounces"),
    ("a@d.example", "", 10, BULK, "b@CORP.example", "office", "own"),
    ("a@d.example", "", 10, {}, "b@hr.corp.example", "office", "own"),
    ("a@d.example", "app1", (10 << 20) + 1, {}, "b@e.example", "hold", "spool"),
    ("a@d.example", "app1", 10 << 20, {}, "b@e.example", "direct", ""),
    ("a@d.example", "App1", 20 << 20, {}, "b@e.example", "direct", ""),
    ("a@d.example", "", 20 << 20, {}, "b@e.example", "direct", ""),
    ("a@d.example", "", 10, BULK, "b@e.example", "ses", "bulk"),
    ("a@d.example", "", 10, {"x-stream": ["one", "NEWS"]}, "b@e.example", "ses", "bulk"),
    ("a@d.example", "", 10, {"x-stream": ["newsy"]}, "b@e.example", "direct", ""),
    ("a@d.example", "", 10, {"list-unsubscribe": ["<x>"]}, "b@e.example", "direct", ""),
    ("a@d.example", "", 10, {"list-unsubscribe": [""], "precedence": ["BULK"]}, "b@e.example",
     "ses", "unsub"),
    ("a@SHOP.example", "", 10, {}, "b@qq.com", "ses", "#6"),
    ("a@shop.example", "", 10, {}, "b@qq.example", "direct", ""),
    ("a@d.example", "", 10, {}, "b@qq.com", "direct", ""),
    ("a@d.example", "", 999, {}, "trap@x.example", "discard", "trap"),
    ("a@d.example", "", 1000, {}, "trap@x.example", "direct", ""),
]  # fmt: skip


@pytest.fixture(scope="module")
def routes() -> Routes:
    return read_routes(TABLE, HOPS)


@pytest.mark.parametrize(
    ("sender", "user", "size", "header", "recipient", "where", "rule"), CASES, ids=range(len(CASES))
)
def test_choices(routes, sender, user, size, header, recipient, where, rule) -> None:
    facts = Facts(sender, user, size, lambda: header)
    choice = routes.choose(facts, recipient)
    action = Action(where) if where in ("hold", "discard") else Action.DELIVER
    assert choice == Choice(action, "" if action is not Action.DELIVER else where, rule)
    assert routes.explain(facts, recipient)[-1].rule.choice == choice


def test_what_a_person_released_is_not_held_again(routes) -> None:
    big = Facts("a@d.example", "app1", 20 << 20)
    assert routes.choose(big, "b@e.example").action is Action.HOLD
    assert routes.choose(big, "b@e.example", released=True) == Choice(Action.DELIVER, "direct", "")
    only = read_routes({"route": [{"user": "u", "action": "hold"}, {"action": "hold"}]}, {})
    assert only.choose(Facts(), "b@e.example", released=True).action is Action.HOLD


def test_hops_that_no_rule_uses_are_noted(routes) -> None:
    assert routes.unused == ("spare",)


def test_a_hop_that_stands_in_is_used() -> None:
    hops = {"a": Hop("a", fallback="b"), "b": Hop("b", fallback="c"), "c": Hop("c"), "d": Hop("d")}
    assert read_routes({"route": [{"hop": "a"}]}, hops).unused == ("d",)
    assert read_routes({"route": [{"hop": "b"}]}, hops).unused == ("a", "d")


def test_each_condition_says_how_it_came_out(routes) -> None:
    facts = Facts("a@d.example", "app1", 50, lambda: {"x-stream": ["other"]})
    told = routes.explain(facts, "b@e.example")
    assert [one.rule.name for one in told] == [
        "bounces", "own", "spool", "bulk", "unsub", "#6", "trap", ""
    ]  # fmt: skip
    assert [one.holds for one in told] == [False] * 7 + [True]
    user, larger = told[2].checks
    assert (user.condition, user.holds, user.found) == (Condition.USER, True, ("app1",))
    assert (larger.condition, larger.holds, larger.found) == (Condition.LARGER, False, ("50",))
    (stream,) = told[3].checks
    assert (stream.name, stream.wanted, stream.found) == (
        "x-stream", ("bulk*", "news"), ("other",)
    )  # fmt: skip
    assert told[-1].checks == ()


def letter(content: bytes, sender: str = "a@d.example") -> Letter:
    return Letter("x", sender, (Recipient("b@e.example"),), content, 0.0, user="app1")


def test_the_header_of_a_letter_is_decoded_and_unfolded(routes) -> None:
    content = b"Subject: x\r\nX-STREAM:\r\n =?utf-8?B?YnVsay0x?=\r\n\r\nX-Stream: no\r\n"
    facts = facts_of(letter(content))
    assert (facts.sender, facts.user, facts.size) == ("a@d.example", "app1", len(content))
    assert routes.choose(facts, "b@e.example").rule == "bulk"


def test_the_body_is_no_header(routes) -> None:
    facts = facts_of(letter(b"Subject: x\r\n\r\nX-Stream: bulk\r\n"))
    assert routes.choose(facts, "b@e.example").rule == ""


def test_the_header_is_parsed_once_and_only_where_asked_for(monkeypatch) -> None:
    from posthouse.send.route import rule

    parsed = []
    real = rule.parse_headers
    monkeypatch.setattr(rule, "parse_headers", lambda raw: parsed.append(raw) or real(raw))
    routes = read_routes(TABLE, HOPS)
    facts = facts_of(letter(b"X-Stream: bulk\r\n\r\n"))
    assert routes.choose(facts, "b@corp.example").rule == "own"
    assert not parsed
    for _ in range(3):
        assert routes.choose(facts, "b@e.example").rule == "bulk"
    assert len(parsed) == 1


def test_the_work_does_not_grow_with_the_rules() -> None:
    """100,000 recipients by 1,000 rules: one by one they would need minutes."""
    rows = [{"recipient": [f"@d{n}.example", f".x{n}.example"], "sender": f"@s{n}.example",
             "hop": "a"} for n in range(999)]  # fmt: skip
    routes = read_routes({"route": [*rows, {"hop": "a"}]}, {"a": Hop("a")})
    facts = Facts("a@s998.example")
    assert routes.choose(facts, "b@y.x998.example").rule == "#999"
    with soon(8.0):
        for _ in range(100_000):
            routes.choose(facts, "b@d998.example")


PATTERNS = ["<>", "a@d.example", "@d.example", ".d.example", "@e.example", ".example"]
ADDRESSES = ["", "a@d.example", "A@D.example", "b@d.example", "b@x.d.example", "c@e.example", "odd"]
CONDITIONS = st.fixed_dictionaries(
    {"hop": st.just("a")},
    optional={
        "sender": st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3),
        "recipient": st.lists(st.sampled_from(PATTERNS[1:]), min_size=1, max_size=3),
        "user": st.lists(st.sampled_from(["u", "v"]), min_size=1, max_size=2),
        "larger": st.integers(0, 3),
        "header": st.dictionaries(
            st.sampled_from(["X", "Y"]), st.sampled_from(["a*", "*"]), min_size=1
        ),
    },
).filter(lambda row: len(row) > 1)


@given(
    st.lists(CONDITIONS, max_size=8),
    st.sampled_from(ADDRESSES),
    st.sampled_from(ADDRESSES),
    st.sampled_from(["", "u", "w"]),
    st.integers(0, 4),
    st.dictionaries(st.sampled_from(["x", "y"]), st.lists(st.sampled_from(["ab", "c"]))),
)
def test_the_short_way_and_the_long_way_agree(rows, sender, recipient, user, size, header) -> None:
    routes = read_routes({"route": [*rows, {"hop": "a"}]}, {"a": Hop("a")})
    facts = Facts(sender, user, size, lambda: header)
    told = routes.explain(facts, recipient)
    assert [one.holds for one in told] == [False] * (len(told) - 1) + [True]
    assert routes.choose(facts, recipient) == told[-1].rule.choice
