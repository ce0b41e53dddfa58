"""The rules as data: readable, about causes that exist, and filed as the index says."""

from __future__ import annotations

import itertools
import tomllib
from typing import Any

import pytest

from posthouse import explain
from posthouse.explain import build, engine, rules, store, words
from posthouse.explain.catalogue import entries
from posthouse.flow import Failure, Stage

IDS = {cause.id for cause in explain.causes()}


def test_the_index_is_made_of_the_rules_as_they_are() -> None:
    assert store.INDEX.read_text("utf-8") == build.text(), "python -m posthouse.explain.build"


def test_rules_and_codes_speak_of_causes_that_exist() -> None:
    index = build.compile_rules()
    assert {rule.cause for rule in index.rules} == IDS
    assert {cause for weights in index.codes.values() for cause, _ in weights} <= IDS
    assert {row["cause"] for name in ("failures", "context") for row in store.rows(name)} <= IDS


def test_conditions_name_stages_and_failures_that_exist() -> None:
    stages = {stage.value for stage in Stage}
    index = build.compile_rules()
    assert {rule.stage for rule in index.rules} <= {None, *stages}
    assert {name for _, kind, name in index.signs.values() if kind == "stage"} <= stages
    assert {code.split()[1] for code in index.codes if " " in code} <= stages
    whens = [row["when"] for name in ("failures", "context") for row in store.rows(name)]
    assert {when["stage"] for when in whens if "stage" in when} <= stages
    assert {when["failure"] for when in whens if "failure" in when} == {f.value for f in Failure}


def test_providers_named_are_the_directory_s() -> None:
    from posthouse.directory.read import FOLDER

    known = {path.stem for path in FOLDER.glob("*.toml")}
    # These speak as recipients' filters; nobody sends through them, so the directory has no file.
    filters = {"mimecast", "proofpoint", "messagelabs"}
    signs = build.compile_rules().signs.values()
    named = {name for _, kind, name in signs if kind == "provider"}
    assert named - filters <= known


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_variant_that_is_named_has_words(lang: str) -> None:
    texts = entries(lang, "causes")
    named = {(r.cause, r.variant) for r in build.compile_rules().rules if r.variant}
    for table in ("failures", "context"):
        named |= {(row["cause"], row["variant"]) for row in store.rows(table) if "variant" in row}
    for cause, variant in sorted(named):
        for part in ("title", "remedy"):
            assert f"{cause}.variant.{variant}.{part}" in texts


def numbers() -> Any:
    seen: dict[str, int] = {}
    return lambda alternatives, _where: seen.setdefault(alternatives, len(seen))


def test_a_rule_is_read() -> None:
    rule = rules.parse_rule("a.b/c", "9.5 code=55 stage=rcpt variant=v : x | y & z ! n", numbers())
    assert rule.name == "a.b/c"
    assert rule.cause == "a.b"
    assert rule.weight == 9.5
    assert rule.need == 0b11
    assert rule.veto == 0b100
    assert (rule.code, rule.stage, rule.provider, rule.variant) == (" 55", "rcpt", None, "v")
    assert rule.bound
    assert not rules.parse_rule("a.b/c", "9 variant=v : x", numbers()).bound


@pytest.mark.parametrize(
    "text", ["9 x", "9 : ", "9 when=now : x", "nine : x", "9 code=1 maybe=2 : x", "x : y"]
)
def test_a_bad_rule_is_named(text: str) -> None:
    with pytest.raises(rules.RuleError, match=r"a\.b/c"):
        rules.parse_rule("a.b/c", text, numbers())


@pytest.mark.parametrize(
    ("terms", "rule"),
    [({}, "9 : @nobody"), ({}, "9 : x | "), ({}, "9 : ab*"), ({}, "9 : re*ject"), ({}, "9 : ..")],
)
def test_bad_terms_are_refused(terms: dict[str, str], rule: str) -> None:
    with pytest.raises(rules.RuleError):
        rules.build(terms, {}, {"a.b": {"c": rule}}, {})


def test_a_range_of_codes_gives_way_to_single_ones() -> None:
    table = {"vendor": {"5.7.606-608": "sender.reputation 9", "5.7.607": "rcpt.unknown 1"}}
    codes = rules.build({}, {}, {}, table).codes
    assert sorted(codes) == ["5.7.606", "5.7.607", "5.7.608"]
    assert codes["5.7.607"] == [("rcpt.unknown", 1.0)]


