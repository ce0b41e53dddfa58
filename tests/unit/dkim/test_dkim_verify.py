"""Verifying: one row for each way a signature, a key or a message can be."""

from __future__ import annotations

import pytest

from posthouse.explain import Catalogue
from posthouse.protocol import dkim
from posthouse.protocol.dkim.result import REASONS
from posthouse.protocol.dkim.verify import FIELDS_LIMIT, SIGNATURES_LIMIT
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, run
from unit.dkim import dkim_vectors as vectors
from unit.dkim.dkim_world import MESSAGE, NOW, ed_key, handmade, record, rsa_key, verify


def outcome(message: bytes, zone: object = None, now: int = NOW) -> tuple[str, str]:
    (result,) = verify(message, zone, now)
    assert result.code == REASONS[result.reason]
    return result.code.value, result.reason


def test_the_signatures_printed_in_rfc_8463() -> None:
    results = run(dkim.verify(vectors.RFC8463, now=NOW), vectors.lookup).results
    assert [(r.code, r.algorithm, r.key_bits) for r in results] == [
        ("pass", "ed25519-sha256", 256),
        ("pass", "rsa-sha256", 1024),
    ]
    assert results[0].oversigned == ("from", "subject", "date")


def test_the_signature_printed_in_rfc_6376() -> None:
    (result,) = run(dkim.verify(vectors.RFC6376, now=NOW), vectors.lookup).results
    assert (result.code, result.domain, result.identity) == (
        "pass", "example.com", "joe@football.example.com",
    )  # fmt: skip
    assert result.signed == ("received", "from", "to", "subject", "date", "message-id")


@pytest.mark.parametrize("change", [b"joe@", b"dinner", b"lost", b"(PDT)", b"2jUS", b"submit"])
def test_any_change_of_what_is_signed_breaks_it(change: bytes) -> None:
    broken = vectors.RFC6376.replace(change, change.swapcase())
    assert broken != vectors.RFC6376
    (result,) = run(dkim.verify(broken, now=NOW), vectors.lookup).results
    assert result.code == "fail"


