"""A pasted AUTH PLAIN string, and what is wrong with it."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.flow import Secret
from posthouse.protocol.smtp.sasl import auth_plain_line, inspect_plain


def b64(message: bytes) -> str:
    return base64.b64encode(message).decode()


GOOD = "AUTH PLAIN AHVzZXIAcGFzcw=="

CASES = [
    # pasted, problems, syntax reply, suggestion
    (GOOD, (), None, None),
    ("AHVzZXIAcGFzcw==", (), None, None),
    ("  auth plain AHVzZXIAcGFzcw==\r\n", (), None, None),
    ("", ("empty",), "501 5.5.2", None),
    ("AUTH PLAIN", ("empty",), "501 5.5.2", None),
    ("AHVzZXIAcGFzcw", ("padding",), "501 5.5.2", GOOD),
    ("AHVzZXIA cGFzcw==", ("blanks",), "501 5.5.2", GOOD),
    ("AUTH PLAIN dXNlcg==:cGFzcw==", ("colon",), "501 5.5.2", GOOD),
    (b64(b"user:pass"), ("http_basic",), "501 5.5.2", GOOD),
    (b64(rb"\0user\0pass"), ("literal_escape",), "501 5.5.2", GOOD),
    (b64(rb"\x00user\x00pass"), ("literal_escape",), "501 5.5.2", GOOD),
    (b64(b"user\0pass"), ("one_nul",), "501 5.5.2", GOOD),
    (b64(b"\0user\0pass\n"), ("line_end",), None, GOOD),
    (b64(b"\0user\0 pass"), ("outer_blanks",), None, GOOD),
    (b64(b"\0user%40example.com\0pass"), ("percent_encoded",), None, None),
    (b64(b"boss\0user\0pass"), ("other_authzid",), None, None),
    (b64(b"\0\0pass"), ("empty_username",), "501 5.5.2", None),
    (b64(b"\0user\0"), ("empty_password",), "501 5.5.2", None),
    (b64(b"\0a\0b\0c"), ("too_many_nul",), "501 5.5.2", None),
    (b64(b"user"), ("no_nul",), "501 5.5.2", None),
    (b64(b"\0us\xe4r\0pass"), ("not_utf8",), "501 5.5.2", None),
    ("user pass!", ("not_base64",), "501 5.5.2", None),
    ("AAAAA", ("not_base64",), "501 5.5.2", None),
    ("A" * 13_000, ("too_long",), "501 5.5.2", None),
]


@pytest.mark.parametrize(("text", "problems", "reply", "suggestion"), CASES)
def test_inspect(
    text: str, problems: tuple[str, ...], reply: str | None, suggestion: str | None
) -> None:
    report = inspect_plain(text)
    assert (report.problems, report.reply) == (problems, reply)
    assert (report.suggestion and report.suggestion.reveal()) == suggestion


def test_the_line_of_errata_e033_is_two_parts() -> None:
    report = inspect_plain("AUTH PLAIN a3JwEjExMjM0NQ==:cGFzc3dvcmQ=")
    assert report.problems == ("colon",)
    assert report.reply == "501 5.5.2"
    assert report.username == "krp\x12112345"
    assert report.password == Secret("password")


def test_url_alphabet() -> None:
    text = base64.urlsafe_b64encode(b"\0user\0p\xc3\xbf\xc3\xbf?>").decode()
    assert "_" in text or "-" in text
    assert inspect_plain(text).problems[0] == "url_alphabet"


def test_nothing_of_the_password_is_printed() -> None:
    shown = repr(inspect_plain(b64(b"\0user\0S3cretWord\n")))
    assert "S3cretWord" not in shown
    assert b64(b"S3cretWord")[:8] not in shown


@given(st.text(max_size=60) | st.binary(max_size=60).map(b64))
def test_anything_is_read(text: str) -> None:
    report = inspect_plain(text)
    assert report.reply in {None, "501 5.5.2"}
    assert report.problems or report.username


@given(
    st.text("abcé密@. ", min_size=1, max_size=12).map(str.strip).filter(bool),
    st.text("abcé密:%", min_size=1, max_size=12),
)
def test_what_we_build_is_good(user: str, password: str) -> None:
    report = inspect_plain(auth_plain_line(user, Secret(password)).reveal())
    assert report.reply is None
    assert (report.username, report.password) == (user, Secret(password))
