"""A draft made ready: whom it is for, what is taken out, what is put in, what can't be sent."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.explain import catalogue
from posthouse.protocol.mailboxes import MailboxError, read_mailboxes
from posthouse.protocol.smtp.data import check_lines, unstuff
from posthouse.send.client import Draft, Envelope, Kind, Message, Problem, Unusable, compose
from posthouse.send.client.addresses import _USUAL, address, pairs
from posthouse.send.client.written import KNOWN

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
LETTER = b"From: Alice <alice@d.example>\nTo: bob@e.example\nSubject: x\n\nhello\n"


def mail(raw: bytes, sender: str = "", *to: str) -> Message:
    return compose(Draft("a.eml", raw), Envelope(sender, to), NOW)


def built(**fields: Any) -> Message:
    fields = {"from": "alice@d.example", "to": "bob@e.example", **fields}
    return compose(Draft("l:1", json.dumps(fields).encode(), Kind.JSON), Envelope(), NOW)


def read(message: Message) -> Any:
    return message_from_bytes(unstuff(message.content), policy=policy.default)


@pytest.mark.parametrize(
    ("head", "sender", "recipients"),
    [
        ("From: a@d.example\nTo: b@e.example", "a@d.example", ["b@e.example"]),
        (
            "From: A <a@d.example>\nTo: b@e.example,\n \"C, D\" <c@e.example>\nCc: d@e.example",
            "a@d.example",
            ["b@e.example", "c@e.example", "d@e.example"],
        ),
        ("Sender: s@d.example\nFrom: a@d.example, b@d.example\nBcc: b@e.example", "s@d.example",
         ["b@e.example"]),
        ("From: a@d.example\nTo: undisclosed:;\nBcc: b@e.example, b@e.example", "a@d.example",
         ["b@e.example"]),
        ("From: a@bücher.example\nTo: b@例子.example", "a@xn--bcher-kva.example",
         ["b@xn--fsqu00a.example"]),
    ],
)  # fmt: skip
def test_the_envelope_comes_from_the_header(head: str, sender: str, recipients: list[str]) -> None:
    message = mail(f"{head}\n\nx\n".encode())
    assert (message.sender, list(message.recipients)) == (sender, recipients)


def test_what_is_told_beats_the_header() -> None:
    message = mail(LETTER, "bounces@d.example", "carol@e.example")
    assert (message.sender, message.recipients) == ("bounces@d.example", ("carol@e.example",))


def test_several_recipients_may_be_told_at_once() -> None:
    message = mail(LETTER, "", "Bob <b@e.example>, c@e.example", "c@E.example")
    assert message.recipients == ("b@e.example", "c@e.example")


def test_bcc_and_return_path_go_and_the_rest_stays_as_it_is() -> None:
    raw = (
        b"Return-Path: <x@d.example>\nFrom: a@d.example\nBcc: z@e.example,\n y@e.example\n"
        b"X-Odd:  two  blanks \nTo: b@e.example\nDate: d\nMessage-ID: <1@d.example>\n\n.dot\nend"
    )
    message = mail(raw)
    assert message.content == (
        b"From: a@d.example\r\nX-Odd:  two  blanks \r\nTo: b@e.example\r\nDate: d\r\n"
        b"Message-ID: <1@d.example>\r\n\r\n..dot\r\nend\r\n"
    )
    assert message.message_id == "<1@d.example>"
    assert set(message.recipients) == {"z@e.example", "y@e.example", "b@e.example"}


def test_what_is_missing_is_added_and_a_repeat_is_recognised() -> None:
    first, later = mail(LETTER), compose(Draft("b", LETTER), Envelope(), NOW.replace(hour=9))
    assert read(first)["Date"] == "Mon, 04 May 2026 03:02:01 +0000"
    assert first.message_id == later.message_id == f"<{first.key}@d.example>"
    assert first.key != mail(LETTER.replace(b"hello", b"hullo")).key
    assert first.key != mail(LETTER, "", "carol@e.example").key
    assert first.key == mail(LETTER.replace(b"\n", b"\r\n")).key


@pytest.mark.parametrize(
    ("raw", "eight_bit", "utf8"),
    [
        (LETTER, False, False),
        (b"\xef\xbb\xbf" + LETTER, False, False),
        (LETTER + "é".encode(), True, False),
        (LETTER.replace(b"x", "é".encode()), False, False),  # encoded words, A-labels
        (LETTER.replace(b": x", b": \xe9"), True, True),  # not UTF-8: as it is
        (LETTER.replace(b"bob@", "bäb@".encode()), True, True),
    ],
)
def test_what_the_server_must_know(raw: bytes, eight_bit: bool, utf8: bool) -> None:
    message = mail(raw)
    assert (message.eight_bit, message.utf8) == (eight_bit, utf8)


def test_a_letter_typed_by_hand_goes_over_every_server() -> None:
    raw = (
        "Subject: 你好\n 世界\nFrom: 王 <a@d.example>\nTo: 李 <b@例子.example>, 张 <c@e.example>\n"
        "X-Note: ü\n\n你好\n"
    )
    message = mail(raw.encode())
    got = read(message)
    assert (message.utf8, message.eight_bit) == (False, True)
    assert (got["Subject"], got["X-Note"]) == ("你好 世界", "ü")
    assert [str(one) for one in got["To"].addresses] == [
        "李 <b@xn--fsqu00a.example>",
        "张 <c@e.example>",
    ]
    assert got.get_content().strip() == "你好"
    assert message.key == mail(raw.replace("\n", "\r\n").encode()).key


@pytest.mark.parametrize(
    "more",
    [
        "DKIM-Signature: v=1; h=subject\nSubject: ü\n",  # it would be broken
        "To: 用户@例子.example\n",  # needs SMTPUTF8 anyway
        "Content-Type: text/plain; name=ü\n",  # no encoded words there
    ],
)
def test_what_encoded_words_would_spoil_stays(more: str) -> None:
    message = mail(f"From: a@d.example\nBcc: b@e.example\n{more}\nx\n".encode())
    assert message.utf8
    line = more.splitlines()[-1].replace("例子", "xn--fsqu00a")
    assert line.encode() + b"\r\n" in message.content


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", Problem.NOT_MAIL),
        (b"hello\nworld\n", Problem.NOT_MAIL),
        (b"To: b@e.example\n\nx", Problem.NO_SENDER),
        (b"From: a@d.example\n\nx", Problem.NO_RECIPIENT),
        (b"From: a@d.example\nTo: bob\n\nx", Problem.BAD_ADDRESS),
        (b"From: a@d.example\nTo: b@e.example\nno field\n\nx", Problem.BAD_HEADER),
    ],
)
def test_what_is_no_message(raw: bytes, problem: Problem) -> None:
    with pytest.raises(Unusable) as caught:
        mail(raw)
    assert caught.value.problem is problem


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("not an address", "not an address"),
        ("bob", "bob"),
        ("a@d.example, bob", "bob"),
        ("Bob <b@>", "Bob <b@>"),
        ("a@d.example, Bob <b@", "a@d.example, Bob <b@"),
        ("a@d.example, Bob <>, c@d.example", "Bob <>"),
        ("a@d.example <b@d.example>", "a@d.example <b@d.example>"),
        ("a@b@c.example", "a@b@c.example"),
        ("a@d.example b@d.example", "a@d.example b@d.example"),
    ],
)
def test_which_address_is_none(value: str, named: str) -> None:
    with pytest.raises(Unusable) as caught:
        pairs([value])
    assert caught.value.params["address"] == named


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", Problem.NOT_JSON),
        ("[1]", Problem.NOT_JSON),
        ("[" * 100_000, Problem.NOT_JSON),
        ('{"from": "a@d.example", "to": "b@e.example", "sujet": "x"}', Problem.BAD_FIELD),
        ('{"from": "a@d.example", "to": [1]}', Problem.BAD_FIELD),
        ('{"from": "a@d.example", "to": "b@e.example", "text": 1}', Problem.BAD_FIELD),
        ('{"from": "a@d.example", "to": "b@e.example", "text": "\\ud800"}', Problem.BAD_FIELD),
        ('{"from": "a@d.example", "to": "b@e.example", "subject": "x\\nBcc: e@f.example"}',
         Problem.BAD_HEADER),
        ('{"from": "a@d.example", "to": "b@e.example", "headers": {"X\\r\\nY": "1"}}',
         Problem.BAD_HEADER),
        ('{"from": "a@d.example", "to": "b@e.example", "headers": {"bcc": "e@f.example"}}',
         Problem.BAD_HEADER),
        ('{"from": "a@d.example\\nBcc: e@f.example", "to": "b@e.example"}', Problem.BAD_HEADER),
        ('{"from": "a@d.example", "to": "Bob \\ud83d <b@e.example>"}', Problem.BAD_HEADER),
        ('{"from": "a@d.example", "to": "b@e.example", "headers": {"From": "e@f.example"}}',
         Problem.BAD_HEADER),
        ('{"from": "a@d.example", "to": "b@e.example", "headers": {"subject": "x"}}',
         Problem.BAD_HEADER),
        ('{"from": "a@d.example", "to": "b@e.example", "headers": {"Date": "x", "date": "y"}}',
         Problem.BAD_HEADER),
        ('{"to": "b@e.example"}', Problem.NO_SENDER),
        *((f'{{"from": "a@d.example", "to": "b@e.example", "attachments": {value}}}',
           Problem.BAD_FIELD) for value in (
            '"/etc/passwd"', '["/etc/passwd"]', '[{"path": "/etc/passwd"}]', '[{"name": "a"}, 1]',
            '[{"content": "YQ=="}]', '[{"name": "a", "content": "!"}]', '[{"name": "a\\nb"}]',
            '[{"name": "\\ud83d", "content": "YQ=="}]', '[{"name": "a", "type": 1}]',
            '[{"name": "%s", "content": "YQ=="}]' % ("x" * 256),
        )),
    ],
)  # fmt: skip
def test_lines_that_are_no_message(line: str, problem: Problem) -> None:
    with pytest.raises(Unusable) as caught:
        compose(Draft("l:1", line.encode(), Kind.JSON), Envelope(), NOW)
    assert caught.value.problem is problem


TEXTS = ["", "plain\n", ".dot\n", "Grüße aus Köln und ein langer Satz " * 50, "你好，世界。" * 400]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_arrives_as_it_was_written(text: str) -> None:
    message = built(text=text, subject="Grüße 你好" * 12)
    assert not message.eight_bit
    mail = read(message)
    assert mail["Subject"] == "Grüße 你好" * 12
    assert mail.get_content().replace("\r\n", "\n").rstrip("\n") == text.rstrip("\n")
    assert max(map(len, message.content.split(b"\r\n"))) <= 998


def test_text_and_html_are_alternatives_and_names_are_encoded() -> None:
    message = built(
        text="t", html="<p>ü</p>", **{"from": '"Jürgen, M." <j@d.example>'},
        to=["Bob \"B\" <bob@e.example>", "王 <wang@例子.example>"], reply_to="r@d.example",
        headers={"X-Stream": "bulk"},
    )  # fmt: skip
    mail = read(message)
    assert [p.get_content_type() for p in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail["From"].addresses[0].display_name == "Jürgen, M."
    assert [a.display_name for a in mail["To"].addresses] == ["Bob B", "王"]
    assert message.recipients == ("bob@e.example", "wang@xn--fsqu00a.example")
    assert (mail["Reply-To"], mail["X-Stream"]) == ("r@d.example", "bulk")
    assert not message.utf8


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("report.pdf", "application/pdf"),
        ('a "b" \\ c; d.txt', "text/plain"),
        ("发票 二〇二六.pdf", "application/pdf"),
        ("王" * 85, "application/octet-stream"),
        ("archive.unknown-kind", "application/octet-stream"),
    ],
)
def test_an_attachment_arrives_as_it_was(name: str, kind: str) -> None:
    octets = bytes(range(256)) * 40
    one = {"name": name, "content": base64.b64encode(octets).decode()}
    message = built(text="Anbei, 附件", html="<p>x</p>", attachments=[one, {**one, "type": "A/b"}])
    assert not message.eight_bit
    assert max(map(len, message.content.split(b"\r\n"))) <= 998
    mail = read(message)
    assert mail.get_body(("plain",)).get_content().strip() == "Anbei, 附件"
    first, second = mail.iter_attachments()
    assert (first.get_filename(), first.get_content_type()) == (name, kind)
    assert first.get_payload(decode=True) == octets
    assert second.get_content_type() == "a/b"


@pytest.mark.parametrize(
    "kind", ["multipart/mixed", "message/rfc822", "x", "a/b\r\nBcc: e@f.example"]
)
def test_a_type_that_cannot_stand_there_is_none(kind: str) -> None:
    mail = read(built(attachments=[{"name": "a", "content": "YQ==", "type": kind}]))
    (one,) = mail.iter_attachments()
    assert one.get_content_type() == "application/octet-stream"


def test_an_id_decides_who_is_who() -> None:
    assert built(id="7", text="a").key == built(id="7", text="b").key
    assert built(id="7").key != built(id="8").key
    assert built(text="a").key != built(text="b").key


@pytest.mark.parametrize("page", ["relay.md", "relay.zh-CN.md"])
def test_the_line_of_the_documentation_is_a_message(page: str) -> None:
    text = (Path(__file__).resolve().parents[4] / "docs" / page).read_text()
    (line,) = re.findall(r'^\{"id".*$', text, re.MULTILINE)
    message = compose(Draft("l:1", line.encode(), Kind.JSON), Envelope(), NOW)
    assert message.recipients == ("bob@example.net",)
    fields = set(
        re.findall(r"`(\w+)`", text.partition(line)[2].partition("\n\n")[2].partition("\n\n")[0])
    )
    assert fields == KNOWN


@pytest.mark.parametrize("none", [None, ""])
def test_an_empty_id_is_none(none: object) -> None:
    assert built(id=none, text="a").key != built(id=none, text="b").key
    assert built(id=none, text="a").key == built(text="a").key


@pytest.mark.parametrize("more", [{"id": "7"}, {"text": "a"}])
def test_the_same_to_somebody_else_is_another_message(more: dict[str, str]) -> None:
    line = json.dumps({"from": "a@d.example", "to": "b@e.example, c@e.example", **more}).encode()

    def key(sender: str = "", *to: str) -> str:
        return compose(Draft("l:1", line, Kind.JSON), Envelope(sender, to), NOW).key

    assert key() == key("a@d.example", "c@e.example", "b@e.example")
    assert len({key(), key("", "me@d.example"), key("bounces@d.example")}) == 3


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ("a@example.com", b"a@example.com"),
        ("a@example.com,", b"a@example.com"),
        ("\u738b <a@\u4f8b\u5b50.example>", b"=?utf-8?b?546L?= <a@xn--fsqu00a.example>"),
    ],
)
def test_a_missing_from_is_written_as_it_has_to_be(said: str, field: bytes) -> None:
    message = mail(b"To: b@e.example\nSubject: x\n\nhello\n", said)
    assert b"\r\nFrom: " + field + b"\r\n" in message.content
    assert field.endswith((message.sender.encode(), message.sender.encode() + b">"))
    assert not message.utf8


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("a@d.example, b@d.example", Problem.BAD_ADDRESS),
        ("a\uff20d.example", Problem.BAD_ADDRESS),
        ("A\r <a@d.example>", Problem.BAD_ADDRESS),
    ],
)
def test_a_sender_that_is_not_one(said: str, problem: Problem) -> None:
    with pytest.raises(Unusable) as caught:
        mail(LETTER.partition(b"\n")[2], said)
    assert caught.value.problem is problem


@pytest.mark.parametrize("empty", ["", [], [""], None, "nobody:;"])
def test_nobody_is_no_field(empty: object) -> None:
    names = set(read(built(cc=empty, reply_to=empty)).keys())
    assert not names & {"Cc", "Reply-To"}


def test_a_line_that_many_servers_refuse_is_broken() -> None:
    head, page = b"From: a@d.example\nTo: b@d.example\n", b"<p>" + b"hello. " * 300
    message = mail(head + b"Content-Type: text/html\n\n" + page)
    assert max(map(len, message.content.split(b"\r\n"))) <= 998
    assert message.content.endswith(b"\r\n")
    assert read(message).get_payload(decode=True) == page + b"\r\n"
    signed = mail(b"DKIM-Signature: v=1\n" + head + b"\n" + page)
    assert page in signed.content  # whoever signed knows better, or the server says so


def test_the_size_has_no_dots_of_the_wire_form() -> None:
    message = built(text=".\n" * 50)
    assert message.size == len(message.content) - 50


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_say_why_not(raw: bytes) -> None:
    try:
        message = mail(raw, "alice@d.example", "bob@e.example")
    except Unusable:
        return
    check_lines(message.content)
    assert b"\r\n.\r\n" not in message.content


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=3), st.text())
def test_no_field_breaks_out_of_its_line(headers: dict[str, str], subject: str) -> None:
    try:
        message = built(headers=headers, subject=subject, text="x")
    except Unusable:
        return
    names = {name.lower() for name in read(message)}
    wanted = {name.lower() for name in headers} | {"from", "to", "subject", "date", "message-id"}
    assert names <= wanted | {"mime-version", "content-type", "content-transfer-encoding"}


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("problem", list(Problem))
def test_every_problem_has_words_and_a_remedy(lang: str, problem: Problem) -> None:
    words = catalogue(lang)
    assert words.has(f"send.problem.{problem}")
    assert words.has(f"send.remedy.{problem}")


@given(
    st.from_regex(_USUAL, fullmatch=True).filter(lambda text: "  " not in text)
    | st.text(alphabet="ab .<>@,;:\"()\\\\-_'", max_size=30)
)
def test_the_short_way_reads_what_the_long_one_reads(text: str) -> None:
    def read(short: bool) -> object:
        try:
            if short:
                return pairs([text])
            return [(name, address(one)) for name, one in read_mailboxes(text, semicolons=True)]
        except (Unusable, MailboxError):
            return "bad"

    assert read(short=True) == read(short=False)
