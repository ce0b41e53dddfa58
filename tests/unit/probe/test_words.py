"""Every verdict and finding can be said in both languages, with nothing left open."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from typing import Any

import pytest

from posthouse.flow import Finding, Status
from posthouse.setup.probe import words
from posthouse.setup.probe.facts import Facts
from posthouse.setup.probe.verdict import RULES, decide

from .test_verdict import CASES

LANGS = ("en", "zh")


def text_of(lang: str) -> dict[str, Any]:
    path = resources.files("posthouse.explain") / "text" / lang / "probe.toml"
    return tomllib.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_every_verdict_has_its_words(case: tuple[Any, ...], lang: str) -> None:
    finding = decide(Facts(case[1], **case[2])).finding
    text = words.verdict_text(finding, lang)
    assert text
    assert "probe.verdict" not in text  # the key itself: a text is missing
    assert not re.search(r"\{\w*\}", text)
    if lang == "zh":
        assert re.search(r"[\u4e00-\u9fff]", text)


@pytest.mark.parametrize("lang", LANGS)
def test_every_rule_says_what_to_do(lang: str) -> None:
    verdicts = text_of(lang)["verdict"]
    assert {rule.id for rule in RULES} | {"ok", "ipv6_broken"} == set(verdicts)
    for name, entry in verdicts.items():
        assert "do" in entry, name
        for key in entry:
            if key.startswith("do_"):
                assert key.removeprefix("do_") in entry, f"{name}.{key} is advice for no wording"


def test_both_languages_have_the_same_keys_and_parameters() -> None:
    english, chinese = dict(_flat(text_of("en"))), dict(_flat(text_of("zh")))
    assert set(english) == set(chinese)
    for key, text in english.items():
        assert _open(text) == _open(chinese[key]), key


def _flat(table: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in table.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((prefix + key, value))
    return rows


def _open(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [
        (0.4, "0.4 s", "0.4 秒"),
        (12.3, "12 s", "12 秒"),
        (300, "5 min", "5 分钟"),
        (86_400, "24 h", "24 小时"),
        (3 * 365.25 * 86_400, "3 years", "3 年"),
        (400 * 86_400, "400 days", "400 天"),
    ],
)
def test_span(seconds: float, en: str, zh: str) -> None:
    assert (words.span(seconds, "en"), words.span(seconds, "zh")) == (en, zh)


@pytest.mark.parametrize(
    ("octets", "text"),
    [(999, "999 bytes"), (35_882, "36 KB"), (35_000_000, "35 MB"), (1_500_000, "1.5 MB")],
)
def test_size(octets: int, text: str) -> None:
    assert words.size(octets, "en") == text


def test_lists_and_providers_are_spoken() -> None:
    finding = Finding("tls_old_versions", Status.WARN, None, {"versions": ["TLS 1.0", "TLS 1.1"]})
    assert "TLS 1.0, TLS 1.1" in words.finding_text(finding, "en")
    assert "TLS 1.0、TLS 1.1" in words.finding_text(finding, "zh")
    params = {"username": "a@qq.com", "account_provider": "qq", "server_provider": "gmail"}
    pair = Finding("pairing", Status.WARN, None, params)
    assert "Gmail" in words.finding_text(pair, "en")


def test_eight_known_extensions_are_named() -> None:
    known = ("SIZE", "8BITMIME", "STARTTLS", "AUTH", "PIPELINING", "CHUNKING", "SMTPUTF8", "DSN")
    assert all(words.extension_text(k, lang) for k in known for lang in LANGS)
    assert words.extension_text("X-UNHEARD-OF", "en") == ""
