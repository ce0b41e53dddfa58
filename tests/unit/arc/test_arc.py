"""Chains made here: sealed, verified, broken."""

from __future__ import annotations

import dkim as dkimpy
import pytest

from posthouse.explain import Catalogue
from posthouse.explain.catalogue import entries
from posthouse.protocol import arc, authres, dkim
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, run

NOW = 1_700_000_000
MESSAGE = b"From: a@example.com\r\nTo: b@example.net\r\nSubject: x\r\n\r\nhello \t you\r\n\r\n"
KEYS = {
    "one": dkim.generate(),
    "two": dkim.generate("ed25519"),
    "three": dkim.generate("rsa", 1024),
}
ZONE = {f"s._domainkey.{name}.example": dkim.record_text(key) for name, key in KEYS.items()}


def lookup(ask: Ask) -> Answer:
    if ask.name not in ZONE:
        return Answer(ask.name, ask.type, AnswerStatus.NXDOMAIN)
    return Answer(ask.name, ask.type, AnswerStatus.OK, (ZONE[ask.name],))


def check(message: bytes, *, oldest: bool = False) -> arc.ArcResult:
    return run(arc.verify(message, oldest=oldest), lookup)


def sealer(name: str, **options: object) -> arc.Sealer:
    return arc.Sealer(dkim.SigningKey(f"{name}.example", "s", KEYS[name]), **options)


def hop(message: bytes, name: str, **options: object) -> bytes:
    """``message`` after it went through a server."""
    chain = check(message)
    results = f"{name}.example; arc={chain.code}; spf=pass smtp.mailfrom=a@example.com"
    return sealer(name, **options).seal(message, chain, results, at=NOW) + message


@pytest.mark.parametrize("short", [True, False])
def test_a_chain_of_three(short: bool) -> None:
    message = MESSAGE
    for number, name in enumerate(KEYS, 1):
        message = hop(message, name, short_lines=short)
        result = check(message, oldest=True)
        assert (result.code, result.reason, len(result.sets)) == ("pass", "ok", number)
        assert result.oldest_pass == 0
        message = b"Received: by " + name.encode() + b"\r\n" + message
    assert result.sealers == ("one.example", "two.example", "three.example")
    assert result.sets[1].results.get("arc")[0].result == "pass"
    assert [one.seal.validity for one in result.sets] == ["none", "pass", "pass"]
    if short:
        assert max(map(len, message.split(b"\r\n"))) <= 78


def test_a_result_is_written() -> None:
    result = check(hop(MESSAGE, "one"), oldest=True).method_result
    written = authres.write_value(authres.AuthResults("x", (result, check(b"").method_result)))
    assert written == "x; arc=pass (i=1) header.oldest-pass=0; arc=none"
    broken = check(hop(MESSAGE, "one").replace(b"hello", b"hallo")).method_result
    assert (broken.result, broken.reason) == ("fail", "body_changed")


def test_what_a_later_hop_changed() -> None:
    message = hop(hop(MESSAGE, "one"), "two").replace(b"Subject: x", b"Subject: [list] x")
    assert check(message).reason == "header_changed"
    message = hop(hop(MESSAGE, "one").replace(b"Subject: x", b"Subject: [list] x"), "three")
    assert (check(message).code, message.count(b"cv=fail")) == ("fail", 1)
    first = hop(MESSAGE, "one")
    changed = first.replace(b"hello", b"hallo")
    whole = sealer("three").seal(changed, check(first), "three.example; none", at=NOW) + changed
    result = check(whole, oldest=True)
    assert (result.code, result.oldest_pass) == ("pass", 2)


