"""The messages and keys of dkimpy's own tests.

They are read from $POSTHOUSE_SUITES (by default the folder ../shared/suites beside the project)
and skipped by name where they are not there.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from posthouse.protocol import dkim
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, run

ROOT = Path(__file__).resolve().parents[2]
SUITES = Path(os.environ.get("POSTHOUSE_SUITES", ROOT.parent / "shared" / "suites"))
FOLDER = SUITES / "dkim-dkimpy"
NOW = 1_530_000_000
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}")


def read(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def record(name: str) -> str:
    return read(name).decode().strip()


def results(message: bytes, records: dict[str, str]) -> list[tuple[str, str]]:
    def answer(ask: Ask) -> Answer:
        selector = ask.name.partition("._domainkey.")[0]
        text = records.get(selector, records.get("*"))
        if text is None:
            return Answer(ask.name, ask.type, AnswerStatus.NXDOMAIN)
        return Answer(ask.name, ask.type, AnswerStatus.OK, (text,))

    found = run(dkim.verify(message, now=NOW), answer).results
    return [(result.code.value, result.reason) for result in found]


# key record of dkimpy's -> what it does to a signature by its private key
RECORDS = {
    "test.txt": "ok",
    "test2.txt": "ok",
    "test_bad.txt": "key_data",
    "badversion.txt": "key_version",
    "badk.txt": "key_type",
    "test_tlsrpt.txt": "key_service",
}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("message", ["test.message", "test_extra.message", "rfc6376.msg"])
def test_records(name: str, message: str) -> None:
    private = dkim.read_private_key(read("test.private"))
    signer = dkim.Signer([dkim.SigningKey("example.com", "test", private)])
    signed = signer.sign(read(message), at=NOW) + read(message)
    ((_, reason),) = results(signed, {"test": record(name)})
    allowed = {"key_data", "header_changed"} if name == "test_bad.txt" else {RECORDS[name]}
    assert reason in allowed


def test_the_key_pair_fits() -> None:
    private = dkim.read_private_key(read("test.private"))
    assert dkim.matches(private, dkim.parse_key_record(record("test.txt")))
    assert not dkim.matches(dkim.generate("ed25519"), dkim.parse_key_record(record("test.txt")))


def test_a_message_signed_by_exim() -> None:
    """ed25519test2.msg: its folds and its b= broken at odd places."""
    found = results(read("ed25519test2.msg"), {"sed": record("eximtest.dns")})
    assert [code for code, _ in found] == ["pass"]


def test_the_rfc_s_message_signed_twice() -> None:
    seed = base64.b64decode(read("rfc8032_7_1.key"))
    edwards = Ed25519PrivateKey.from_private_bytes(seed)
    records = {"brisbane": dkim.record_text(edwards), "test": record("test.txt")}
    found = results(read("rfc6376.signed.msg"), records)
    assert found == [("pass", "ok"), ("pass", "ok")]


def test_an_old_ed25519_key() -> None:
    seed = base64.b64decode(read("ed25519test.key"))
    edwards = Ed25519PrivateKey.from_private_bytes(seed)
    assert dkim.matches(edwards, dkim.parse_key_record(record("ed25519test.dns")))
    signer = dkim.Signer([dkim.SigningKey("example.com", "test", edwards)])
    message = read("ed25519test.msg")
    found = results(signer.sign(message, at=NOW) + message, {"test": record("ed25519test.dns")})
    assert found == [("pass", "ok")]


def test_degenerate_folding() -> None:
    """test2.message: a name of h= and a part of b= stand on odd lines; its key is long gone."""
    assert results(read("test2.message"), {}) == [("permerror", "no_key")]
    (wrong,) = results(read("test2.message"), {"*": record("test.txt")})
    assert wrong in {("fail", "header_changed"), ("fail", "body_changed")}


def test_a_message_without_from_is_not_signed() -> None:
    private = dkim.read_private_key(read("test.private"))
    signer = dkim.Signer([dkim.SigningKey("example.com", "test", private)])
    with pytest.raises(dkim.SigningError, match="no_from"):
        signer.sign(read("test_nofrom.message"), at=NOW)


def test_every_message_of_the_mailbox() -> None:
    """message.mbox: whatever it holds is read, and what is signed by us verifies."""
    private = dkim.read_private_key(read("test.private"))
    signer = dkim.Signer([dkim.SigningKey("example.com", "test", private)])
    message = read("message.mbox")
    signed = signer.sign(message, at=NOW) + message.partition(b"\n")[2]
    assert results(signed, {"test": record("test.txt")})[0] == ("pass", "ok")
