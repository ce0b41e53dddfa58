"""What a line is like: learnt from examples, asked only where rules leave doubt."""

from __future__ import annotations

from posthouse import explain
from posthouse.explain import build, engine, likeness, store

CAUSES = ["msg.spam", "rcpt.unknown", "sender.quota"]
EXAMPLES = [
    (["nobody", "lives", "here", "550"], "rcpt.unknown"),
    (["nobody", "of", "that", "name"], "rcpt.unknown"),
    (["sounds", "like", "an", "advert"], "msg.spam"),
    (["an", "advert", "of", "sorts"], "msg.spam"),
    (["enough", "for", "today"], "sender.quota"),
]


def table() -> likeness.Table:
    return likeness.Table(likeness.learn(EXAMPLES, CAUSES), CAUSES)


def scores(*keys: str) -> dict[str, float]:
    found: dict[str, float] = {}
    table().add(keys, found)
    return found


def test_a_word_speaks_for_the_cause_in_whose_examples_it_stands() -> None:
    assert set(scores("nobody")) == {"rcpt.unknown"}
    assert set(scores("advert", "an")) == {"msg.spam"}
    assert scores("nobody")["rcpt.unknown"] > 0


def test_a_word_said_twice_counts_once() -> None:
    assert scores("nobody", "nobody") == scores("nobody")


def test_chance_tells_nothing() -> None:
    assert scores("enough") == {}  # in one example only
    assert scores("550", "a", "7") == {}  # numbers and letters
    assert scores("of") == {}  # as often here as there
    assert scores("unheard") == {}


def test_evidence_is_the_clearest_words_first() -> None:
    assert table().telling(["advert", "an", "nobody"], "msg.spam") == ["advert", "an"]
    assert table().telling(["advert"], "rcpt.unknown") == []


def test_rules_come_first() -> None:
    found = explain.explain_reply("550 5.1.1 User unknown")
    assert found.rule.startswith("rcpt.unknown/")


def test_where_no_rule_speaks_clearly_likeness_does_and_says_so() -> None:
    found = explain.explain_reply("550 the box of the former owner was put to sleep, on hold")
    assert found.cause.id == "rcpt.disabled"
    doubtful = engine.judge(engine.Reading("", "nobody of that name here", "550", ""), None, None)
    assert doubtful.cause == "rcpt.unknown"
    assert doubtful.confidence <= engine.LIKENESS


def test_text_that_is_no_reply_stays_unknown() -> None:
    assert explain.explain_reply("lorem ipsum dolor sit amet").confidence <= engine.LIKENESS
    assert explain.explain_reply("").cause.id == engine.UNSPOKEN


def test_the_index_holds_words_and_no_example() -> None:
    """A key is at most two words, so no example can be read back from it."""
    assert all(len(key.split()) <= 2 for key in store._content()["likeness"])
    assert len(build.sections()) >= len(explain.causes())
