"""Targets of what is signed: DKIM, ARC, and the results others write.

Whoever has no private key can make nothing pass that was not signed: that is looked at as well.
"""

# ruff: noqa: PT017  a target looks at an error where it catches it

from __future__ import annotations

from contextlib import suppress
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ed25519

from fuzz.mutate import cuts
from fuzz.smtp import text_of
from posthouse.protocol import arc, authres, dkim, txt
from posthouse.protocol.dkim.body import canonical_body
from posthouse.protocol.dkim.canon import CRLF, relaxed_field
from posthouse.protocol.dkim.fields import crlf
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, run

NOW = 1_750_000_000
_PRIVATE = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
_KEY = dkim.SigningKey("a.test", "s", _PRIVATE)
_RECORD = dkim.record_text(_PRIVATE)
_LIMITS = (None, 0, 1, 7, 200)
BODY = b"Hello,\r\n\r\n  a \tb \r\n-- \r\nC\r\n\r\n"
HEADER = (
    b"Received: from x by y; Tue, 13 Jan 2026 10:00:00 +0100\r\n"
    b"From: Alice <alice@a.test>\r\nTo: bob@b.test\r\nSubject: A  folded\r\n\tsubject\r\n"
    b"Authentication-Results: mx.test; spf=pass smtp.mailfrom=a.test; dkim=none\r\n"
)
MESSAGE = HEADER + CRLF + BODY

HEADERS = (
    HEADER,
    MESSAGE,
    MESSAGE.replace(CRLF, b"\n"),
    b"From x\nFrom : a\n\nb",
    b" a: b\r\n\r\n",
)
BODIES = (BODY, b"\r\n\r\n", b"", b"a \t\n \r\r\n\n\n", b"a" * 70 + b" \r\n" * 9)
KEY_RECORDS = (
    _RECORD.encode(),
    b"v=DKIM1; k=rsa; h=sha256:sha1; s=email:*; t=y:s; n=x; p="
    b"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt"
    b"IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0"
    b"fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB",
    b"p=",
)
RESULTS = (
    b' mx.test 1; spf=pass (ok (really)) smtp.mailfrom=a@b.test;\r\n dkim=fail/1 reason="bad \\" x"'
    b" header.d=a.test header.b=abcd; dmarc=none",
    b"mx.test; none",
    b" spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=a.test;dkim=pass . header . d = x",
    b" i=1; mx.test; arc=none",
    b"mx.test; spf=pass (\x7f a (b c)) smtp.mailfrom=a@b",
)


def _published(data: bytes) -> Answer:
    return Answer("", "TXT", AnswerStatus.OK, (_RECORD,))


@cache
def signed() -> tuple[bytes, ...]:
    """A message signed in each form, and with the key records behind a NUL."""
    made = []
    for canon in dkim.Canon:
        for limit in (False, True):
            signer = dkim.Signer(
                [_KEY], header_canon=canon, body_canon=canon, lifetime=100, limit_body=limit
            )
            made.append(signer.sign(MESSAGE, at=NOW) + MESSAGE)
    return (*made, made[0] + b"\0" + KEY_RECORDS[0] + b"\0" + KEY_RECORDS[1])


@cache
def sealed() -> tuple[bytes, ...]:
    """A chain of one set, and of two."""
    made = [MESSAGE]
    for _ in range(2):
        chain = run(arc.verify(made[-1]), lambda ask: _published(b""))
        sealer = arc.Sealer(_KEY)
        value = "mx.test; spf=pass smtp.mailfrom=a.test"
        made.append(sealer.seal(made[-1], chain, value, at=NOW) + made[-1])
    return tuple(made[1:])


