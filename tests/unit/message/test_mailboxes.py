"""Lists of mailboxes: nothing is guessed, nobody is lost."""

from __future__ import annotations

from email.utils import formataddr, getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.mailboxes import MailboxError, read_mailboxes

READ = [
    ("a@d.example", [("", "a@d.example")]),
    ("Bob <b@d.example>", [("Bob", "b@d.example")]),
    ('"Doe, J." <j@d.example>, k@d.example', [("Doe, J.", "j@d.example"), ("", "k@d.example")]),
    (r'"a \"b\" \\ c" <x@d.example>', [('a "b" \\ c', "x@d.example")]),
    ("J. Doe (office, (2nd) floor) <j@d.example>", [("J. Doe", "j@d.example")]),
    ("Bob [work] <b@d.example>", [("Bob [work]", "b@d.example")]),
    ("a@d.example,, b@d.example ,", [("", "a@d.example"), ("", "b@d.example")]),
    ("Team: a@d.example, B <b@d.example>;, c@d.example",
     [("", "a@d.example"), ("B", "b@d.example"), ("", "c@d.example")]),
    ("undisclosed-recipients:;", []),
    ("Bob\r\n\t<b@d.example>,\n c@d.example", [("Bob", "b@d.example"), ("", "c@d.example")]),
    ("用户 <用户@例子.example>", [("用户", "用户@例子.example")]),
    ('"a b"@d.example, a@[192.0.2.1]', [("", '"a b"@d.example'), ("", "a@[192.0.2.1]")]),
    ("a@d.example <A@D.example>", [("", "A@D.example")]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "found"), READ)
def test_what_is_read(text: str, found: list[tuple[str, str]]) -> None:
    assert read_mailboxes(text) == found


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("Bob <>", "Bob <>"),
        ("a@d.example, Bob <b@>", "Bob <b@>"),
        ("a@d.example, bob ,c@d.example", "bob"),
        ("a@d.example <b@d.example>", "a@d.example <b@d.example>"),
        ("a@d.example b@d.example", "a@d.example b@d.example"),
        ("<<a@d.example>>", "<<a@d.example>>"),
        ("Bob <b@d.example", ""),
        ('"Bob <b@d.example>', ""),
        ("Team: a@d.example", ""),
        ("a@d.example: b@d.example;", ""),
        ("a: b: c@d.example;", ""),
        ("(a@d.example", ""),
        ("a@d.example; b@d.example", ""),
        ("a@d.example\x00", ""),
    ],
)
def test_what_is_no_list(text: str, piece: str) -> None:
    with pytest.raises(MailboxError) as caught:
        read_mailboxes(text)
    assert caught.value.piece == piece


def test_semicolons_where_they_are_meant() -> None:
    two = [("", "a@d.example"), ("", "b@d.example")]
    assert read_mailboxes("a@d.example; b@d.example;", semicolons=True) == two
    assert read_mailboxes("Team: a@d.example; b@d.example", semicolons=True) == two


ATEXT = st.text("abcXYZ019!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=12)
NAME = st.text("abc XYZ.,;:<>@()[]\\\"'ü你", max_size=20).map(lambda one: " ".join(one.split()))


@given(st.lists(st.tuples(NAME, ATEXT, ATEXT), min_size=1, max_size=5))
def test_what_the_mail_library_writes_is_read_as_it_was(whom: list[tuple[str, str, str]]) -> None:
    wanted = [(name, f"{local}@{domain}") for name, local, domain in whom]
    quoted = [formataddr((name, one), charset="utf-8") for name, one in wanted if name.isascii()]
    assert read_mailboxes(", ".join(quoted)) == [one for one in wanted if one[0].isascii()]


@given(st.text('ab.@<>,:;"\\() \t[]', max_size=40))
def test_whoever_the_mail_library_sees_is_seen_or_it_is_refused(text: str) -> None:
    try:
        found = {one.address for one in read_mailboxes(text)}
    except MailboxError:
        return
    assert {one for _, one in getaddresses([text]) if "@" in one} <= found or '"' in text
