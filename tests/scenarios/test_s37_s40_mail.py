"""S37-S40: the sender, the size, and what the address needs."""

from __future__ import annotations

import pytest

from fakes.dns import DnsReply
from posthouse.setup.probe import Envelope, TestMessage
from scenarios.conftest import Scene, finding_ids, login, says
from scenarios.peer import CAPABILITIES

ALICE_TO_BOB = Envelope("alice@mail.test", ("bob@else.test",))
SMALL = tuple(c if not c.startswith("SIZE") else "SIZE 1000" for c in CAPABILITIES)


@pytest.mark.parametrize(
    ("verb", "reply"),
    [
        ("MAIL", "553 5.7.1 <boss@mail.test>: Sender address rejected: not owned by user alice"),
        ("RCPT", "553 5.7.1 <boss@mail.test>: Sender address rejected: not owned by user alice"),
        (".", "550 5.7.60 SMTP; Client does not have permissions to send as this sender"),
    ],
)
async def test_s37_from_of_somebody_else(scene: Scene, verb: str, reply: str) -> None:
    await scene.server(587, replies={verb: reply})
    result = await scene.probe(
        587,
        login=login(),
        envelope=Envelope("boss@mail.test", ("bob@else.test",)),
        message=TestMessage(),
    )
    says(
        result,
        "from_not_owned",
        "sender.not_allowed",
        "alice@mail.test",
        "boss@mail.test",
        "mail.test",
        en=("sign in as alice@mail.test but send as boss@mail.test", "alias"),
        zh=("用 alice@mail.test 登录", "以 boss@mail.test 的名义", "别名"),
    )


@pytest.mark.parametrize(
    ("domain", "missing", "en", "zh"),
    [
        ("gone.invalid", "NXDOMAIN", "does not exist", "不存在"),
        ("null.test", "null MX", "null MX", "null MX"),
        ("bare.test", "MX", "no MX record", "没有 MX 记录"),
    ],
)
async def test_s38_sender_domain(scene: Scene, domain: str, missing: str, en: str, zh: str) -> None:
    scene.dns.set("null.test", "MX", ["0 ."])
    scene.dns.set("bare.test", "TXT", ["nothing"])
    reply = f"450 4.1.8 <a@{domain}>: Sender address rejected: Domain not found"
    await scene.server(587, replies={"MAIL": reply})
    result = await scene.probe(587, envelope=Envelope(f"a@{domain}", ("bob@else.test",)))
    says(result, "sender_domain", "sender.invalid", f"a@{domain}", en=(en,), zh=(zh,))


async def test_s39_size_is_known_before_anything_is_sent(scene: Scene) -> None:
    server = await scene.server(587, ehlo=SMALL)
    attachment = (
        b"From: alice@mail.test\r\nTo: bob@else.test\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + b"QUJDREVGR0g=\r\n"
        * 200
    )
    result = await scene.probe(
        587, login=login(), envelope=ALICE_TO_BOB, message=TestMessage(content=attachment)
    )
    size, raw = result.delivery.size, result.delivery.raw_size
    says(
        result,
        "too_big",
        "msg.too_big",
        "mail.test",
        "1000",
        str(size),
        str(raw),
        en=("after encoding", "grow by a third"),
        zh=("编码后", "增大约三分之一"),
    )
    assert "MAIL" not in server.verbs()
    assert raw < size
    assert size / raw > 1.3  # base64 and its line ends: 35-37 %


async def test_s39_in_megabytes(scene: Scene) -> None:
    """RFC 1870: the limit of 35 MB against a message of 41 MB, which is never sent."""
    server = await scene.server(587)
    envelope = Envelope("alice@mail.test", ("bob@else.test",), size=41_000_000)
    result = await scene.probe(587, login=login(), envelope=envelope)
    says(result, "too_big", "msg.too_big", "mail.test", "35.9 MB", "41 MB")
    assert "MAIL" not in server.verbs()


async def test_s39_size_refused_afterwards(scene: Scene) -> None:
    no_size = tuple(c for c in CAPABILITIES if not c.startswith("SIZE"))
    await scene.server(587, ehlo=no_size, replies={".": "552 5.3.4 Error: message file too big"})
    result = await scene.probe(
        587, login=login(), envelope=ALICE_TO_BOB, message=TestMessage(pad=5000)
    )
    says(result, "too_big", "msg.too_big", "mail.test")