def header(data: bytes) -> None:
    """Whatever line ends it has, the header is the same, and nothing of it is lost."""
    found, start = dkim.split(data)
    assert 0 <= start <= len(data)
    assert len(found.names) == len(found.raws) == len(found.relaxed)
    for raw, relaxed in zip(found.raws, found.relaxed, strict=True):
        assert relaxed_field(raw) == relaxed
        assert relaxed_field(relaxed) == relaxed or not relaxed.partition(b":")[0]
    unix = data.replace(CRLF, b"\n")
    again, there = dkim.split(unix.replace(b"\n", CRLF))
    assert again.raws == found.raws
    assert unix.replace(b"\n", CRLF)[there:] == crlf(data[start:])
    if found.raws and not data.startswith(b"From "):
        assert crlf(data).startswith(CRLF.join(found.raws))
    names = [name for name in found.names for _ in range(2)]
    places = found.select(names)
    assert len(set(places)) == len(places)


def body(data: bytes) -> None:
    """In pieces cut anywhere it is what it is as a whole; and no more can be taken off."""
    wants = [(canon, limit) for canon in dkim.Canon for limit in _LIMITS]
    whole, pieces = dkim.hash_body(data, wants), dkim.hash_body(cuts(data), wants)
    plain = data.replace(CRLF, b"\n")
    unix = dkim.hash_body(cuts(plain if b"\r" not in plain else data), wants)
    for canon, limit in wants:
        assert whole.digest(canon, limit) == pieces.digest(canon, limit)
        assert whole.digest(canon, limit) == unix.digest(canon, limit)
    for canon in dkim.Canon:
        made = canonical_body(crlf(data), canon)
        assert dkim.hash_body(made, [(canon, None)]).digest(canon) == whole.digest(canon)
        assert canonical_body(made, canon) == made
        assert whole.length(canon) == pieces.length(canon) == len(made)
        assert made.endswith(CRLF) or not made


def key(data: bytes) -> None:
    try:
        found = dkim.parse_key_record(text_of(data))
    except dkim.KeyRecordError as error:
        assert error.reason.startswith("key_")
        return
    assert found.bits > 0
    written = dkim.record_text(found.key)
    again = dkim.parse_key_record(b"".join(txt.strings(written)).decode())
    assert dkim.record_text(again.key) == written
    with suppress(dkim.PrivateKeyError):
        dkim.read_private_key(data)


def verify(data: bytes) -> None:
    """A message; behind a NUL, the records at the name of every key."""
    message, *records = data.split(b"\0")
    texts = tuple(text_of(one) for one in records) or (_RECORD,)
    asked: list[Ask] = []

    def lookup(ask: Ask) -> Answer:
        asked.append(ask)
        assert len(ask.name) <= 253
        return Answer(ask.name, ask.type, AnswerStatus.OK, texts)

    found = run(dkim.verify(message, now=NOW + 1), lookup)
    assert len(asked) <= 8
    for result in found.results:
        assert dkim.REASONS[result.reason] is result.code
        authres.write_value(authres.AuthResults("mx.test", (authres.dkim_result(result),)))
        if result.passed and not records:
            _unchanged(message, result)


def _unchanged(message: bytes, result: dkim.Result) -> None:
    """What passes is what was signed: the body as far as l= reaches, and the one From."""
    signed_header, start = dkim.split(message)
    assert any(
        canonical_body(crlf(message[start:]), canon)[: result.length]
        == canonical_body(BODY, canon)[: result.length]
        for canon in dkim.Canon
    )
    (sender,) = signed_header.named(b"from")
    assert relaxed_field(sender.raw) == b"from:Alice <alice@a.test>"
    assert (result.domain, result.selector) == ("a.test", "s")