def test_a_rule_is_tried_where_its_rarest_group_occurs() -> None:
    causes = {"a.b": {"c": "9 : often & seldom"}}
    said = [words.split("often"), words.split("often seldom"), words.split("often")]
    index = rules.build({}, {}, causes, {}, said)
    often, seldom = index.opened["often"], index.opened["seldom"]
    assert often is not None
    assert often[0][1] == ()
    assert seldom is not None
    assert seldom[0][1] == (0,)


@pytest.mark.parametrize(
    ("rule", "line", "fires"),
    [
        ("9 : not there", "it is not there", True),
        ("9 : not there", "it is not. There", True),
        ("9 : not there", "not it, there", False),
        ("9 : not there yet", "not there yet", True),
        ("9 : not there yet", "not there", False),
        ("9 : not & there", "there, not here", True),
        ("9 : not | there", "only here", False),
        ("9 : reject*", "it was rejected", True),
        ("9 : reject*", "it was rejec ted", False),
        ("9 : was reject*", "it was rejected", True),
        ("9 : was reject*", "rejected it was", False),
        ("9 : users", "user", False),
        ("9 : user", "users", False),
        ("9 : user*", "users", True),
        ("9 : 本ip", "本IP被拒绝", True),
        ("9 : 本 & mail", "本人 mail", True),
    ],
)
def test_a_rule_fires_where_its_words_stand(rule: str, line: str, fires: bool) -> None:
    index = rules.build({}, {}, {"a.b": {"c": rule}}, {})
    found, started, _ = engine._listen(index, words.split(line))
    need = index.rules[0].need
    assert (bool(started) and found & need == need) is fires


def test_a_word_said_often_is_heard_once() -> None:
    index = rules.build({}, {}, {"a.b": {"c": "9 : not there"}}, {})
    _, started, heard = engine._listen(index, words.split("not here " * 200 + "not there"))
    assert started == {0}
    assert len(heard) == 1


def test_the_words_kept_are_bounded() -> None:
    index = rules.build({}, {}, {"a.b": {"c": "9 : word"}}, {})
    letters = "abcdefghijklmnopqrstuvwxyz"
    for number in range(rules.VOCABULARY + 10):
        assert index.opened[f"x{number:05}"] is None  # ids are not kept at all
    assert len(index.opened) == 0
    assert index.opened["550"] is None  # codes are
    assert len(index.opened) == 1
    for a, b, c, d in itertools.islice(itertools.product(letters, repeat=4), rules.VOCABULARY + 10):
        assert index.opened[f"z{a}{b}{c}{d}"] is None
    assert 0 < len(index.opened) <= rules.VOCABULARY
    assert index.opened["word"] is not None


def test_every_registered_enhanced_code_says_something() -> None:
    """RFC 3463 and the registry of RFC 5248, as of 2024-12."""
    last = {1: 10, 2: 4, 3: 6, 4: 7, 5: 6, 6: 10, 7: 30}
    # X.1.5 says the address is good; X.7.28 and later are in use with more than one meaning.
    missing = [
        f"x.{subject}.{detail}"
        for subject, details in last.items()
        for detail in range(details + 1)
        if f"x.{subject}.{detail}" not in store.load().codes
    ]
    assert missing == []


def test_bad_weights_of_a_code_are_refused() -> None:
    with pytest.raises(rules.RuleError, match="535"):
        rules.build({}, {}, {}, {"basic": {"535": "auth.credentials much"}})


@pytest.mark.parametrize(
    ("term", "line", "found"),
    [
        ("over quota", "Mailbox OVER-QUOTA!", True),
        ("over quota", "overquota", False),
        ("reject*", "it was rejected", True),
        ("reject", "it was rejected", False),
        ("doesn't exist", "doesn't exist", True),
        ("empfanger", "Empfänger", True),
        ("邮箱已满", "对方邮箱 已满", True),
        ("邮箱已满", "邮箱未满", False),
        ("smtp服务", "您的SMTP 服务未开启", True),
        ("本ip", "本IP被拒绝", True),
        ("сертификат*", "Сертификата нет", True),
        ("메일", "메일 서버", True),
    ],
)
def test_a_term_is_found_where_it_is(term: str, line: str, found: bool) -> None:
    form, keys = rules.search_form(term)
    said = words.split(line)
    assert (form in said.text) is found
    if found:
        assert set(keys) <= set(said.keys)


def test_each_rule_can_fire() -> None:
    """A rule whose own terms set off its vetoes would be dead."""
    index = build.compile_rules()
    for rule in index.rules:
        assert not rule.need & rule.veto, rule.name


def test_rule_files_hold_nothing_twice() -> None:
    for family in build.FAMILIES:
        tomllib.loads((store.RULES / f"{family}.toml").read_text("utf-8"))
