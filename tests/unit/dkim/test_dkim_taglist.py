"""Tag lists, RFC 6376 section 3.2."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget import soon
from posthouse.protocol.taglist import Tag, TagListError, parse_tags, without_wsp

GOOD = {
    "a=1": [("a", "1", 2)],
    "a=1;": [("a", "1", 2)],
    " a\t=\r\n 1 ; \r\n\tb= x y ;\t": [("a", "1", 7), ("b", "x y", 17)],
    "a=": [("a", "", 2)],
    "a=;b=": [("a", "", 2), ("b", "", 5)],
    "a=b=c==": [("a", "b=c==", 2)],
    "A=1;a=2;a_9=3": [("A", "1", 2), ("a", "2", 6), ("a_9", "3", 12)],
    "d=grün.example": [("d", "grün.example", 2)],
}


@pytest.mark.parametrize("text", GOOD)
def test_good(text: str) -> None:
    tags = parse_tags(text)
    assert list(tags.values()) == [Tag(*row) for row in GOOD[text]]
    for name, tag in tags.items():
        assert name == tag.name
        assert text[tag.position :].startswith(tag.value)


BAD = {
    "": ("empty", 0),
    " ": ("empty", 0),
    ";": ("empty", 0),
    "a=1;;": ("empty", 4),
    "a=1;;b=2": ("empty", 4),
    ";a=1": ("empty", 0),
    "a": ("no_equals", 0),
    "a=1;b": ("no_equals", 4),
    "=1": ("bad_name", 0),
    "==": ("bad_name", 0),
    "1a=1": ("bad_name", 0),
    "a-b=1": ("bad_name", 0),
    "a b=1": ("bad_name", 0),
    "ä=1": ("bad_name", 0),
    "a=1;a=1": ("duplicate", 4),
    "a=\x00": ("bad_character", 2),
    "a=\x7f": ("bad_character", 2),
    "a=" + "1" * 70_000: ("too_long", 65_536),
    "".join(f"a{n}=;" for n in range(101)): ("too_many", 496),
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text[:20]))
def test_bad(text: str) -> None:
    with pytest.raises(TagListError) as caught:
        parse_tags(text)
    assert (caught.value.reason, caught.value.position) == BAD[text]


@given(st.text(alphabet="ab=; \t\r\n\x00ä_1", max_size=30))
def test_nothing_else_is_raised(text: str) -> None:
    tags, position = {}, 0
    try:
        tags = parse_tags(text)
    except TagListError as error:
        position = error.position
    assert 0 <= position <= len(text)
    if tags:
        again = parse_tags("; ".join(f"{tag.name}={tag.value}" for tag in tags.values()))
        assert [(t.name, t.value) for t in again.values()] == [
            (t.name, t.value) for t in tags.values()
        ]


@pytest.mark.parametrize(
    "text", [" " * 60_000, ";" * 60_000, "a=" + " " * 60_000 + "b", "a" * 60_000, "=" * 60_000]
)
def test_time_is_linear(text: str) -> None:
    with soon(0.1), contextlib.suppress(TagListError):
        parse_tags(text)


def test_without_wsp() -> None:
    assert without_wsp(" a\t\r\n b ") == "ab"
    assert without_wsp("ab") == "ab"