def sign(data: bytes) -> None:
    """What is signed passes, whatever it is, with either line end, in either form."""
    for message in (data, b"From: a@a.test\r\n" + data, b"From: a@a.test\r\n\r\n" + data):
        for canon in dkim.Canon:
            signer = dkim.Signer([_KEY], header_canon=canon, body_canon=canon)
            try:
                fields = signer.sign(message, at=NOW)
            except dkim.SigningError as error:
                assert error.reason == "no_from"
                continue
            head, start = dkim.split(message)
            if head.raws[0].startswith((b" ", b"\t")):
                continue  # no header begins so: it would go on with the signature
            streamed = signer.hash(cuts(message[start:]))
            assert signer.sign_streamed(head, streamed, at=NOW) == fields
            first = b"".join(message.partition(b"\n")[:2]) if message.startswith(b"From ") else b""
            whole = fields + message.removeprefix(first)
            found = run(dkim.verify(crlf(whole), now=NOW), lambda ask: _published(b""))
            # The message may bring signatures of its own.
            assert found.results[0].reason in ("ok", "header_too_large"), found.results[0]


def chain(data: bytes) -> None:
    message, *records = data.split(b"\0")
    texts = tuple(text_of(one) for one in records) or (_RECORD,)
    answer = Answer("", "TXT", AnswerStatus.OK, texts)
    for oldest in (False, True):
        found = run(arc.verify(message, oldest=oldest), lambda ask: answer)
        authres.write_value(authres.AuthResults("mx.test", (found.method_result,)))
        assert len(found.sets) <= arc.INSTANCES_LIMIT
        if found.code is arc.ArcCode.PASS and not records:
            start = dkim.split(message)[1]
            canon = dkim.Canon.RELAXED
            assert canonical_body(crlf(message[start:]), canon) == canonical_body(BODY, canon)
            assert found.sets


def seal(data: bytes) -> None:
    """What is sealed passes, and passes again with one set more."""
    message = b"From: a@a.test\r\n" + data
    chained = run(arc.verify(message), lambda ask: _published(b""))
    for _ in range(2):
        results = authres.merged(dkim.split(message)[0], "mx.test")
        fields = arc.Sealer(_KEY).seal(message, chained, results, at=NOW)
        if not fields:
            return
        message = fields + message
        before, chained = chained, run(arc.verify(message), lambda ask: _published(b""))
        if before.code is arc.ArcCode.FAIL or chained.reason == "header_too_large":
            return
        assert chained.code is arc.ArcCode.PASS, chained.reason


def results(data: bytes) -> None:
    """Read, written and read again they are the same; no line of them can be taken for another."""
    found = authres.parse(data)
    assert len(found.results) <= authres.RESULTS_LIMIT
    authres.parse_arc(data)
    authres.is_forged(data, ["mx.test"])
    with suppress(authres.AuthResError):
        value = authres.write_value(found)
        again = authres.parse(value)
        assert authres.write_value(again) == value
        assert [(r.method, r.result, r.properties) for r in again.results] == [
            (r.method, r.result, _plain(r.properties)) for r in found.results
        ]
        folded = authres.write(found)
        assert folded.endswith("\r\n")
        for line in folded.removesuffix("\r\n").split("\r\n")[1:]:
            assert line.startswith(" ")
            assert line.strip()
        assert folded.count("\r") == folded.count("\n") == folded.count("\r\n")


def _plain(properties: tuple[authres.Property, ...]) -> tuple[authres.Property, ...]:
    """Controls become blanks when written."""
    return tuple(one._replace(value=authres._CONTROL.sub(" ", one.value)) for one in properties)


def forged(data: bytes) -> None:
    """Nothing is left that pretends to be ours, and what is ours is kept whole."""
    kept = authres.without_forged(data, ["mx.test"])
    header_left = dkim.parse_header(kept)
    for field in header_left.named(authres.NAME):
        assert not authres.is_forged(field.value, ["mx.test"])
    value = authres.merged(dkim.parse_header(data), "mx.test")
    assert authres.parse(value).authserv_id == "mx.test"
    text = authres.fold("Authentication-Results", value)
    (only,) = dkim.parse_header(text.encode("utf-8", "replace")).named(authres.NAME)
    assert authres.parse(only.value).authserv_id == "mx.test"
