"""Whatever a stranger sends: results, nothing raised, and no more than linear time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budget import soon
from posthouse.protocol import arc, authres, dkim
from posthouse.protocol.dns import Answer, AnswerStatus, run
from unit.dkim.dkim_vectors import RFC6376, RFC8463, ZONE
from unit.dkim.dkim_world import NOW, handmade, record

RECORDS = [*ZONE.values(), record(), "v=DKIM1; p=", "p=AAAA", ""]
TOKENS = [
    b";",
    b"=",
    b":",
    b"\r\n",
    b"\r\n ",
    b"\n",
    b"\x00",
    b"b=",
    b"h=",
    b"\xff",
    b"v=1",
    b"i=2",
]


def mangle(draw: st.DrawFn, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 12)))
        data[at:end] = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=4)))
    return bytes(data)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    chain = (
        b"ARC-Seal: i=1; a=rsa-sha256; cv=none; d=a.example; s=s; b=AAAA\r\n"
        b"ARC-Message-Signature: i=1; a=rsa-sha256; d=a.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"
        b"ARC-Authentication-Results: i=1; a.example; none\r\n"
    )
    return mangle(draw, draw(st.sampled_from([RFC8463, RFC6376, handmade(), chain + RFC6376])))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages(), st.lists(st.sampled_from(RECORDS), max_size=3), st.sampled_from(AnswerStatus))
def test_verifying_never_raises(message: bytes, records: list[str], status: AnswerStatus) -> None:
    answer = Answer("", "TXT", status, tuple(records) if status is AnswerStatus.OK else ())
    for result in run(dkim.verify(message, now=NOW), lambda ask: answer).results:
        assert result.code == dkim.REASONS[result.reason]
    chain = run(arc.verify(message, oldest=True), lambda ask: answer)
    assert chain.code in ("none", "fail", "pass")
    header, _ = dkim.split(message)
    authres.merged(header, "a.example")


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60), st.text(alphabet="vkpts=DKIM1;: rsaed25519A/+\r\n\t", max_size=60)
    )
)
def test_key_records_raise_their_own_error_only(text: str) -> None:
    reason = "ok"
    try:
        dkim.parse_key_record(text)
    except dkim.KeyRecordError as error:
        reason = error.reason
    assert reason in dkim.REASONS


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_private_keys_raise_their_own_error_only(octets: bytes) -> None:
    with pytest.raises(dkim.PrivateKeyError):
        dkim.read_private_key(b"-----BEGIN PRIVATE KEY-----\n" + octets)


SIZE = 100_000
HOSTILE = {
    "blanks": b"DKIM-Signature:" + b" " * SIZE,
    "tabs and folds": b"DKIM-Signature: v=1;" + b"\r\n\t \t" * (SIZE // 5),
    "semicolons": b"DKIM-Signature: v=1" + b";" * SIZE,
    "equals signs": b"DKIM-Signature: v=1; b" + b"=" * SIZE,
    "colons": b"DKIM-Signature: v=1; h=from" + b":" * SIZE,
    "b= of blanks": b"DKIM-Signature: v=1; b=" + b"A " * (SIZE // 2),
    "fields without colon": b"x\r\n" * (SIZE // 3),
    "one letter fields": b"a:\r\n" * (SIZE // 4),
    "bare CR": b"a:" + b"\r" * SIZE,
    "empty signatures": b"DKIM-Signature:\r\n" * (SIZE // 17),
    "comments": b"Authentication-Results: " + b"(" * SIZE,
    "quotes": b"Authentication-Results: x; " + b'"\\' * (SIZE // 2),
    "results": b"Authentication-Results: x" + b"; a=b" * (SIZE // 5),
    "words": b"Authentication-Results: x; " + b". " * (SIZE // 2) + b"=b",
    "seals": b"ARC-Seal: i=1\r\n" * (SIZE // 15),
    "results of a chain": b"ARC-Authentication-Results: i=1" + b" " * SIZE,
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_time_is_linear(kind: str) -> None:
    message = HOSTILE[kind] + b"\r\nFrom: a@example.com\r\n\r\n" + b" \t\r\n" * 1_000
    answer = Answer("", "TXT", AnswerStatus.NXDOMAIN)
    with soon(1.0):
        run(dkim.verify(message, now=NOW), lambda ask: answer)
        run(arc.verify(message), lambda ask: answer)
        header, _ = dkim.split(message)
        value = authres.merged(header, "x")
        authres.fold("Authentication-Results", value)
        authres.without_forged(HOSTILE[kind] + b"\r\n", ["x"])