async def test_s40_smtputf8_is_missing(scene: Scene) -> None:
    server = await scene.server(587)
    result = await scene.probe(587, envelope=Envelope("jösé@mail.test", ("bob@else.test",)))
    says(result, "smtputf8_missing", "protocol.error", "jösé@mail.test", "SMTPUTF8", "mail.test")
    assert "MAIL" not in server.verbs()


async def test_s40_smtputf8_is_used_where_offered(scene: Scene) -> None:
    server = await scene.server(587, ehlo=(*CAPABILITIES, "SMTPUTF8"))
    result = await scene.probe(587, envelope=Envelope("jösé@mail.test", ("bob@else.test",)))
    says(result, "ok", None)
    mail = next(line for line in server.lines if line.startswith("MAIL"))
    assert mail.endswith("SMTPUTF8")


async def test_s40_an_international_domain_needs_no_smtputf8(scene: Scene) -> None:
    server = await scene.server(587)
    result = await scene.probe(587, envelope=Envelope("a@münchen.test", ("bob@else.test",)))
    says(result, "ok", None)
    assert any(line.startswith("MAIL FROM:<a@xn--mnchen-3ya.test>") for line in server.lines)


async def test_s40_bare_lf(scene: Scene) -> None:
    server = await scene.server(587, replies={".": "521 5.5.2 mail.test Error: bare <LF> received"})
    content = b"From: alice@mail.test\nSubject: s\n\nhello\n"
    result = await scene.probe(
        587, login=login(), envelope=ALICE_TO_BOB, message=TestMessage(content=content)
    )
    says(result, "bare_lf", "msg.malformed", "mail.test", "LF", "CRLF")
    assert "message_bare_lf" in finding_ids(result)  # found here, before any server
    assert b"Subject: s\r\n" in server.messages[0]


@pytest.mark.parametrize("offered", [True, False], ids=["8BITMIME", "7 bit only"])
async def test_s40_eight_bit_text(scene: Scene, offered: bool) -> None:
    """RFC 6152 section 3: it goes as it is where 8BITMIME is offered, and nowhere else."""
    extensions = tuple(c for c in CAPABILITIES if offered or c != "8BITMIME")
    server = await scene.server(587, ehlo=extensions)
    content = "From: alice@mail.test\r\nSubject: s\r\n\r\ngrün\r\n".encode()
    result = await scene.probe(
        587, login=login(), envelope=ALICE_TO_BOB, message=TestMessage(content=content)
    )
    if offered:
        says(result, "ok", None)
        assert any("BODY=8BITMIME" in line for line in server.lines)
        return
    says(result, "eight_bit_missing", "protocol.error", "mail.test", "8BITMIME", "base64")
    assert "MAIL" not in server.verbs()


async def test_s40_our_own_message_in_chinese_is_fit_for_seven_bits(scene: Scene) -> None:
    server = await scene.server(587, ehlo=tuple(c for c in CAPABILITIES if c != "8BITMIME"))
    result = await scene.probe(
        587, login=login(), envelope=ALICE_TO_BOB, message=TestMessage(lang="zh")
    )
    says(result, "ok", None)
    assert all(message.isascii() for message in server.messages)


async def test_s40_a_line_of_999(scene: Scene) -> None:
    await scene.server(587)
    content = b"From: alice@mail.test\r\n\r\n" + b"x" * 999 + b"\r\n"
    result = await scene.probe(
        587, login=login(), envelope=ALICE_TO_BOB, message=TestMessage(content=content)
    )
    assert "message_long_line" in finding_ids(result)


async def test_an_envelope_alone_sends_nothing(scene: Scene) -> None:
    server = await scene.server(587)
    result = await scene.probe(587, login=login(), envelope=ALICE_TO_BOB)
    says(result, "ok", None, "mail.test:587")
    assert result.verdict.params["variant"] == "rcpt"
    assert server.verbs()[-4:] == ["MAIL", "RCPT", "RSET", "QUIT"]
    assert "DATA" not in server.verbs()


async def test_an_address_that_is_none_is_not_asked(scene: Scene) -> None:
    server = await scene.server(587)
    scene.dns.set("x.test", "*", DnsReply())
    result = await scene.probe(587, envelope=Envelope("a@x.test", ("no address",)))
    says(result, "unknown_user", "rcpt.syntax", "no address")
    assert "MAIL" not in server.verbs()
