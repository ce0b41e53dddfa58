"""Signing, and keys."""

from __future__ import annotations

import pytest

from posthouse.explain import Catalogue
from posthouse.explain.catalogue import entries
from posthouse.protocol import dkim, txt
from posthouse.protocol.dns import run
from unit.dkim.dkim_world import MESSAGE, NOW, ed_key, lookup, record, rsa_key, verify

KEY = dkim.SigningKey("example.com", "s", rsa_key())
ED = dkim.SigningKey("example.com", "e", ed_key())
ZONE = {
    "s._domainkey.example.com": record(),
    "e._domainkey.example.com": dkim.record_text(ed_key()),
}
FULL = (
    b"Received: from a by b\r\nReturn-Path: <x@example.com>\r\nDKIM-Signature: v=0\r\n"
    b"To: b@example.net\r\nFROM: a@example.com\r\nsubject: x\r\nList-Id: <l.example.com>\r\n"
    b"List-Unsubscribe: <https://example.com/u>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"Feedback-ID: a:b:c:d\r\nX-Other: y\r\nContent-Type: text/plain\r\n"
    b"To: second@example.net\r\n\r\nhi\r\n"
)


def tags_of(field: bytes) -> dict[str, str]:
    value = field.partition(b":")[2].decode()
    pairs = (tag.partition("=") for tag in value.split(";"))
    return {name.strip(): "".join(value.split()) for name, _, value in pairs}


@pytest.mark.parametrize("header_canon", list(dkim.Canon))
@pytest.mark.parametrize("body_canon", list(dkim.Canon))
@pytest.mark.parametrize("message", [MESSAGE, FULL, b"From: a@example.com", b"From: a\n\nb \n\n"])
def test_what_is_signed_verifies(
    header_canon: dkim.Canon, body_canon: dkim.Canon, message: bytes
) -> None:
    signer = dkim.Signer(
        [KEY, ED], header_canon=header_canon, body_canon=body_canon, lifetime=600, limit_body=True
    )
    for _ in range(2):  # the second time from what was kept
        fields = signer.sign(message, at=NOW)
        results = run(dkim.verify(fields + message, now=NOW + 600), lookup(ZONE)).results[:2]
        assert [result.reason for result in results] == ["ok", "ok"]
    header, start = dkim.split(message)
    streamed = signer.sign_streamed(header, signer.hash([message[start:]]), at=NOW)
    assert streamed.split(b"Signature")[1] == fields.split(b"Signature")[1]
    (late, _) = run(dkim.verify(fields + message, now=NOW + 601), lookup(ZONE)).results[:2]
    assert late.reason == "expired"


def test_the_field() -> None:
    fields = dkim.Signer([KEY, ED]).sign(FULL, at=NOW)
    first, second, end = (
        fields.replace(b"\r\nDKIM", b"\r\n\0DKIM").partition(b"\0")[0],
        *fields.rpartition(b"DKIM-")[1:],
    )
    assert all(len(line) <= 78 for line in fields.split(b"\r\n"))
    assert all(line.startswith((b"DKIM-Signature: ", b" ")) for line in fields.split(b"\r\n")[:-1])
    tags = tags_of(first)
    assert tags.pop("b")
    assert tags.pop("bh")
    assert tags == {
        "v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed", "d": "example.com", "s": "s",
        "t": str(NOW),
        "h": "from:from:subject:to:to:content-type:list-id:list-unsubscribe:list-unsubscribe-post"
        ":feedback-id",
    }  # fmt: skip
    assert tags_of(second + end)["a"] == "ed25519-sha256"


def test_long_names_do_not_break_the_field() -> None:
    domain = ".".join(["a" * 60] * 3)
    key = dkim.SigningKey(domain, "b" * 50, rsa_key(), identity=f"x@{domain}")
    message = b"X-%b: y\r\n" % (b"z" * 100) + MESSAGE
    signer = dkim.Signer([key], names=[*dkim.SIGNED, b"x-" + b"z" * 100])
    fields = signer.sign(message, at=NOW)
    assert max(map(len, fields.split(b"\r\n"))) < 998
    zone = {f"{'b' * 50}._domainkey.{domain}": record()}
    (result,) = run(dkim.verify(fields + message, now=NOW), lookup(zone)).results
    assert result.reason == "ok"
    assert result.identity == f"x@{domain}"


