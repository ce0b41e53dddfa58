"""The causes are those of the taxonomy, and each has a whole page in both languages."""

from __future__ import annotations

import pytest

from posthouse import explain
from posthouse.explain.causes import example
from posthouse.flow import Retry, Stage, Who
from unit.explain import shared

STAGES = {"tcp": Stage.CONNECT, "helo": Stage.EHLO}
WHO = {
    "you": Who.YOU,
    "wait": Who.NOBODY,
    "nobody": Who.NOBODY,
    "provider": Who.PROVIDER,
    "recipient": Who.RECIPIENT,
}


def test_the_causes_are_the_taxonomy_s() -> None:
    rows = shared.rows("taxonomy.tsv")
    assert [cause.id for cause in explain.causes()] == [row["id"] for row in rows]
    for row in rows:
        cause = explain.cause(row["id"])
        stages = {STAGES.get(word) or Stage(word) for word in row["stage"].split("/")}
        assert cause.stage in stages, row["id"]
        assert cause.retry is Retry(row["retry"]), row["id"]


def test_who_acts_first_is_the_taxonomy_s() -> None:
    for row in shared.rows("taxonomy.tsv"):
        first = row["who acts"].split()[0].strip(",;/()")
        if first in WHO:
            assert explain.cause(row["id"]).who[0] is WHO[first], row["id"]


def test_there_are_forty() -> None:
    assert len(explain.causes()) == 40
    with pytest.raises(KeyError):
        explain.cause("no.such")
    with pytest.raises(KeyError):
        explain.page("no.such", "en")


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("cause", [cause.id for cause in explain.causes()])
def test_every_cause_has_a_page(cause: str, lang: str) -> None:
    page = explain.page(cause, lang)
    assert page.id == cause
    assert "\n" not in page.title
    for text in (page.title, page.meaning, page.recognise, page.remedy, page.who, page.retry):
        assert text
        assert not text.startswith("causes.")
        assert "{" not in text
        assert "[[" not in text
    assert page.stage
    assert page.example
    assert page.reference
    for variant in page.variants:
        assert variant.title
        assert variant.title != page.title
        assert variant.remedy != page.remedy
        assert "  " not in variant.title


@pytest.mark.parametrize("cause", [cause.id for cause in explain.causes()])
def test_the_example_of_a_cause_comes_to_that_cause(cause: str) -> None:
    assert explain.explain_reply(example(cause)).cause.id == cause


def test_who_is_said_in_words() -> None:
    assert explain.who(explain.cause("auth.disabled"), "en").startswith("you, or ")
    assert "管理员" in explain.who(explain.cause("auth.disabled"), "zh")
