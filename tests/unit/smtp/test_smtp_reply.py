"""Replies: everything a server may send is read, and what we send is right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.smtp import EnhancedCode, Limits, RemoteProtocolError, Reply, parse_reply
from posthouse.protocol.smtp.reply import ReplyReader, decode

QQ = "登录失败，请使用授权码"


def read(*lines: bytes, limits: Limits | None = None) -> Reply:
    reader = ReplyReader(limits or Limits())
    for line in lines[:-1]:
        assert reader.add(line) is None
    reply = reader.add(lines[-1])
    assert reply is not None
    assert not reader.in_progress
    assert reply.raw == b"".join(lines)
    return reply


@pytest.mark.parametrize(
    ("lines", "code", "texts", "enhanced", "encoding", "defects"),
    [
        ([b"220 mail.test ESMTP\r\n"], 220, ["mail.test ESMTP"], None, "ascii", ()),
        ([b"250 2.1.0 Ok\r\n"], 250, ["Ok"], "2.1.0", "ascii", ()),
        (
            [b"535-5.7.8 foo\r\n", b"535 5.7.8 bar\r\n"],
            535,
            ["foo", "bar"],
            "5.7.8",
            "ascii",
            (),
        ),
        ([b"535-5.7.8 foo\r\n", b"535 bar\r\n"], 535, ["foo", "bar"], "5.7.8", "ascii", ()),
        ([b"250\r\n"], 250, [""], None, "ascii", ()),
        ([b"250 Ok\n"], 250, ["Ok"], None, "ascii", ("bare_lf",)),
        ([b"250 Ok\r\r\n"], 250, ["Ok"], None, "ascii", ()),
        ([b"250-a\r\n", b"451 b\r\n"], 451, ["a", "b"], None, "ascii", ("code_changed",)),
        (
            [b"550-a\r\n", b"and on\r\n", b"550 b\r\n"],
            550,
            ["a", "and on", "b"],
            None,
            "ascii",
            ("line_without_code",),
        ),
        ([b"\r\n", b"220 hi\r\n"], 220, ["hi"], None, "ascii", ("blank_line",)),
        ([b"220*hi\r\n"], 220, ["*hi"], None, "ascii", ("bad_separator",)),
        ([b"250\tOk\r\n"], 250, ["Ok"], None, "ascii", ()),
        ([b"550 " + b"x" * 600 + b"\r\n"], 550, ["x" * 600], None, "ascii", ("long_line",)),
        ([b"334 " + b"x" * 600 + b"\r\n"], 334, ["x" * 600], None, "ascii", ()),
        (["550 Зачем\r\n".encode()], 550, ["Зачем"], None, "utf-8", ()),
        ([f"535 {QQ}\r\n".encode("gb18030")], 535, [QQ], None, "gb18030", ()),
        (
            ["550 Identité refusée\r\n".encode("latin-1")],
            550,
            ["Identité refusée"],
            None,
            "latin-1",
            (),
        ),
        ([b"220 a\x1b[2Jb\r\n"], 220, ["a\ufffd[2Jb"], None, "ascii", ("control_characters",)),
        ([b"220 4.5.6.7 ESMTP\r\n"], 220, ["4.5.6.7 ESMTP"], None, "ascii", ()),
        ([b"550 5.1.1: gone\r\n"], 550, ["gone"], "5.1.1", "ascii", ()),
        ([b"554 4.4.7 expired\r\n"], 554, ["expired"], "4.4.7", "ascii", ()),
    ],
)
def test_lenient_reading(
    lines: list[bytes],
    code: int,
    texts: list[str],
    enhanced: str | None,
    encoding: str,
    defects: tuple[str, ...],
) -> None:
    reply = read(*lines)
    assert (reply.code, list(reply.lines), reply.encoding) == (code, texts, encoding)
    assert reply.enhanced == (EnhancedCode.parse(enhanced) if enhanced else None)
    assert reply.defects == defects


@pytest.mark.parametrize(
    "line",
    [
        b"* OK IMAP4rev1\r\n",
        b"+OK POP3\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"2200 too many digits\r\n",
        b"999 no class\r\n",
        b"100 no class\r\n",
        b"\x15\x03\x01\x00\x02\x02\n",
        b"ok\n",
    ],
)
def test_no_reply_at_all(line: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        ReplyReader(Limits()).add(line)
    assert (caught.value.reason, caught.value.raw) == ("no_reply_code", line)


def test_limits() -> None:
    small = Limits(reply_line=10, reply_lines=3, reply_octets=200)
    reply = read(b"250-" + b"x" * 50 + b"\r\n", *[b"250-y\r\n"] * 5, b"250 z\r\n", limits=small)
    assert reply.lines == ("x" * 10, "y", "y")
    assert reply.defects == ("line_cut", "too_many_lines")
    reader = ReplyReader(small)
    for _ in range(28):
        reader.add(b"250-y\r\n")
    with pytest.raises(RemoteProtocolError, match="reply_too_long"):
        reader.add(b"250-y\r\n")


@pytest.mark.parametrize(
    ("reply", "wire"),
    [
        (Reply.make(250, "Ok", "2.1.0"), b"250 2.1.0 Ok\r\n"),
        (Reply.make(250, ""), b"250 \r\n"),
        (Reply(250, ()), b"250 \r\n"),
        (Reply.make(250, "a\nb\r\nc"), b"250-a\r\n250-b\r\n250 c\r\n"),
        (Reply(250, ("a\r\n550 b",)), b"250-a\r\n250 550 b\r\n"),
        (Reply(250, ("a\0b\x1bc",)), b"250 a b c\r\n"),
        (Reply.make(550, "naïve"), b"550 na?ve\r\n"),
        (Reply.challenge(b"Username:"), b"334 VXNlcm5hbWU6\r\n"),
        (Reply.challenge(b""), b"334 \r\n"),
    ],
)
def test_strict_writing(reply: Reply, wire: bytes) -> None:
    assert reply.wire() == wire


def test_utf8_where_it_was_agreed() -> None:
    assert Reply.make(550, "naïve").wire(utf8=True) == "550 naïve\r\n".encode()


def test_long_lines_are_split_at_blanks_and_between_characters() -> None:
    wire = Reply.make(550, "word " * 200, "5.7.1").wire()
    assert all(len(line) <= 512 for line in wire.splitlines(keepends=True))
    assert b"wo\r\n" not in wire
    assert wire.count(b" 5.7.1 ") + wire.count(b"-5.7.1 ") == len(wire.splitlines())
    wide = Reply.make(550, "é" * 600).wire(utf8=True)
    assert all(len(line) <= 512 for line in wide.splitlines(keepends=True))
    assert sum(line.decode("utf-8").count("é") for line in wide.splitlines()) == 600


def test_a_challenge_is_never_split() -> None:
    assert Reply.challenge(b"x" * 3_000).wire().count(b"\r\n") == 1


@pytest.mark.parametrize("code", [0, 99, 199, 600, 2500])
def test_only_codes_that_exist(code: int) -> None:
    with pytest.raises(ValueError, match="200 to 599"):
        Reply(code, ("x",)).wire()


@pytest.mark.parametrize(
    ("raw", "code", "enhanced", "text"),
    [
        ("535-5.7.8 foo\n535 5.7.8 bar", 535, "5.7.8", "foo bar"),
        ("smtp; 550 5.1.1 no such user", 550, "5.1.1", "no such user"),
        ("smtp;550-5.1.1 no such 550 5.1.1 user", 550, "5.1.1", "no such user"),
        ("<** 535 5.7.8 bad", 535, "5.7.8", "bad"),
        ("<~  250 2.0.0 ok", 250, "2.0.0", "ok"),
        ("<<< 550 5.1.1 x", 550, "5.1.1", "x"),
        ('"550 5.1.1 x', 550, "5.1.1", "x"),
        ("550 5.1.1 The account\n  that you tried", 550, "5.1.1", "The account that you tried"),
        ("550 5.1.1 x\nSubject: y", 550, "5.1.1", "x"),
        ("550 a\n250 b", 550, None, "a"),
        ("550 a\n550 b", 550, None, "a b"),
        ("421", 421, None, ""),
        (f"535 {QQ}".encode("gb18030"), 535, None, QQ),
        ("", None, None, ""),
        ("\n\n", None, None, ""),
        ("no code at all", None, None, ""),
        ("5.7.8 only enhanced", None, None, ""),
        ("5500 digits", None, None, ""),
    ],
)
def test_pasted_replies(
    raw: str | bytes, code: int | None, enhanced: str | None, text: str
) -> None:
    reply = parse_reply(raw)
    if code is None:
        assert reply is None
        return
    assert reply is not None
    assert (reply.code, str(reply.enhanced or "") or None, reply.text) == (code, enhanced, text)


def test_what_a_reply_says_of_itself() -> None:
    kinds = {250: "success", 354: "intermediate", 450: "transient", 550: "permanent"}
    for code, name in kinds.items():
        reply = Reply.make(code, "x", None)
        said = {
            kind: getattr(reply, f"is_{kind}")
            for kind in ("success", "intermediate", "transient", "permanent")
        }
        assert [k for k, yes in said.items() if yes] == [name]
    assert str(Reply(550, ("a", "", "b"), EnhancedCode(5, 1, 1))) == "550 5.1.1 a b"
    assert Reply.challenge(b"x").challenge_data() == b"x"
    assert Reply.make(334, "ä$").challenge_data() is None


@given(st.binary(max_size=400))
def test_no_octets_break_the_parser(data: bytes) -> None:
    reply = parse_reply(data)
    assert reply is None or 200 <= reply.code <= 599
    text, encoding = decode(data)
    assert encoding in ("ascii", "utf-8", "gb18030", "latin-1")
    assert isinstance(text, str)


@given(st.text(st.characters(), max_size=200))
def test_no_text_breaks_the_parser(text: str) -> None:
    reply = parse_reply(text)
    assert reply is None or str(reply).startswith(str(reply.code))


@given(
    st.integers(200, 599),
    st.text(max_size=700),
    st.sampled_from([None, "2.0.0", "5.7.139"]),
    st.booleans(),
)
def test_whatever_is_written_is_read_again(
    code: int, text: str, enhanced: str | None, utf8: bool
) -> None:
    wire = Reply.make(code, text, enhanced).wire(utf8=utf8)
    reader = ReplyReader(Limits())
    replies = [reader.add(line + b"\n") for line in wire.split(b"\n")[:-1]]
    assert replies[:-1] == [None] * (len(replies) - 1)
    final = replies[-1]
    assert final is not None
    assert final.code == code
    assert {"bare_lf", "bad_separator", "code_changed"}.isdisjoint(final.defects)
    if code != 334:
        assert all(len(line) <= 512 for line in wire.splitlines(keepends=True))
