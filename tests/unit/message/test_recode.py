"""Transfer encodings changed for the next server: the content stays, signatures are not touched."""

from __future__ import annotations

import base64
import email
import email.policy
from contextlib import suppress
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget import soon
from posthouse.protocol.message.recode import (
    RecodeError,
    part_headers,
    to_binary,
    to_eight_bits,
    to_seven_bits,
    to_short_lines,
)


def wire(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def leaves(message: bytes) -> list[tuple[str, bytes]]:
    """Type and decoded content of each part, as Python reads it."""
    parsed = email.message_from_bytes(message)
    found = []
    for part in parsed.walk():
        if not part.is_multipart():
            found.append((part.get_content_type(), part.get_payload(decode=True) or b""))
    return found


PLAIN = wire("From: a@d.example\nSubject: x\n\nGrüße, 你好   \n.dot\n\tende\n")
NAMED = wire(
    "From: a@d.example\nContent-Type: text/plain; charset=utf-8\n"
    "Content-Transfer-Encoding: 8bit\nX-Last: 1\n\nGrüße\n"
)
MIXED = wire(
    'From: a@d.example\nContent-Type: multipart/mixed;\n boundary="=_x y"\n'
    "Content-Transfer-Encoding: 8bit\n\nfür alte Leser\n".replace("ü", "ue")
    + "--=_x y\n\nGrüße\n--=_x y\nContent-Type: image/png\nContent-Transfer-Encoding: binary\n\n"
    "\x01ÿ\n--=_x y\n--=_x y\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n"
    "aGFsbG8=\n--=_x y\nContent-Type: message/rfc822\n\nSubject: inner\n"
    "Content-Transfer-Encoding: 8bit\n\ninnen: ä\n--=_x y--\nend\n"
)


@pytest.mark.parametrize("message", [PLAIN, NAMED, MIXED])
def test_seven_bits_hold_the_same(message: bytes) -> None:
    made = to_seven_bits(message)
    assert made.isascii()
    assert leaves(made) == leaves(message)
    assert max(map(len, made.split(b"\r\n"))) <= 998
    assert made.count(b"\n") == made.count(b"\r\n")
    assert b": 8bit" not in made
    assert b": binary" not in made


def test_all_else_stays_octet_for_octet() -> None:
    made = to_seven_bits(MIXED)
    for piece in (
        b'Content-Type: multipart/mixed;\r\n boundary="=_x y"\r\n',
        b"aGFsbG8=\r\n--=_x y\r\n",
        b"--=_x y\r\n--=_x y\r\n",
        b"fuer alte Leser\r\n",
        b"--=_x y--\r\nend\r\n",
    ):
        assert piece in made
    assert to_seven_bits(NAMED).startswith(NAMED[: NAMED.index(b"Content-Transfer")])
    end = b"quoted-printable\r\nX-Last: 1\r\nMIME-Version: 1.0\r\n\r\n"
    assert end in to_seven_bits(NAMED)


@pytest.mark.parametrize(
    ("message", "charset"),
    [
        ("Subject: x\r\n\r\nGrüße\r\n".encode(), b"utf-8"),
        ("Subject: x\r\n\r\nGrüße\r\n".encode("latin-1"), b"unknown-8bit"),
        ("\r\nGrüße\r\n".encode(), b"utf-8"),
    ],
)
def test_what_is_encoded_can_be_read(message: bytes, charset: bytes) -> None:
    """RFC 2045 section 4: without MIME-Version nobody undoes it."""
    made = email.message_from_bytes(to_seven_bits(message))
    assert made["MIME-Version"] == "1.0"
    assert made.get_content_charset() == charset.decode()
    assert made.get_payload(decode=True) == message[message.index(b"Gr") :]


def test_headers_of_parts() -> None:
    headers = list(part_headers(MIXED))
    assert len(headers) > 3
    assert MIXED.startswith(headers[0])
    assert all(header.endswith(b"\r\n") or not header for header in headers)
    assert list(part_headers(b"Content-Type: multipart/mixed\r\n\r\nx")) == [
        b"Content-Type: multipart/mixed\r\n\r\n"
    ]


def test_what_is_ascii_is_the_same_object() -> None:
    message = wire("Subject: x\n\nhi\n")
    assert to_seven_bits(message) is message


SIGNED = [
    "DKIM-Signature: v=1; a=rsa-sha256\nSubject: x\n\nä\n",
    "Subject: x\narc-seal : i=1\n\nä\n",
    "Content-Type: multipart/signed; boundary=b\n\n--b\n\nä\n--b--\n",
    "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/signed;\n"
    " boundary=c\n\n--c\n\nä\n--c--\n--b--\n",
    "Content-Type: multipart/encrypted; boundary=b\n\n--b\n\nä\n--b--\n",
    "Content-Type: application/pkcs7-mime\n\nä\n",
    "Subject: x\n\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nä\n",
    "Content-Type: message/rfc822\n\nDKIM-Signature: v=1\n\nä\n",
]


@pytest.mark.parametrize("text", SIGNED)
@pytest.mark.parametrize("recode", [to_seven_bits, to_eight_bits, to_binary])
def test_what_is_signed_is_never_touched(text: str, recode: object) -> None:
    with pytest.raises(RecodeError) as error:
        recode(wire(text))  # type: ignore[operator]
    assert error.value.reason == "signed"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Subject: ä\n\nä\n", "header"),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\nX: ä\n\nä\n--b--\n", "header"),
        ("Content-Type: multipart/mixed\n\nä\n", "malformed"),
        ("Content-Type: multipart/mixed; boundary=b\n\nä\n--b\n\nx\n--b--\n", "malformed"),
        ("Content-Transfer-Encoding: base64\n\nä\n", "malformed"),
        (
            "Content-Type: multipart/mixed; boundary=b\n"
            "Content-Transfer-Encoding: base64\n\n--b\n\nä\n--b--\n",
            "malformed",
        ),
    ],
)
def test_what_cannot_be_recoded(text: str, reason: str) -> None:
    with pytest.raises(RecodeError) as error:
        to_seven_bits(wire(text))
    assert error.value.reason == reason