SIGNATURE_ROWS = {
    "as it should be": ({}, "ok"),
    "no v": ({"v": "-"}, "tag_missing"),
    "v=2": ({"v": "2"}, "version"),
    "v=1 with blanks around": ({"v": " 1 "}, "ok"),
    "v=01": ({"v": "01"}, "version"),
    "no a": ({"a": "-"}, "tag_missing"),
    "a empty": ({"a": ""}, "algorithm"),
    "a in capitals": ({"a": "RSA-SHA256"}, "algorithm"),
    "rsa-sha1": ({"a": "rsa-sha1"}, "rsa_sha1"),
    "rsa-md5": ({"a": "rsa-md5"}, "algorithm"),
    "ed25519 over an RSA key": ({"a": "ed25519-sha256"}, "key_mismatch"),
    "no d": ({"d": "-"}, "tag_missing"),
    "d empty": ({"d": ""}, "domain"),
    "d with a blank": ({"d": "exam ple.com"}, "domain"),
    "d with an empty label": ({"d": "example..com"}, "domain"),
    "d with a final dot": ({"d": "example.com."}, "domain"),
    "d in capitals": ({"d": "Example.COM"}, "ok"),
    "no s": ({"s": "-"}, "tag_missing"),
    "s empty": ({"s": ""}, "domain"),
    "s in capitals": ({"s": "S"}, "ok"),
    "s too long": ({"s": ".".join(["a" * 60] * 4)}, "domain"),
    "no h": ({"h": "-"}, "tag_missing"),
    "h without from": ({"h": "to:subject"}, "from_not_signed"),
    "h empty": ({"h": ""}, "from_not_signed"),
    "h in capitals": ({"h": "FROM:To:Subject"}, "ok"),
    "h with folds": ({"h": "from :\r\n\t to\r\n : subject"}, "ok"),
    "h names what is not there": ({"h": "from:to:cc:subject:date"}, "ok"),
    "h oversigns": ({"h": "from:from:from:subject:subject"}, "ok"),
    "h names itself, not there yet": ({"h": "from:dkim-signature"}, "ok"),
    "h with an empty name": ({"h": "from::to"}, "ok"),
    "h endless": ({"h": "from:" + "x:" * 600}, "too_many_names"),
    "no bh": ({"bh": "-"}, "tag_missing"),
    "bh empty": ({"bh": ""}, "tag_value"),
    "bh no base64": ({"bh": "*" * 44}, "tag_value"),
    "bh of another body": ({"bh": "A" * 43 + "="}, "body_changed"),
    "bh of another length": ({"bh": "AAAA"}, "body_changed"),
    "c empty": ({"c": ""}, "canonicalization"),
    "c unknown": ({"c": "nofws"}, "canonicalization"),
    "c half": ({"c": "simple"}, "ok"),
    "c with an empty half": ({"c": "simple/"}, "canonicalization"),
    "c whole": ({"c": "simple/simple"}, "ok"),
    "c of three": ({"c": "simple/simple/simple"}, "canonicalization"),
    "i of the domain": ({"i": "@example.com"}, "ok"),
    "i below it": ({"i": "joe@mail.Example.com"}, "ok"),
    "i elsewhere": ({"i": "joe@example.org"}, "identity"),
    "i that only looks like it": ({"i": "joe@badexample.com"}, "identity"),
    "i above it": ({"i": "joe@com"}, "identity"),
    "i without @": ({"i": "example.com"}, "tag_value"),
    "l of all": ({"l": "12"}, "ok"),
    "l past the end": ({"l": "13"}, "body_too_short"),
    "l of 76 digits": ({"l": "9" * 76}, "body_too_short"),
    "l of 77 digits": ({"l": "9" * 77}, "tag_value"),
    "l empty": ({"l": ""}, "tag_value"),
    "l negative": ({"l": "-1"}, "tag_value"),
    "q known": ({"q": "dns/txt"}, "ok"),
    "q among unknown ones": ({"q": "http/x : dns/txt"}, "ok"),
    "q unknown": ({"q": "http/x"}, "query"),
    "q empty": ({"q": ""}, "query"),
    "t past": ({"t": str(NOW - 5)}, "ok"),
    "t a bit ahead": ({"t": str(NOW + 200)}, "ok"),
    "t far ahead": ({"t": str(NOW + 86_400)}, "future"),
    "t no number": ({"t": "yesterday"}, "tag_value"),
    "t with a blank": ({"t": "17 00"}, "tag_value"),
    "t of 13 digits": ({"t": "1" * 13}, "tag_value"),
    "x to come": ({"x": str(NOW + 1)}, "ok"),
    "x now": ({"x": str(NOW)}, "ok"),
    "x past": ({"x": str(NOW - 1)}, "expired"),
    "x no later than t": ({"t": str(NOW), "x": str(NOW)}, "tag_value"),
    "x empty": ({"x": ""}, "tag_value"),
    "z ignored": ({"z": "From:foo@eng.example.net|To:joe@example.com|Subject:demo=20run"}, "ok"),
    "an unknown tag": ({"zz_9": "=;"[0]}, "ok"),
    "a tag name of digits": ({"9z": "x"}, "syntax"),
    "a tag name with a dash": ({"a-b": "x"}, "syntax"),
    "a tag in capitals is another": ({"V": "2"}, "ok"),
    "a tag twice": ({"zz": "1; zz=1"}, "syntax"),
    "an empty tag": ({"zz": "1;"}, "syntax"),
    "a tag without =": ({"zz": "1; zzz"}, "syntax"),
    "a control character": ({"zz": "\x07"}, "syntax"),
    "8 bits in an unknown tag": ({"zz": "grün"}, "ok"),
}  # fmt: skip


@pytest.mark.parametrize("row", SIGNATURE_ROWS)
def test_signature(row: str) -> None:
    tags, reason = SIGNATURE_ROWS[row]
    zone = {f"{name}._domainkey.example.com": record() for name in ("s", "S")}
    assert outcome(handmade(**tags), zone)[1] == reason


