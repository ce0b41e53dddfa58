"""The strings of a TXT record. That a name server reads them: see test_records_properties."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol import txt


@settings(deadline=None)
@given(st.text(max_size=2_000))
def test_strings_are_the_record_again(text: str) -> None:
    parts = txt.strings(text)
    assert b"".join(parts) == text.encode("utf-8", "replace")
    assert all(len(part) <= 255 for part in parts)


def test_strings_part_at_spaces() -> None:
    text = "v=spf1 " + " ".join(f"ip4:192.0.2.{n}" for n in range(40)) + " -all"
    assert all(part.endswith(b" ") for part in txt.strings(text)[:-1])
    assert txt.quoted('v=spf1 x="\\') == '"v=spf1 x=\\"\\\\"'


def test_what_is_not_ascii_is_written_as_octets() -> None:
    assert txt.quoted("a\u00e9\n") == r'"a\195\169\010"'
