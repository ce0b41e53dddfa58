"""No regular expression takes more than linear time, whatever a stranger writes."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from budget import ALLOWED, TIMES, linear
from posthouse import explain
from posthouse.explain import reading
from posthouse.protocol import arf, authres, dkim, dmarc, spf
from posthouse.protocol.discovery.txt import txt_value
from posthouse.protocol.message import decode_words, parse_received, text_of_html
from posthouse.protocol.server_input import ServerError, parse_server
from posthouse.protocol.smtp import mask_text, parse_reply
from posthouse.protocol.taglist import TagListError, parse_tags
from unit.security.patterns import Use, cap_of, cook, recipes, uses

SECONDS = 0.05  # for a text of the cap's length, or of 64 KiB where the cap is above
USUAL = 65_536
SHORT = 1_500  # characters in the first round
SUSPECTS = 2  # strings of a pattern that are tried in full length


def run(use: Use, text: Any) -> float:
    """Seconds of processor time, the best of what is needed to be sure."""
    best = 10.0
    for _ in range(3):
        began = time.thread_time()
        for method in use.methods:
            if method == "sub":
                use.pattern.sub(text[:0], text)
            elif method == "finditer":
                list(use.pattern.finditer(text))
            else:
                getattr(use.pattern, method)(text)
        best = min(best, time.thread_time() - began)
        if best < SECONDS / 2:
            break
    return best


@pytest.mark.parametrize("use", uses(), ids=lambda use: use.where)
def test_every_pattern(use: Use) -> None:
    """All strings in a small length; in full those that took longest."""
    short = max(SHORT, use.cap // 64)
    tried = {
        recipe: run(use, cook(recipe, min(short, use.cap), use.pattern))
        for recipe in recipes(use.pattern)
    }
    allowed = SECONDS * max(1, use.cap / USUAL)
    for recipe in sorted(tried, key=lambda made: -tried[made])[:SUSPECTS]:
        took = run(use, cook(recipe, use.cap, use.pattern))
        if took >= allowed:  # on a slow machine it may, in proportion to what a quarter takes
            quarter = run(use, cook(recipe, use.cap // TIMES, use.pattern))
            assert took < ALLOWED * quarter, f"{took * 1000:.0f} ms for {use.cap} of {recipe}"


def test_the_patterns_are_found() -> None:
    """The search itself: known ones are there, with how they are used."""
    found = {use.pattern.pattern: use for use in uses()}
    assert len(found) > 80
    auth = next(use for text, use in found.items() if isinstance(text, str) and r"\bAUTH" in text)
    assert (auth.methods, auth.cap) == (("sub",), cap_of("protocol/smtp/masking"))


def test_a_bad_pattern_is_seen() -> None:
    bad = Use("here", re.compile(r"(?:a+)+b"), ("match",), 20)
    slow = [run(bad, cook(recipe, 25, bad.pattern)) for recipe in recipes(bad.pattern)]
    assert max(slow) > SECONDS


# Whole readers, where patterns are made while running or work together

LONG = 65_000
READERS: list[tuple[str, Callable[[str], object], list[str]]] = [
    (
        "parse_reply",
        parse_reply,
        ["550-" + " " * LONG + "x", "550-a " * 10_000, "<" * LONG, "smtp;" * 13_000, "\n" * LONG],
    ),
    (
        "reading.read",
        reading.read,
        [
            "535 a" + "\n" * 4_000 + "x",
            "535 a\n535 " * 400,
            "eyJ" * 1_300,
            "a@" * 2_000,
            "1." * 2_000,
        ],
    ),
    (
        "txt_value",
        txt_value,
        ['"' + '\\"' * 32_000, '"' * LONG, '" ' * 32_000, '"' + "\\" * LONG, '"a" ' * 16_000],
    ),
    (
        "dmarc.parse",
        lambda text: dmarc.lint(dmarc.parse("v=DMARC1; p=none; rua=" + text)),
        [
            "mailto:a@" + "a." * 32_000 + "%20",
            "mailto:a@a.a," * 5_000,
            "!" * LONG,
            "//" + "@" * LONG,
            "x=y;" * 16_000,
        ],
    ),
    (
        "spf.parse",
        lambda text: _none(spf.RecordError, lambda: spf.lint(spf.parse("v=spf1 " + text))),
        ["a/" * 8_000, "%{d}" * 4_000, "a:" + "a." * 8_000, "ip4:1.2.3." * 1_600, "a=" * 8_000],
    ),
    (
        "parse_tags",
        lambda text: _none(TagListError, lambda: parse_tags(text)),
        ["a=" + " " * LONG + "b", ";" * LONG, "a = b ;" * 9_000, " " * LONG, "=" * LONG],
    ),
    (
        "authres.merged",
        lambda text: authres.merged(
            dkim.parse_header(b"Authentication-Results: a;" + text.encode()), "a"
        ),
        ["(" * LONG, '"' * LONG, "a;" * 30_000, "\\" * LONG, "a b " * 16_000],
    ),
    (
        "authres.parse",
        authres.parse,
        ["a;" + "(" * LONG, 'a;"' * 20_000, "a;a=b " * 10_000, "a;a . b /" * 7_000, "a;=" * 20_000],
    ),
    (
        "parse_received",
        parse_received,
        ["(" * LONG, "from " + "((" * LONG, "(()" * LONG, "[" * LONG, "a" * LONG + ";" * LONG],
    ),
    (
        "text_of_html",
        text_of_html,
        ["<" * LONG, "<!--" * 16_000, "<p " * 20_000, "&#" * 30_000, "<style>" * 9_000],
    ),
    (
        "decode_words",
        decode_words,
        ["=?" * LONG, "=?utf-8?q?a?= " * 4_600, "=?a?q?" * 10_000, " " * LONG, "?= =?" * 13_000],
    ),
    (
        "arf.read",
        lambda text: _none(arf.FeedbackError, lambda: arf.read(text.encode())),
        [
            "Subject: " + "DMARC " * 2_700 + "\n\nx",
            "Subject: DMARC failure\n\n" + "-" * LONG,
            "Subject: DMARC failure\n\n" + "---copyX" * 8_000,
            "Subject: DMARC failure\n\n" + "a " * 32_000 + ":",
            "Subject: DMARC failure\n\n" + "Source IP: \t" * 5_000,
        ],
    ),
    (
        "mask_text",
        mask_text,
        ["AUTH " * 2_400, "AUTH" + " =" * 6_000, "A" * 12_000 + "=====", "Bearer " * 1_700],
    ),
]


def _none(error: type[Exception], call: Callable[[], object]) -> None:
    with contextlib.suppress(error):
        call()


ROWS = [(name, call, text) for name, call, texts in READERS for text in texts]


@pytest.mark.parametrize(
    ("name", "call", "text"), ROWS, ids=lambda v: v[:14] if isinstance(v, str) else ""
)
def test_readers(name: str, call: Callable[[str], object], text: str) -> None:
    if timed(lambda: call(text)) >= SECONDS:
        linear(call, text)


def timed(call: Callable[[], object]) -> float:
    best = 10.0
    for _ in range(3):
        began = time.thread_time()
        call()
        best = min(best, time.thread_time() - began)
    return best


def test_server_input() -> None:
    def call() -> None:
        for text in ("a" + " " * 990 + "b c", "[a]" + " " * 990 + "b c", "a" + " ," * 490):
            with pytest.raises(ServerError):
                parse_server(text)

    assert timed(call) < SECONDS


def test_one_word_again_and_again() -> None:
    """A word that many terms begin with, as often as a line may hold it."""
    explain.explain_reply("550 warm up")
    for word in ("vers", "auth", "cert", "accept mail", "授权码"):
        line = f"550 {word} " + f"{word} " * (reading.TEXT_LIMIT // (len(word) + 1))
        assert timed(lambda line=line: explain.explain_reply(line)) < SECONDS, word
