"""No credential gets into a transcript, an error or a repr, in whatever form it passes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.smtp import (
    Auth,
    AuthResponse,
    Connection,
    LocalProtocolError,
    Masker,
    MessageEnd,
    Quit,
    Rcpt,
    Reply,
    Role,
    Unknown,
    Xclient,
    mask_text,
    parse_reply,
    printable,
)

PLAIN = base64.b64encode(b"\0alice\0s3sam-Open").decode()


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (Auth("PLAIN", b"\0alice\0s3sam-Open"), "AUTH PLAIN ***"),
        (Auth("LOGIN"), "AUTH LOGIN"),
        (AuthResponse(b"s3sam-Open"), "***"),
        (AuthResponse(None), "*"),
        (Xclient({"LOGIN": "alice", "ADDR": "192.0.2.1"}), "XCLIENT ***"),
        (Unknown("s3sam-Open"), "***"),
        (Unknown("aHVudGVy"), "***"),
        (Unknown("ETRN example.test"), "ETRN ***"),
        (Unknown("get / HTTP/1.1"), "get ***"),
        (MessageEnd(), "."),
        (Quit(), "QUIT"),
        (Rcpt("bob@example.test", {"NOTIFY": "NEVER"}), "RCPT TO:<bob@example.test> NOTIFY=NEVER"),
    ],
)
def test_commands(command: object, shown: str) -> None:
    assert Masker().command(command) == shown  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            f'500 5.5.1 Command unrecognized: "AUTH PLAIN {PLAIN}"',
            '500 5.5.1 Command unrecognized: "AUTH PLAIN ***"',
        ),
        ("AUTH PLAIN AGFiYwBkZWYx", "AUTH PLAIN ***"),
        ("auth plain AGFiYwBkZWY=", "auth plain ***"),
        ("250-AUTH LOGIN PLAIN XOAUTH2", "250-AUTH LOGIN PLAIN XOAUTH2"),
        ("AUTH DIGEST-MD5 CRAM-MD5 GSSAPI", "AUTH DIGEST-MD5 CRAM-MD5 GSSAPI"),
        ("503 AUTH not available", "503 AUTH not available"),
        ("503 AUTH command used when not advertised", "503 AUTH command used when not advertised"),
        (f"cannot decode {PLAIN}", "cannot decode ***"),
        (f"cannot decode {PLAIN.rstrip('=')}.", "cannot decode ***."),
        ("XCLIENT ADDR=192.0.2.1 LOGIN=alice", "XCLIENT ADDR=192.0.2.1 LOGIN=***"),
        ("auth=Bearer ya29.abcdef", "auth=Bearer ***"),
        ("450 4.7.1 Greylisted, see you later", "450 4.7.1 Greylisted, see you later"),
        ("id 37si3479471pgw.590 - gsmtp", "id 37si3479471pgw.590 - gsmtp"),
    ],
)
def test_texts_of_unknown_origin(text: str, shown: str) -> None:
    assert mask_text(text) == shown


@pytest.mark.parametrize(
    ("mechanism", "data", "echo"),
    [
        ("PLAIN", b"\0alice\0s3sam-Open", "wrong password s3sam-Open for alice"),
        ("PLAIN", b"\0alice\0s3sam-Open", f"unknown {PLAIN}"),
        ("PLAIN", b"\0alice\0s3sam-Open", "unknown " + base64.b64encode(b"s3sam-Open").decode()),
        ("XOAUTH2", b"user=alice\x01auth=Bearer tok.en-1\x01\x01", "bad token tok.en-1"),
        ("CRAM-MD5", b"alice b913a602c7eda7a495b4e6e7334d3890", "b913a602c7eda7a495b4e6e7334d3890"),
    ],
)
def test_echoes(mechanism: str, data: bytes, echo: str) -> None:
    masker = Masker()
    masker.command(Auth(mechanism, data))
    (line,) = masker.reply(Reply(535, (echo,)))
    assert "***" in line
    for secret in ("s3sam-Open", PLAIN, "tok.en-1", "b913a6", "czNzYW0"):
        assert secret not in line


def test_login_hides_the_password_and_shows_the_user() -> None:
    masker = Masker()
    masker.command(Auth("LOGIN"))
    masker.command(AuthResponse(b"alice"))
    masker.command(AuthResponse(b"s3sam-Open"))
    (line,) = masker.reply(Reply.make(535, "alice: s3sam-Open is wrong"))
    assert line == "535 alice: *** is wrong"


def test_challenges_of_scram_are_hidden_and_prompts_are_not() -> None:
    masker = Masker()
    masker.command(Auth("SCRAM-SHA-256", b"n,,n=a,r=b"))
    assert masker.reply(Reply.challenge(b"r=bc,s=QQ==,i=4096")) == ["334 ***"]
    masker.command(Auth("LOGIN"))
    assert masker.reply(Reply.challenge(b"Username:")) == ["334 VXNlcm5hbWU6"]


def test_replies_are_shown_as_they_came() -> None:
    reply = parse_reply("535-5.7.8 Username and Password not accepted.\n535 5.7.8 Learn more")
    assert reply is not None
    assert Masker().reply(reply) == [
        "535-5.7.8 Username and Password not accepted.",
        "535 5.7.8 Learn more",
    ]


def test_reprs_and_errors_hold_no_credential() -> None:
    assert "s3sam" not in repr(Auth("PLAIN", b"\0alice\0s3sam-Open"))
    assert "s3sam" not in repr(AuthResponse(b"s3sam-Open"))
    assert "s3sam" not in repr(Unknown("s3sam-Open"))
    assert "alice" not in repr(Xclient({"LOGIN": "alice"}))
    connection = Connection(Role.CLIENT)
    for item in (
        Auth("PLAIN", b"\0alice\0s3sam-Open"),
        AuthResponse(b"s3sam-Open"),
        Rcpt("s3sam-Open\r\n@x"),
    ):
        with pytest.raises(LocalProtocolError) as caught:
            connection.send(item)
        assert "s3sam" not in str(caught.value)


def test_a_terminal_gets_nothing_to_obey() -> None:
    assert printable("\x1b[2Jhi\r\n\u202etxt") == "\ufffd[2Jhi\ufffd\ufffd\ufffdtxt"
    assert len(printable("x" * 5_000)) == 1_001


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=6, max_size=30)


@given(SECRETS)
def test_any_password_in_any_form(secret: str) -> None:
    masker = Masker()
    data = f"\0user\0{secret}".encode()
    masker.command(Auth("PLAIN", data))
    for form in (
        secret,
        base64.b64encode(data).decode(),
        base64.b64encode(data).decode().rstrip("="),
        base64.b64encode(secret.encode()).decode(),
    ):
        assert form not in masker.text(f"You said: {form} (rejected)")


@given(st.text(max_size=200))
def test_any_text_is_harmless(text: str) -> None:
    shown = Masker().text(text)
    assert all(character >= " " or character == "\t" for character in shown)