def test_b_may_be_folded_anywhere_and_its_white_space_does_not_count() -> None:
    assert outcome(handmade(folded="\r\n\t ")) == ("pass", "ok")
    # White space around the tag's name is signed: this form is simple.
    assert outcome(handmade().replace(b"; b=", b";\r\n b=")) == ("fail", "header_changed")
    assert outcome(handmade().replace(b"; b=", b"; b =")) == ("fail", "header_changed")
    assert outcome(handmade().replace(b"; b=", b"; b=\r\n\t  ")) == ("pass", "ok")
    assert outcome(handmade().replace(b"\r\nFrom", b" \t\r\nFrom", 1)) == ("pass", "ok")


def test_b_in_other_tags_is_not_blanked() -> None:
    assert outcome(handmade(zz="b=c", ab="x", bb="b")) == ("pass", "ok")


def test_b_missing_or_bad() -> None:
    whole, _, _ = handmade().partition(b"\r\n")
    start = whole[: whole.index(b" b=")]
    rest = b"\r\n" + MESSAGE
    assert outcome(start.rstrip(b";") + rest) == ("neutral", "tag_missing")
    assert outcome(start + b" b=" + rest) == ("neutral", "tag_value")
    assert outcome(start + b" b=*" + rest) == ("neutral", "tag_value")
    assert outcome(start + b" b=AAAA" + rest) == ("fail", "header_changed")
    assert outcome(whole.rstrip(b"=") + rest) == ("pass", "ok")  # padding may be left out
    assert outcome(whole + b";" + rest) == ("fail", "header_changed")
    assert outcome(whole[:-4] + b"=" * 5 + rest)[0] == "neutral"


KEY_ROWS = {
    "without v": (record(v="-"), "ok"),
    "v not first": (record(v="-") + "; v=DKIM1", "key_version"),
    "v unknown": (record(v="DKIM2"), "key_version"),
    "v small": (record(v="dkim1"), "key_version"),
    "without k": (record(k="-"), "ok"),
    "k unknown": (record(k="rsa4096"), "key_type"),
    "k in capitals": (record(k="RSA"), "key_type"),
    "p with white space": (record().replace("p=MII", "p= M I\t\r\n I"), "ok"),
    "p missing": (record(p="-"), "key_missing"),
    "p empty": (record(p=""), "key_revoked"),
    "p blank": (record(p="  "), "key_revoked"),
    "p no base64": (record(p="!!!!"), "key_data"),
    "p cut": (record()[:-40], "key_data"),
    "p of another kind": (record(k="ed25519"), "key_data"),
    "h with sha256": (record(h="sha1:sha256"), "ok"),
    "h with blanks": (record(h="sha1 : sha256 : sha999"), "ok"),
    "h of sha1 alone": (record(h="sha1"), "key_hash"),
    "h empty": (record(h=""), "key_hash"),
    "s of all": (record(s="*"), "ok"),
    "s of mail": (record(s="tlsrpt : email"), "ok"),
    "s of another": (record(s="tlsrpt"), "key_service"),
    "t unknown": (record(t="q"), "ok"),
    "t=s, i= not below": (record(t="s"), "ok"),
    "n with notes": (record(n="the best key"), "ok"),
    "g, of RFC 4871": (record(g="*"), "ok"),
    "a tag twice": (record() + "; k=rsa", "key_syntax"),
    "no tag list": ("hello", "key_syntax"),
    "empty": ("", "key_syntax"),
    "with a last semicolon": (record() + " ; ", "ok"),
    "two last semicolons": (record() + ";;", "key_syntax"),
    "another record first": (("v=spf1 -all", record()), "ok"),
    "the wrong key first": ((record(1024), record()), "ok"),
    "none of several": (("v=spf1 -all", "x"), "key_version"),
    "no such name": (AnswerStatus.NXDOMAIN, "no_key"),
    "no such type": (AnswerStatus.NODATA, "no_key"),
    "no answer": (AnswerStatus.TIMEOUT, "key_unavailable"),
    "a broken answer": (AnswerStatus.SERVFAIL, "key_unavailable"),
}


