"""Requirements of receivers, comparison, propagation, JSON, words, data."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from posthouse import directory
from posthouse.explain.catalogue import entries
from posthouse.flow import Status
from posthouse.net.resolver import FixtureResolver
from posthouse.protocol.dns import Answer, AnswerStatus
from posthouse.protocol.host import HostError
from posthouse.setup.domain import (
    Audit,
    CompareError,
    Verdict,
    bulk,
    compare,
    exit_code,
    facts,
    propagation,
    words,
)
from posthouse.setup.domain.checks.common import finding
from posthouse.setup.domain.propagation import State
from posthouse.setup.domain.render import comparison_dict, propagation_dict, to_dict
from unit.domain.letters import LIST, RECEIVED, letter, signed
from unit.domain.test_dkim_check import NAME, key, record
from unit.domain.test_message import OVER
from unit.domain.world import GOOD, LISTS, TIMEOUT, look

TEN = "198.51.100.25"
SIGNED = {**GOOD, (NAME, "TXT"): [record()]}


# What receivers ask for


def marks(found: Audit, receiver: str = "google") -> dict[str, str]:
    return {r.rule: r.mark.value for r in found.requirements if r.receiver == receiver}


async def test_nothing_is_guessed_without_addresses_and_a_mail() -> None:
    found = await look(SIGNED, selectors=("s1",), blocklists=LISTS)
    assert marks(found) == {
        "spf_or_dkim": "unknown",
        "fcrdns": "unknown",
        "tls": "unknown",
        "format": "unknown",
        "spam_rate": "unknown",
        "spf": "unknown",
        "dkim": "unknown",
        "dmarc": "pass",
        "alignment": "unknown",
        "unsubscribe": "unknown",
    }


async def test_addresses_and_a_mail_prove_what_they_can() -> None:
    mail = RECEIVED + signed(key(), LIST, names=OVER)
    found = await look(SIGNED, egress=(TEN,), message=mail)
    unproven = {rule for rule, mark in marks(found).items() if mark != "pass"}
    assert unproven == {"spam_rate"}
    assert set(marks(found, "microsoft").values()) == {"pass"}
    assert marks(found, "yahoo")["from_domain"] == "pass"


async def test_what_is_broken_fails() -> None:
    table = {
        **{k: v for k, v in GOOD.items() if k[1] != "PTR"},
        ("good.test", "TXT"): ["v=spf1 -all"],
        ("_dmarc.good.test", "TXT"): ["v=spf1 -all"],
        ("good.test", "MX"): ["0 ."],
    }
    mail = b"From: ann@good.test\r\nDate: x\r\n" + LIST + b"\r\nx\r\n"
    found = await look(table, egress=(TEN,), message=mail)
    got = marks(found) | marks(found, "yahoo")
    assert {rule for rule, mark in got.items() if mark == "fail"} == {
        *("spf_or_dkim", "spf", "dkim", "dmarc", "fcrdns", "format", "unsubscribe", "from_domain"),
    }


async def test_silent_dns_neither_passes_nor_fails() -> None:
    questions = [
        *(("good.test", "TXT"), ("_dmarc.good.test", "TXT"), ("good.test", "MX")),
        ("25.100.51.198.in-addr.arpa", "PTR"),
    ]
    silent = {**GOOD, **dict.fromkeys(questions, TIMEOUT)}
    found = await look(silent, egress=(TEN,))
    assert set(marks(found, "yahoo").values()) | set(marks(found).values()) == {"unknown"}


async def test_a_mail_of_somebody_else_proves_nothing_of_the_domain() -> None:
    mail = RECEIVED + letter(sender=b"x@other.test")
    assert marks(await look(GOOD, message=mail))["alignment"] == "unknown"


# Two audits


async def test_the_same_twice_is_no_change() -> None:
    before = json.loads(json.dumps(to_dict(await look(GOOD))))
    again = compare(before, await look(GOOD))
    assert not again.changed


async def test_what_became_worse_and_better_is_told() -> None:
    before = json.loads(json.dumps(to_dict(await look(GOOD))))
    broken = {**GOOD, ("_dmarc.good.test", "TXT"): ["v=DMARC1; p=none; rua=mailto:d@good.test"]}
    now = await look(broken)
    worse = compare(before, now)
    assert worse.worse
    assert ("appeared", "dmarc.monitoring") in [(c.kind, c.id) for c in worse.changes]
    assert ("record", "dmarc.record") in [(c.kind, c.id) for c in worse.changes]
    better = compare(json.loads(json.dumps(to_dict(now))), await look(GOOD))
    assert not better.worse
    assert ("gone", "dmarc.monitoring") in [(c.kind, c.id) for c in better.changes]
    shown = comparison_dict(worse, "zh")
    assert shown["worse"] is True
    assert all(c["text"] for c in shown["changes"])


async def test_silence_is_no_change() -> None:
    broken = {**GOOD, ("_dmarc.good.test", "TXT"): ["v=DMARC1; p=none; rua=mailto:d@good.test"]}
    before = json.loads(json.dumps(to_dict(await look(broken))))
    silent = await look({**GOOD, ("_dmarc.good.test", "TXT"): TIMEOUT})
    found = compare(before, silent)
    assert not [c for c in found.changes if c.check == "dmarc" and c.kind != "record"]
    assert not found.worse


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"checks": None}, "not_an_audit"),
        ({"schema": 9}, "schema"),
        ({"domain": "other.test"}, "other_domain"),
    ],
)
async def test_what_is_no_audit_of_the_domain(change: dict[str, Any], reason: str) -> None:
    found = await look(GOOD, "mx")
    with pytest.raises(CompareError) as error:
        compare({**to_dict(found), **change}, found)
    assert error.value.reason == reason


# Several resolvers


def resolver(text: str, ttl: int = 60) -> FixtureResolver:
    answer = Answer("good.test", "TXT", AnswerStatus.OK, (text,), ttl)
    return FixtureResolver({("good.test", "TXT"): answer})


async def test_the_stale_one_of_four_is_named_with_its_value_and_ttl() -> None:
    four = {f"127.0.0.{n}": resolver("v=spf1 -all") for n in (1, 2, 4)}
    four["127.0.0.3"] = resolver("v=spf1 mx -all", 2_900)
    found = await propagation("good.test", four, questions=[("good.test", "TXT")])
    assert found.stale == ("127.0.0.3",)
    row = next(r for r in found.tables[0].rows if r.state is State.STALE)
    assert (row.resolver, row.records, row.ttl) == ("127.0.0.3", ("v=spf1 mx -all",), 2_900)
    shown = propagation_dict(found, "zh")
    assert shown["questions"][0]["value"] == ["v=spf1 -all"]


async def test_an_even_split_accuses_nobody_until_the_authority_speaks() -> None:
    two = {"a": resolver("old"), "b": resolver("new")}
    ask = [("good.test", "TXT")]
    split = await propagation("good.test", two, questions=ask)
    assert (split.stale, split.agreed) == ((), False)
    told = await propagation("good.test", two, questions=ask, authority=resolver("new"))
    assert (told.stale, told.tables[0].by) == (("a",), "authority")


async def test_a_resolver_that_is_silent_is_not_stale() -> None:
    silent = FixtureResolver({("good.test", "TXT"): TIMEOUT})
    three = {"a": resolver("x"), "b": resolver("x"), "c": silent}
    found = await propagation("good.test", three, questions=[("good.test", "TXT")])
    assert found.agreed
    assert [r.state.value for r in found.tables[0].rows] == ["current", "current", "failed"]


async def test_the_mail_records_are_asked_for_by_themselves() -> None:
    found = await propagation("good.test", {"a": FixtureResolver(GOOD)})
    assert [t.name for t in found.tables][:3] == ["good.test", "good.test", "_dmarc.good.test"]


async def test_what_is_no_name() -> None:
    with pytest.raises(HostError):
        await propagation("no name", {})


# Exit codes


@pytest.mark.parametrize(
    ("changed", "threshold", "code"),
    [
        ({}, Verdict.FAIL, 0),
        ({}, Verdict.WARN, 0),
        ({("good.test", "TXT"): ["v=spf1 ptr -all"]}, Verdict.FAIL, 0),
        ({("good.test", "TXT"): ["v=spf1 ptr -all"]}, Verdict.WARN, 1),
        ({("good.test", "TXT"): ["v=spf1 +all"]}, Verdict.FAIL, 1),
        ({("good.test", "TXT"): TIMEOUT}, Verdict.FAIL, 3),
        ({("good.test", "TXT"): TIMEOUT, ("good.test", "MX"): ["10 x.test."]}, Verdict.FAIL, 1),
    ],
)
async def test_exit_codes(changed: Any, threshold: Verdict, code: int) -> None:
    assert exit_code(await look({**GOOD, **changed}, "mx", "spf", "dmarc"), threshold) == code


async def test_a_domain_in_its_own_script() -> None:
    found = await look({("xn--fsqu00a.test", "MX"): ["0 ."]}, "mx", domain="例子.test.")
    assert found.domain == "xn--fsqu00a.test"
    with pytest.raises(HostError):
        await look({}, "mx", domain="no name")


# Words and data


SOURCE = Path(bulk.__file__).parent


def ids_in_code() -> set[str]:
    files = (
        *(path for path in SOURCE.glob("*.py") if path.stem != "keys"),
        *(SOURCE / "checks").glob("*.py"),
    )
    texts = [path.read_text("utf-8") for path in files]
    found = {name for text in texts for name in re.findall(r'finding\(\s*"([a-z_]+)"', text)}
    of_mails = (SOURCE / "message_findings.py").read_text("utf-8")
    found |= {f"message_spf_{x}" for x in re.findall(r'\("([a-z]+)", Status', of_mails)}
    found |= {f"sign_{sign.id}" for sign in facts.signs()}
    found |= {f"discovery_{x}" for x in ("unreadable", "untrusted", "digest", "failed", "dns")}
    return found | {"message_dmarc_author", "message_dmarc_none"} | {
        f"message_dmarc_{x}" for x in ("temperror", "permerror", "differs")
    }  # fmt: skip


def test_every_finding_has_words_and_every_word_a_finding() -> None:
    written = {key.split(".")[1] for key in entries("en", "domain") if key.startswith("finding.")}
    assert ids_in_code() == written


def test_every_mark_has_its_reason_in_words() -> None:
    text = (SOURCE / "bulk.py").read_text("utf-8")
    used = set(re.findall(r'_say\(\s*Mark\.[A-Z]+,\s*"([a-z_]+)"', text))
    used |= {"dkim_published", "no_message", "no_one_click", "not_one_click", "spf_covered"}
    written = {k.split(".")[2] for k in entries("en", "domain") if k.startswith("bulk.why.")}
    assert used == written
    rules = {k.split(".")[2] for k in entries("en", "domain") if k.startswith("bulk.rule.")}
    assert rules == set(bulk.RULES) == {rule.rule for rule in facts.rules()}


@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_json_is_plain_and_every_text_is_filled(lang: str) -> None:
    table = {
        **GOOD,
        ("good.test", "TXT"): ["v=spf1 include:_spf.protonmail.com ptr ~all"],
        ("_dmarc.good.test", "TXT"): ["v=DMARC1; p=none; pct=5; rua=mailto:r@other.test"],
        ("_mta-sts.good.test", "TXT"): ["v=STSv1; id=x y"],
        ("default._bimi.good.test", "TXT"): ["v=BIMI1; l=http://x"],
        ("25.100.51.198.zen.bl.test", "A"): ["127.0.0.2"],
        (NAME, "TXT"): ["v=DKIM1; p=AAAA"],
    }
    found = await look(table, egress=(TEN, "203.0.113.1"), selectors=("s1",), message=letter())
    shown = json.loads(json.dumps(to_dict(found, lang)))
    assert shown["schema"] == 1
    for check in shown["checks"].values():
        for one in check["findings"]:
            assert one["text"] != one["id"], one
            assert not re.search(r"\{[a-z_]+\}|\[\[", one["text"] + (one["fix"] or "")), one
            if one["verdict"] == "fail":
                assert one["fix"] or one["publish"], one
    for one in shown["requirements"]:
        assert one["why_text"]
        assert not one["why_text"].startswith("domain.")


def test_a_reason_is_told_in_words() -> None:
    bad = finding("dkim_syntax", Status.FAIL, selector="s1", name=NAME, reason="key_data")
    assert "p=" in words.finding_text(bad, "en")
    chain = finding("message_arc_fail", Status.WARN, reason="seal_changed", instance=2, sealers=[])
    assert "2" in words.finding_text(chain, "zh")


def test_the_data_is_whole() -> None:
    for id_, provider in facts.providers().items():
        assert id_ in directory.ids(), id_
        assert provider.source.startswith("https://")
        assert re.fullmatch(r"20\d\d-\d\d", provider.date)
        assert provider.spf or provider.include
    for one in facts.mistakes():
        assert one.right in {p.spf for p in facts.providers().values()}
        assert one.wrong not in {s for p in facts.providers().values() for s in (p.spf, *p.include)}
    assert all(rule.source.startswith("https://") and rule.date for rule in facts.rules())
    assert all(sign.source and sign.weight in ("spam", "clean", "info") for sign in facts.signs())


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("a.*.test", "a.b.test.", True),
        ("a.*.test", "A.B.TEST", True),
        ("a.*.test", "a.test", False),
        ("*p=*", "v=DKIM1; p=x", True),
        ("a.test", "xa.test", False),
        ("a.test", "a.test.evil.test", False),
    ],
)
def test_patterns(pattern: str, value: str, fits: bool) -> None:
    assert facts.fits(pattern, value) is fits