def test_depth_and_number_of_parts_are_bounded() -> None:
    deep = "Content-Type: multipart/mixed; boundary=b0\n\n"
    for n in range(40):
        deep += f"--b{n}\nContent-Type: multipart/mixed; boundary=b{n + 1}\n\n"
    wide = "Content-Type: multipart/mixed; boundary=b\n\n" + "--b\n\nä\n" * 50_000
    for text in (deep + "ä\n", wide):
        with soon(), pytest.raises(RecodeError):
            to_seven_bits(wire(text))


# The other way


def attached(text: str, blob: bytes) -> bytes:
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = "a@d.example"
    message.set_content(text, cte="base64")
    message.add_attachment(blob, "application", "octet-stream")
    return bytes(message)


def test_eight_bits_undo_base64_of_text_alone() -> None:
    message = attached("Grüße\n你好\n" * 20, bytes(range(256)) * 40)
    made = to_eight_bits(message)
    assert leaves(made) == leaves(message)
    assert "Grüße\r\n你好".encode() in made
    assert b"AAECAwQF" in made
    assert b"\0" not in made
    assert len(made) < len(message)


def test_binary_undoes_all_and_saves_a_quarter() -> None:
    blob = bytes(range(256)) * 400
    message = attached("x\n", blob)
    made = to_binary(message)
    assert blob in made
    assert len(made) < 0.75 * len(message)
    assert made.count(b"Content-Transfer-Encoding: binary\r\n") == 3
    # Python reads the octets of a part as they are
    assert leaves(made)[1][1].replace(b"\r\n", b"\n") == blob.replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    "content",
    [
        b"a\nb",  # no CRLF: it would not survive DATA
        b"a\rb",
        b"a\0b",
        b"x" * 999,
        b"safe\r\n--b--\r\nevil",  # decoded it would end the multipart
    ],
)
def test_what_would_not_survive_stays_encoded(content: bytes) -> None:
    coded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    head = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    assert to_eight_bits(head + coded) == head + coded
    if b"--b" in content:
        for boundary in (b"b", b"b--"):
            around = b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n"
            within = b"--" + boundary + b"\r\n" + head + coded + b"--" + boundary + b"--\r\n"
            outer = b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
            for message in (around + within, outer + around + within + b"\r\n--o--\r\n"):
                assert to_binary(message) == message


@pytest.mark.parametrize("begin", [b"", b"\r\n"])
def test_what_is_no_delimiter_here_is_undone(begin: bytes) -> None:
    """A file of some megabytes has "--" at the beginning of a line somewhere, by chance."""
    blob = b"x" * 1_000 + begin + b"--" + b"x" * 1_000
    single = EmailMessage(policy=email.policy.SMTP)
    single.set_content(blob, "application", "octet-stream")
    for message in (bytes(single), attached("x\n", blob)):
        made = to_binary(message)
        assert blob in made
        assert b"base64" not in made


@pytest.mark.parametrize("coded", [b"not base64!", b"YQ=", b"", b"YQ==YQ=="])
def test_bad_base64_is_left_alone(coded: bytes) -> None:
    head = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    assert to_binary(head + coded) == head + coded


def test_quoting_makes_no_delimiter() -> None:
    line = "ä" * 12 + "--b"  # a soft line break may fall before the hyphens
    text = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n"
    for n in range(30):
        for end in ("", "\nmore"):
            message = wire(text + "x" * n + line + end + "\n--b--\n")
            assert leaves(to_seven_bits(message)) == leaves(message)


@given(st.text(st.characters(exclude_characters="\r", exclude_categories=("Cs",)), max_size=300))
def test_any_text_comes_back(text: str) -> None:
    message = wire("Content-Type: text/plain; charset=utf-8\n\n" + text)
    assert leaves(to_seven_bits(message)) == leaves(message)


