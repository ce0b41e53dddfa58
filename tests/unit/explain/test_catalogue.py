"""The catalogues: equal in both languages, and never failing where they are used."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse import explain
from posthouse.explain import LANGUAGES, Catalogue
from posthouse.explain.catalogue import areas, entries, fill

AREAS = sorted({*areas("en"), *areas("zh")})


@pytest.mark.parametrize("area", AREAS)
def test_both_languages_have_the_same_keys_and_gaps(area: str) -> None:
    english, chinese = entries("en", area), entries("zh", area)
    assert set(english) == set(chinese)
    gaps = {
        key: (gaps_of(english[key]), gaps_of(chinese[key]))
        for key in english
        if gaps_of(english[key]) != gaps_of(chinese[key])
    }
    assert gaps == {}


def gaps_of(text: str) -> set[str]:
    return set(re.findall(r"\{([A-Za-z_]\w*)", text))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_no_text_of_a_cause_is_empty(lang: str) -> None:
    assert [key for key, text in entries(lang, "causes").items() if not text.strip()] == []


def test_chinese_is_chinese() -> None:
    for key, text in entries("zh", "causes").items():
        if key.rpartition(".")[2] in ("title", "meaning", "remedy"):
            assert re.search("[\u4e00-\u9fff]", text), key


@pytest.mark.parametrize(
    ("text", "params", "filled"),
    [
        ("plain", {}, "plain"),
        ("on {host}", {"host": "a.test"}, "on a.test"),
        ("on {host}", {}, "on "),
        ("no answer[[ from {host}]][[ on {port}]]", {"port": 25}, "no answer on 25"),
        ("[[{a} and {b}]]", {"a": 1}, ""),
        ("[[{a}]]", {"a": ""}, ""),
        ("[[{a}]]", {"a": 0}, "0"),
        ("{a:.1f} s", {"a": 1.25}, "1.2 s"),
        ("{a:.1f} s", {"a": "soon"}, "soon s"),
        ("{a}", {"a": "{b}", "b": "no"}, "{b}"),
        ("{a.__class__} {0} {}", {"a": 1}, "{a.__class__} {0} {}"),
        ("{a", {"a": 1}, "{a"),
        ("[[one]]", {}, "one"),
    ],
)
def test_gaps_are_filled(text: str, params: dict[str, Any], filled: str) -> None:
    assert fill(text, params) == filled


@given(st.text(alphabet="{}[]abc:.!0 ", max_size=40), st.dictionaries(st.text(), st.integers()))
def test_filling_never_raises(text: str, params: dict[str, int]) -> None:
    assert isinstance(fill(text, params), str)


def test_a_missing_key_falls_back_to_english_then_to_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = Catalogue("zh")
    for key in ("causes.no.such", "nowhere.x", "", ".", "../x.y", "causes"):
        assert words.text(key) == key
        assert not words.has(key)
    module = import_module("posthouse.explain.catalogue")  # the package shows the function only
    monkeypatch.setattr(module, "TEXT", tmp_path)
    (tmp_path / "en").mkdir()
    (tmp_path / "en/odd.toml").write_text('[only]\nenglish = "words"\n')
    assert words.text("odd.only.english") == "words"
    assert words.has("odd.only.english")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_tables_read_one_by_one_are_the_whole_file(lang: str) -> None:
    module = import_module("posthouse.explain.catalogue")
    for area in areas(lang):
        whole: dict[str, str] = {}
        text = (module.TEXT / lang / f"{area}.toml").read_text("utf-8")
        module._flatten(tomllib.loads(text), "", whole)
        assert entries(lang, area) == whole
        assert all(module._find(lang, f"{area}.{key}") == said for key, said in whole.items())


def test_strict_catalogues_tell() -> None:
    with pytest.raises(KeyError, match=r"zh: causes\.no\.such"):
        Catalogue("zh", strict=True).text("causes.no.such")
    assert Catalogue("en", strict=True).text("causes.word.who.you") == "you"


def test_other_languages_are_given_english() -> None:
    assert explain.catalogue("fr").lang == "en"
    assert explain.catalogue("zh").lang == "zh"
    assert explain.catalogue("zh") is explain.catalogue("zh")


def test_a_key_may_be_a_parameter_s_name() -> None:
    assert Catalogue("en").text("causes.word.who.you", key="x", self="y") == "you"


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("{x}没有回应", "mx.d.example", "mx.d.example 没有回应"),
        ("服务器{x}。", "mx", "服务器 mx。"),
        ("{x}在这里", "163 网易", "163 网易在这里"),
        ("第 {x} 行", "3", "第 3 行"),
        ("“{x}”是", "mx", "“mx”是"),
        ("on {x}s", "mx", "on mxs"),
        ("{x}没有", "", "没有"),
    ],
)
def test_chinese_keeps_a_blank_beside_latin_values(text: str, value: str, shown: str) -> None:
    assert fill(text, {"x": value}) == shown