def test_oversigning_all() -> None:
    signer = dkim.Signer([KEY], oversigned=dkim.OVERSIGNED_ALL)
    message = signer.sign(MESSAGE, at=NOW) + MESSAGE
    (result,) = verify(message)
    assert set(result.oversigned) == {name.decode() for name in dkim.OVERSIGNED_ALL}
    for name in dkim.OVERSIGNED_ALL:
        (result,) = verify(message.replace(b"\r\nFrom", b"\r\n" + name + b": x\r\nFrom", 1))
        assert result.reason == "header_changed"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: dkim.SigningKey("bad domain", "s", rsa_key()), "domain"),
        (lambda: dkim.SigningKey("example.com\r\nX: y", "s", rsa_key()), "domain"),
        (lambda: dkim.SigningKey("example.com", "s;x=y", rsa_key()), "domain"),
        (lambda: dkim.SigningKey("example.com", "", rsa_key()), "domain"),
        (
            lambda: dkim.SigningKey("example.com", "s", rsa_key(), identity="@example.org"),
            "identity",
        ),
        (
            lambda: dkim.SigningKey("example.com", "s", rsa_key(), identity="a\n@example.com"),
            "identity",
        ),
        (lambda: dkim.Signer([KEY], names=[b"to"], oversigned=[]), "from_not_signed"),
        (lambda: dkim.Signer([KEY]).sign(b"To: x\r\n\r\n", at=NOW), "no_from"),
        (lambda: dkim.Signer([KEY]).sign(b"", at=NOW), "no_from"),
    ],
)
def test_what_cannot_be_signed(make, reason: str) -> None:
    with pytest.raises((dkim.SigningError, dkim.SignatureError)) as caught:
        make()
    assert caught.value.reason == reason
    assert isinstance(caught.value, dkim.SigningError)


def test_private_keys_in_files(tmp_path) -> None:
    from cryptography.hazmat.primitives import serialization as ser
    from cryptography.hazmat.primitives.asymmetric import ec

    for key in (rsa_key(), ed_key()):
        again = dkim.read_private_key(dkim.write_private_key(key))
        assert dkim.matches(again, dkim.parse_key_record(dkim.record_text(key)))
    pem, none = ser.Encoding.PEM, ser.NoEncryption()
    old = rsa_key().private_bytes(pem, ser.PrivateFormat.TraditionalOpenSSL, none)
    assert b"BEGIN RSA PRIVATE KEY" in old
    assert dkim.matches(dkim.read_private_key(old), dkim.parse_key_record(record()))
    locked = rsa_key().private_bytes(
        pem, ser.PrivateFormat.PKCS8, ser.BestAvailableEncryption(b"x")
    )
    assert dkim.matches(dkim.read_private_key(locked, b"x"), dkim.parse_key_record(record()))
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        pem, ser.PrivateFormat.PKCS8, none
    )
    for octets, password, reason in [
        (locked, None, "encrypted"),
        (locked, b"y", "encrypted"),
        (b"", None, "unreadable"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", None, "unreadable"),
        (other, None, "kind"),
    ]:
        with pytest.raises(dkim.PrivateKeyError) as caught:
            dkim.read_private_key(octets, password)
        assert caught.value.reason == reason


def test_a_key_that_does_not_match() -> None:
    assert not dkim.matches(dkim.generate(), dkim.parse_key_record(record()))
    assert not dkim.matches(ed_key(), dkim.parse_key_record(record()))


def test_the_record() -> None:
    text = dkim.record_text(rsa_key(), testing=True, strict=True)
    assert text.startswith("v=DKIM1; k=rsa; t=y:s; p=MII")
    strings = txt.strings(text)
    assert b"".join(strings) == text.encode()
    assert [len(string) <= 255 for string in strings] == [True, True]
    parsed = dkim.parse_key_record(text)
    assert (parsed.testing, parsed.strict, parsed.bits) == (True, True, 2048)


def test_generated_keys_differ() -> None:
    one, other = dkim.generate("ed25519"), dkim.generate("ed25519")
    assert dkim.record_text(one) != dkim.record_text(other)


def test_words() -> None:
    for area in ("private_key", "signing"):
        keys = {
            key.partition(".")[2] for key in entries("en", "dkim") if key.startswith(f"{area}.")
        }
        assert keys
        for key in keys:
            assert Catalogue("zh", strict=True).text(f"dkim.{area}.{key}")