LONG = "word " * 300
LONG_MESSAGES = {
    "plain": f"Subject: x\n\n{LONG}\nend  \n",
    "no line end": f"Subject: x\n\n{LONG}",
    "html": f"Content-Type: text/html; charset=utf-8\n\n<p>{LONG}ä</p>\n",
    "chinese": f"Content-Type: text/html; charset=utf-8\n\n{'你好，世界' * 200}\n",
    "json": f"Content-Type: application/json\n\n{{{LONG}}}\n",
    "base64 in one": "Content-Transfer-Encoding: base64\n\n" + "QUJD" * 400 + "\n",
    "base64 in few": "Content-Transfer-Encoding: BASE64\n\n" + ("QUJD" * 250 + "\n") * 3,
    "quoted in one": "Content-Transfer-Encoding: quoted-printable\n\n" + "=C3=A4 b=3D" * 200 + "\n",
    "parts": "Content-Type: multipart/mixed; boundary=b\n\nold\n--b\n\nshort ä\n--b\n"
    f"Content-Type: text/html\n\n{LONG}\n--b\nContent-Type: image/png\n\n{LONG}\n--b\n"
    f"Content-Type: message/rfc822\n\nSubject: {LONG}\n\n{LONG}\n--b--\nend\n",
    "just too long": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n"
    + "x" * 999
    + "\n--b\n\n"
    + "y" * 1000
    + "\n--b--\n",
    "signed beside": "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
    "Content-Type: multipart/signed;"
    f" boundary=c\n\n--c\n\nsaid\n--c\n\nseal\n--c--\n--b\n\n{LONG}\n--b--\n",
}


@pytest.mark.parametrize("text", LONG_MESSAGES.values(), ids=LONG_MESSAGES.keys())
def test_short_lines_hold_the_same(text: str) -> None:
    message = wire(text)
    made = to_short_lines(message)
    assert max(map(len, made.split(b"\r\n"))) <= 998
    assert made.count(b"\n") == made.count(b"\r\n") == made.count(b"\r")
    assert leaves(made) == leaves(message)
    assert len(made) < 2 * len(message)
    assert to_short_lines(made) is made


def test_what_is_short_enough_stays_octet_for_octet() -> None:
    signed = wire(LONG_MESSAGES["signed beside"])
    made = to_short_lines(signed)
    assert signed[signed.index(b"--c") : signed.index(b"--b\r\n\r\n")] in made
    header = wire(f"Subject: {LONG}\nX-Mine:  two  blanks \n\n")
    for body in (b"", b"--\r\n" + b"x" * 998 + b"\r\n"):  # no MIME where only a header was long
        made = to_short_lines(header + body)
        assert made.endswith(b"\r\nX-Mine:  two  blanks \r\n\r\n" + body)
        assert b"MIME" not in made


@pytest.mark.parametrize(
    "line",
    [
        "Subject: " + LONG + "\t",
        "X-Token:" + "x" * 900 + " " + "y" * 997,
        "References: " + " ".join(f"<{n}@d.example>" for n in range(200)) + "  \t" * 20,
        "To: " + ", ".join(f'"B, {n}" <b{n}@d.example>' for n in range(200)),
    ],
)
def test_a_folded_line_reads_the_same(line: str) -> None:
    header = wire(line + "\n")
    made = to_short_lines(header + b"\r\nx\r\n")
    folded = made[: made.index(b"\r\n\r\n")].split(b"\r\n")
    assert b"".join(folded) == header.removesuffix(b"\r\n")
    assert max(map(len, folded)) <= 998
    assert all(part.strip() for part in folded)


@pytest.mark.parametrize("name", ["To", "cc", "Resent-Bcc", "From "])
def test_addresses_without_a_blank_are_parted(name: str) -> None:
    line = f"{name}: " + ",".join(f"b{n}@d.example" for n in range(100))
    made = to_short_lines(wire(line + "\n\nx\n"))
    assert max(map(len, made.split(b"\r\n"))) <= 80
    assert made.replace(b"\r\n", b"").replace(b" ", b"") == wire(line + "x").replace(b" ", b"")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("X: " + "x" * 999 + "\n\nx\n", "header"),
        ("Subject: " + "a,b," * 300 + "\n\nx\n", "header"),  # commas of no addresses
        (f"Content-Transfer-Encoding: x-uuencode\n\n{LONG}\n", "malformed"),
        (f"Content-Type: multipart/mixed; boundary=b\n\n{LONG}\n--b\n\nx\n--b--\n", "malformed"),
        (f"DKIM-Signature: v=1\n\n{LONG}\n", "signed"),
        (f"Content-Type: multipart/signed; boundary=b\n\n--b\n\n{LONG}\n--b--\n", "signed"),
        (f"Content-Type: message/rfc822\n\nDKIM-Signature: v=1\n\n{LONG}\n", "signed"),
    ],
)
def test_what_has_no_place_to_be_broken_is_refused(text: str, reason: str) -> None:
    with pytest.raises(RecodeError) as error:
        to_short_lines(wire(text))
    assert error.value.reason == reason


@given(st.binary(max_size=400))
def test_any_octets_are_answered(octets: bytes) -> None:
    for recode in (to_seven_bits, to_eight_bits, to_binary, to_short_lines):
        with suppress(RecodeError):
            assert isinstance(recode(octets), bytes)