END = b"s=s; t=1700000000\r\nARC-M"  # of the seal, where the field is not folded
RESULTS = b"ARC-Authentication-Results: i=1"
CHANGES = {
    "spf": (b"spf=pass", b"spf=fail", "seal_changed"),
    "a word of the seal": (END, END.replace(b"00\r", b"01\r"), "seal_changed"),
    "the body": (b"hello", b"hallo", "body_changed"),
    "the white space of the body": (b"\t you", b" you ", "ok"),
    "cv": (b"cv=none", b"cv=pass", "chain_value"),
    "cv unknown": (b"cv=none", b"cv=maybe", "seal_syntax"),
    "h in the seal": (b"cv=none", b"cv=none; h=from", "seal_signs_h"),
    "the instance": (RESULTS, RESULTS.replace(b"1", b"2"), "incomplete"),
    "no instance": (b"Results: i=1;", b"Results:", "instance"),
    "instance 0": (b"Results: i=1;", b"Results: i=0;", "instance"),
    "instance 51": (b"Results: i=1;", b"Results: i=51;", "instance"),
    "a double": (RESULTS, RESULTS + b"; x\r\n" + RESULTS, "duplicate"),
    "a tag twice": (b"cv=none;", b"cv=none; cv=none;", "seal_syntax"),
    "the seal's key": (b"d=one.example; i=1; " + END, b"d=gone; i=1; " + END, "no_key"),
    "the seal in h": (b"h=from", b"h=arc-seal:from", "message_signs_seal"),
    "a lost tag": (b"bh=", b"bx=", "message_syntax"),
}


@pytest.mark.parametrize("row", CHANGES)
def test_change(row: str) -> None:
    old, new, reason = CHANGES[row]
    message = hop(MESSAGE, "one", short_lines=False)
    changed = message.replace(old, new, 1)
    assert changed != message
    assert check(changed).reason == reason


def test_no_chain() -> None:
    assert check(MESSAGE) == arc.ArcResult(arc.ArcCode.NONE)
    assert check(b"").code == "none"


def test_a_missing_answer_is_told_as_temporary() -> None:
    silent = Answer("", "TXT", AnswerStatus.TIMEOUT)
    result = run(arc.verify(hop(MESSAGE, "one")), lambda ask: silent)
    assert (result.code, result.temporary) == ("fail", True)


def test_a_broken_chain_is_closed() -> None:
    broken = hop(hop(MESSAGE, "one").replace(b"spf=pass", b"spf=fail"), "three")
    result = check(broken)
    assert (result.code, result.reason, result.closed) == ("fail", "chain_failed", True)
    assert hop(broken, "one") == broken


def test_fifty_sets_and_no_more() -> None:
    fake = b"ARC-Authentication-Results: i=50; x; none\r\n" + MESSAGE
    assert hop(fake, "one") == fake


def test_dkimpy_verifies_ours_and_we_theirs() -> None:
    def dns(name: bytes, timeout: int = 5) -> bytes | None:
        found = ZONE.get(name.decode().rstrip("."))
        return found.encode() if found else None

    message = hop(MESSAGE, "one")
    code, _, reason = dkimpy.arc_verify(message, dnsfunc=dns)
    assert code == dkimpy.CV_Pass, reason
    results = b"Authentication-Results: three.example; arc=pass; spf=pass smtp.mailfrom=a@b\r\n"
    pem = dkim.write_private_key(KEYS["three"])
    fields = dkimpy.ARC(results + message).sign(
        b"s", b"three.example", pem, b"three.example", timestamp=NOW
    )
    theirs = b"".join(fields) + results + message
    result = check(theirs)
    assert (result.code, result.reason, len(result.sets)) == ("pass", "ok", 2)


def test_a_seal_may_not_cover_what_seals_cover() -> None:
    for name in (b"Authentication-Results", b"arc-seal"):
        with pytest.raises(dkim.SigningError, match="sealed_name"):
            sealer("one", names=[b"from", name])


def test_merged_results_are_sealed() -> None:
    message = b"Authentication-Results: one.example; spf=pass (a; b)\r\n" + MESSAGE
    header, _ = dkim.split(message)
    value = authres.merged(header, "one.example")
    fields = sealer("one").seal(message, check(message), value, at=NOW)
    assert b"ARC-Authentication-Results: i=1; one.example;\r\n spf=pass (a; b)\r\n" in fields


def test_words() -> None:
    keys = {key.partition(".")[2] for key in entries("en", "dkim") if key.startswith("arc.")}
    reasons = {reason for _, _, reason in CHANGES.values()} - {"body_changed", "no_key"}
    assert reasons | {"chain_failed", "none"} == keys
    for key in keys:
        assert Catalogue("zh", strict=True).text(f"dkim.arc.{key}", instance=1)
