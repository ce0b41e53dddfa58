"""Against dkimpy: each verifies what the other signs, and both see what was changed."""

from __future__ import annotations

import base64
import time

import dkim as dkimpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthouse.protocol import dkim
from posthouse.protocol.dns import Answer, AnswerStatus, run
from unit.dkim.dkim_world import ed_key, record, rsa_key

NOW = int(time.time())  # dkimpy reads the clock
PEM = dkim.write_private_key(rsa_key())
RECORDS = {"s": record(), "e": dkim.record_text(ed_key())}
CANONS = [(header, body) for header in dkim.Canon for body in dkim.Canon]
SEED = base64.b64encode(ed_key().private_bytes_raw())

# Where dkimpy leaves the RFC: in relaxed form it takes VT, FF and a bare CR in a header for white
# space, and keeps a blank at the end of a last line without an end. Such messages are left out.
TEXT = st.text(alphabet="ab :;=\t  äß.", max_size=30)
NAMES = st.sampled_from(["To", "Cc", "Subject", "X-Thing", "Received", "SUBJECT", "to"])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    end = draw(st.sampled_from(["\r\n", "\r\n", "\n"]))
    lines = ["From: Alice <alice@example.com>"]
    for name, value, more in draw(st.lists(st.tuples(NAMES, TEXT, TEXT), max_size=5)):
        folded = f"{end}\t{more}x" if more.strip() else ""
        lines.insert(draw(st.integers(0, len(lines))), f"{name}:{value}{folded}")
    body = draw(st.lists(TEXT, max_size=6))
    return end.join([*lines, "", *body, *([""] if body else [])]).encode()


def ours(message: bytes) -> list[str]:
    def answer(ask):
        selector = ask.name.partition(".")[0]
        return Answer(ask.name, ask.type, AnswerStatus.OK, (RECORDS[selector],))

    return [result.reason for result in run(dkim.verify(message, now=NOW), answer).results]


def theirs(message: bytes, index: int = 0) -> bool:
    def dns(name: bytes, timeout: int = 5) -> bytes:
        return RECORDS[name.decode().partition(".")[0]].encode()

    try:
        return dkimpy.DKIM(message).verify(idx=index, dnsfunc=dns)
    except dkimpy.DKIMException:
        return False


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages(), st.sampled_from(CANONS))
def test_they_verify_ours(message: bytes, canons: tuple[dkim.Canon, dkim.Canon]) -> None:
    keys = [
        dkim.SigningKey("example.com", "s", rsa_key()),
        dkim.SigningKey("example.com", "e", ed_key()),
    ]
    signer = dkim.Signer(
        keys, names=[*dkim.SIGNED, b"received"], header_canon=canons[0], body_canon=canons[1]
    )
    signed = signer.sign(message, at=NOW) + message
    assert (theirs(signed), theirs(signed, 1)) == (True, True)
    assert ours(signed) == ["ok", "ok"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages(), st.sampled_from(CANONS), st.booleans(), st.booleans())
def test_we_verify_theirs(
    message: bytes, canons: tuple[dkim.Canon, dkim.Canon], edwards: bool, length: bool
) -> None:
    field = dkimpy.sign(
        message,
        b"e" if edwards else b"s",
        b"example.com",
        SEED if edwards else PEM,
        canonicalize=tuple(canon.value.encode() for canon in canons),
        signature_algorithm=b"ed25519-sha256" if edwards else b"rsa-sha256",
        length=length,
    )
    assert ours(field + message) == ["ok"]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    messages(),
    st.sampled_from(CANONS),
    st.integers(0, 10_000),
    st.sampled_from([b" ", b"\t", b"x", b"\r\n", b"\r\n ", b"", b"A"]),
)
def test_both_judge_a_change_alike(
    message: bytes, canons: tuple[dkim.Canon, dkim.Canon], place: int, change: bytes
) -> None:
    signer = dkim.Signer(
        [dkim.SigningKey("example.com", "s", rsa_key())],
        header_canon=canons[0],
        body_canon=canons[1],
    )
    field = signer.sign(message, at=NOW)
    at = place % (len(message) + 1)
    changed = message[:at] + change + message[at + (change == b"") :]
    if not changed.endswith(b"\n") or not parseable(changed):
        return
    if changed.count(b"\r") != changed.count(b"\r\n"):
        return
    assert (ours(field + changed) == ["ok"]) == theirs(field + changed)


def parseable(message: bytes) -> bool:
    """dkimpy gives up on lines that are no field; they prove nothing about signatures.

    "From : Alice" is a field (RFC 5322 section 4.5.8), and the same in relaxed form; dkimpy takes
    it for an mbox's line and leaves it out.
    """
    try:
        dkimpy.rfc822_parse(message)
    except (dkimpy.MessageFormatError, IndexError):
        return False
    fields = message.replace(b"\r\n", b"\n").partition(b"\n\n")[0].split(b"\n")
    if any(line.startswith(b"From ") for line in fields):
        return False
    return all(name for name in dkim.split(message)[0].names)


@pytest.mark.parametrize("bits", [1024, 3072])
def test_other_lengths_of_keys(bits: int) -> None:
    message = b"From: a@example.com\r\n\r\nhello\r\n"
    pem = dkim.write_private_key(rsa_key(bits))
    field = dkimpy.sign(message, b"s", b"example.com", pem)
    answer = Answer("", "TXT", AnswerStatus.OK, (record(bits),))
    (result,) = run(dkim.verify(field + message, now=NOW), lambda ask: answer).results
    assert (result.reason, result.key_bits) == ("ok", bits)