@pytest.mark.parametrize("row", KEY_ROWS)
def test_key(row: str) -> None:
    published, reason = KEY_ROWS[row]
    assert outcome(handmade(), {"s._domainkey.example.com": published})[1] == reason


def test_a_strict_key_forbids_subdomains() -> None:
    assert outcome(handmade(i="joe@mail.example.com"), record(t="y : s")) == (
        "permerror",
        "key_strict",
    )
    assert outcome(handmade(i="joe@example.com"), record(t="s")) == ("pass", "ok")


@pytest.mark.parametrize(
    ("published", "email", "tlsrpt"),
    [("-", "ok", "ok"), ("*", "ok", "ok"), ("email", "ok", "key_service"),
     ("tlsrpt", "key_service", "ok"), ("x : tlsrpt : email", "ok", "ok")],
)  # fmt: skip
def test_the_service_of_a_key(published: str, email: str, tlsrpt: str) -> None:
    answer = Answer("", "TXT", AnswerStatus.OK, (record(s=published),))
    for service, reason in (("email", email), ("tlsrpt", tlsrpt)):
        found = run(dkim.verify(handmade(), now=NOW, service=service), lambda ask: answer)
        assert [result.reason for result in found.results] == [reason]


def test_a_testing_key_is_told() -> None:
    (result,) = verify(handmade(), record(t="y"))
    assert (result.code, result.testing, result.alignment_domain) == ("pass", True, "")
    (result,) = verify(handmade())
    assert (result.testing, result.alignment_domain) == (False, "example.com")


@pytest.mark.parametrize(("bits", "reason"), [(1024, "ok"), (4096, "ok")])
def test_length_of_the_key(bits: int, reason: str) -> None:
    assert outcome(handmade(bits=bits), record(bits))[1] == reason


def test_short_and_endless_keys() -> None:
    short = (
        "k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAIWmlgix/84GJ+dfgjm7LTc9EPdfkftlgiPpCq4/kbDAZmU0"
        "VvYKDljjleJ1dfvS+CGy9U/kk1tG3EeEvb82xAcCAwEAAQ=="
    )
    assert outcome(handmade(), short) == ("fail", "key_too_short")
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    long = RSAPublicNumbers(65_537, (1 << 8_200) + 1).public_key()
    assert outcome(handmade(), dkim.record_text(long)) == ("policy", "key_too_long")


def test_ed25519() -> None:
    zone = {"s._domainkey.example.com": dkim.record_text(ed_key())}
    assert outcome(handmade(a="ed25519-sha256", key=ed_key()), zone) == ("pass", "ok")
    assert outcome(handmade(a="rsa-sha256", key=ed_key()), zone) == ("permerror", "key_mismatch")
    assert outcome(handmade(a="ed25519-sha256"), zone) == ("fail", "header_changed")


def test_pkcs1_in_the_record() -> None:
    import base64

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    octets = rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert outcome(handmade(), record(p=base64.b64encode(octets).decode())) == ("pass", "ok")


HEADERS = {
    "a second From below": (b"\r\nTo:", b"\r\nFrom: mallory@example.com\r\nTo:", "header_changed"),
    "a second From on top": (b"From: A", b"From: mallory@example.com\r\nFrom: A", "ok"),
    "an unsigned field": (b"From: A", b"X-New: yes\r\nFrom: A", "ok"),
    "the case of a name": (b"Subject:", b"SUBJECT:", "header_changed"),
    "a removed field": (b"To: bob@example.net\r\n", b"", "header_changed"),
    "a blank more": (b"Subject: ", b"Subject:  ", "header_changed"),
}


@pytest.mark.parametrize("row", HEADERS)
def test_header(row: str) -> None:
    old, new, reason = HEADERS[row]
    message = handmade().replace(old, new, 1)
    assert message != handmade()
    assert outcome(message)[1] == reason


def test_oversigning_notices_an_added_field() -> None:
    message = handmade(h="from:from:to:subject:cc")
    (result,) = verify(message)
    assert (result.oversigned, result.from_protected) == (("from", "cc"), True)
    for added in (b"From: mallory@example.com\r\n", b"cC: mallory@example.com\r\n"):
        head, _, rest = message.partition(b"\r\nFrom")
        assert outcome(head + b"\r\n" + added + b"From" + rest) == ("fail", "header_changed")


