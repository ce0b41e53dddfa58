"""Whatever somebody types or pastes: an answer in both languages, and never a crash."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.flow import Security
from posthouse.setup.find import check_port, read_address, read_input, read_server, to_dict
from posthouse.setup.find.words import finding_text

from .doubles import World

# Text as it comes, and text made of the pieces that mean something somewhere.
MARKS = [*"@.:/,;<>[]()\"'%?#&= \t\n\r\0-_+*", *"＠﹫。．：，　\u200b\u202e"]
WORDS = """smtp smtp:// smtps:// imap. mailto: https:// MAILTO: xn-- xn--a alice 例子 bücher jösé qq
gmial com con 中国 10 255 ::1 465 587 99999 port 端口 服务器 邮箱： (at) %40 \ud800 😀""".split()  # noqa: SIM905  a list of strings would fill a screen
PIECES = st.sampled_from(MARKS + WORDS)
TEXT = st.one_of(st.text(max_size=400), st.lists(PIECES, max_size=14).map("".join))


def told(entry: object) -> None:
    for finding in entry.findings:  # type: ignore[attr-defined]
        for lang in ("en", "zh"):
            text = finding_text(finding, lang)
            assert text
            assert "find.finding" not in text  # the key itself: words are missing
        json.dumps(dict(finding.params))


@given(TEXT)
@settings(max_examples=600)
def test_any_input_is_read(text: str) -> None:
    for read in (read_input, read_address, read_server):
        entry = read(text)
        told(entry)
        assert entry.ok or entry.findings
        if entry.address is not None:
            again = read_address(entry.address.wire)
            assert again.address is not None
            assert again.address.wire == entry.address.wire


@given(TEXT)
@settings(max_examples=150, deadline=None)
def test_any_address_is_searched_for(text: str) -> None:
    for offline in (True, False):
        result = World().find(text, offline=offline)
        assert not result.candidates or result.domain
        for lang in ("en", "zh"):
            json.dumps(to_dict(result, lang))


@given(st.integers(), st.sampled_from([None, *Security]))
def test_any_port_is_judged(port: int, security: Security | None) -> None:
    for finding in check_port(port, security):
        assert all(finding_text(finding, lang) for lang in ("en", "zh"))