def test_repeated_names_are_taken_from_the_bottom() -> None:
    trace = b"Received: third\r\nReceived: second\r\nReceived: first\r\n"
    assert outcome(handmade(trace + MESSAGE, h="from:received:received")) == ("pass", "ok")
    swapped = handmade(trace + MESSAGE, h="from:received:received").replace(b"third", b"3")
    assert outcome(swapped) == ("pass", "ok")
    for name in (b"second", b"first"):
        message = handmade(trace + MESSAGE, h="from:received:received").replace(name, b"x")
        assert outcome(message) == ("fail", "header_changed")


def test_l_leaves_the_rest_open() -> None:
    import base64
    import hashlib

    bh = base64.b64encode(hashlib.sha256(b"One ").digest()).decode()
    (result,) = verify(handmade(l="4", bh=bh) + b"buy this\r\n")
    assert (result.code, result.length, result.body_length, result.uncovered) == ("pass", 4, 22, 18)
    empty = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    (result,) = verify(handmade(l="0", bh=empty))
    assert (result.code, result.length, result.uncovered) == ("pass", 0, 12)


def test_several_signatures_have_results_of_their_own() -> None:
    message = handmade(handmade(handmade(), s="gone"), v="7")
    results = verify(message)
    assert [result.reason for result in results] == ["version", "no_key", "ok"]
    whole = run(dkim.verify(message, now=NOW), lambda ask: Answer("", "TXT", AnswerStatus.NXDOMAIN))
    assert whole.code == "neutral"
    assert dkim.Verification(results).code == "pass"
    assert dkim.Verification().code == "none"


def test_a_key_is_asked_for_once() -> None:
    asked = []

    def answer(ask: Ask) -> Answer:
        asked.append(ask)
        return Answer(ask.name, ask.type, AnswerStatus.OK, (record(),))

    run(dkim.verify(handmade(handmade(handmade())), now=NOW), answer)
    assert asked == [Ask("s._domainkey.example.com", "TXT")]


def test_names_in_other_scripts_are_asked_for_as_dns_has_them() -> None:
    asked = []

    def answer(ask: Ask) -> Answer:
        asked.append(ask.name)
        return Answer(ask.name, ask.type, AnswerStatus.OK, (record(),))

    name, selector = ("邮件.example".encode("idna").decode(), "选".encode("idna").decode())
    message = handmade(d="邮件.example", s="选", i="@邮件.example")
    (result,) = run(dkim.verify(message, now=NOW), answer).results
    assert (result.code, result.domain) == ("pass", name)
    assert asked == [f"{selector}._domainkey.{name}"]


def test_caps() -> None:
    message = MESSAGE
    for _ in range(SIGNATURES_LIMIT + 2):
        message = handmade(message)
    reasons = [result.reason for result in verify(message)]
    assert reasons == ["ok"] * SIGNATURES_LIMIT + ["too_many_signatures"] * 2
    assert outcome(b"X: y\r\n" * FIELDS_LIMIT + handmade()) == ("policy", "header_too_large")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("canon", list(dkim.Canon))
def test_the_body_in_chunks(canon: dkim.Canon, size: int) -> None:
    signer = dkim.Signer([dkim.SigningKey("example.com", "s", rsa_key())], body_canon=canon)
    message = MESSAGE + b" \t\r\n\r\n  end \t \r\n\r\n \r\n"
    message = signer.sign(message, at=NOW) + message
    header, start = dkim.split(message)
    verifier = dkim.Verifier(header, now=NOW)
    for at in range(start, len(message), size):
        verifier.feed(message[at : at + size])
    answer = Answer("", "TXT", AnswerStatus.OK, (record(),))
    assert run(verifier.finish(), lambda ask: answer).code == "pass"


def test_every_reason_has_words() -> None:
    for lang in ("en", "zh"):
        words = Catalogue(lang, strict=True)
        for reason in REASONS:
            assert words.text(f"dkim.reason.{reason}", tag="b", domain="example.com")
