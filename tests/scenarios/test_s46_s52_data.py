"""S46-S52: the message, what happens after, and answers that break the rules."""

# ruff: noqa: E501  replies stand as servers give them
from __future__ import annotations

import asyncio

import pytest

from posthouse.explain.bounce import read_bounce
from posthouse.flow import Status
from posthouse.net.stream import TcpStream
from posthouse.setup.probe import Envelope, ProbeResult, TestMessage, finding_text
from scenarios.conftest import Scene, finding_ids, login, says, steps

ENVELOPE = Envelope("alice@firma.test", ("bob@else.test",))


async def sent(scene: Scene, reply: str, **message: object) -> ProbeResult:
    """A test message that gets ``reply`` at its end."""
    await scene.server(587, replies={".": reply})
    return await scene.probe(
        587,
        login=login(),
        envelope=ENVELOPE,
        message=TestMessage(**message),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.7.26 Unauthenticated email from firma.test is not accepted due to domain's DMARC policy (203.0.113.9)",
        "550 5.7.23 The message was rejected because of Sender Policy Framework violation: 203.0.113.9 is not allowed",
        "550 5.7.509 Access denied, sending domain firma.test does not pass DMARC verification. 203.0.113.9",
        "550 5.7.515 Access denied, sending domain firma.test doesn't meet the required authentication level. 203.0.113.9",
    ],
)  # fmt: skip
async def test_s46_spf_dkim_dmarc(scene: Scene, reply: str) -> None:
    scene.dns.set("firma.test", "TXT", ['"v=spf1 include:_spf.else.test -all"'])
    scene.dns.set("_dmarc.firma.test", "TXT", ['"v=DMARC1; p=reject"'])
    content = b"From: alice@brand.test\r\nSubject: s\r\n\r\nhello\r\n"
    result = await sent(scene, reply, content=content)
    says(
        result,
        "auth_failed",
        "sender.auth_failed",
        "firma.test",
        "203.0.113.9",
        'firma.test. TXT "v=spf1 ip4:203.0.113.9 include:_spf.else.test -all"',
    )
    assert {"spf_record", "dmarc_missing", "alignment"} <= finding_ids(result)
    alignment = next(f for f in result.findings if f.id == "alignment")
    assert alignment.status is Status.WARN
    for lang in ("en", "zh"):
        text = finding_text(alignment, lang)
        assert "brand.test" in text
        assert "firma.test" in text


async def test_s46_a_subdomain_is_aligned(scene: Scene) -> None:
    content = b"From: alice@firma.test\r\nSubject: s\r\n\r\nhello\r\n"
    await scene.server(587, replies={".": "550 5.7.26 Unauthenticated email, DMARC"})
    result = await scene.probe(
        587,
        login=login(),
        envelope=Envelope("bounces@mail.firma.test", ("bob@else.test",)),
        message=TestMessage(content=content),
    )
    alignment = next(f for f in result.findings if f.id == "alignment")
    assert alignment.status is Status.OK  # relaxed, the default (RFC 9989)


@pytest.mark.parametrize(
    ("reply", "verdict", "cause"),
    [
        ("550 5.7.25 [203.0.113.9] The IP address sending this message does not have a PTR record",
         "no_ptr", "sender.ip_identity"),
        ("554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org",
         "ip_blocked", "sender.reputation"),
    ],
    ids=["ptr", "dnsbl"],
)  # fmt: skip
async def test_s47_our_address(scene: Scene, reply: str, verdict: str, cause: str) -> None:
    scene.dns.set("9.113.0.203.zen.spamhaus.org", "A", ["127.0.0.2"])
    result = await sent(scene, reply)
    whose = ("hoster", "主机商") if verdict == "no_ptr" else ("own", "自建服务器")
    says(result, verdict, cause, "mail.test", "203.0.113.9", en=whose[:1], zh=whose[1:])
    listed = [f.params["meanings"] for f in result.findings if f.id == "listed"]
    assert listed == ([["sbl"]] if verdict == "ip_blocked" else [])


async def test_s47_the_pointer_is_looked_up(scene: Scene) -> None:
    scene.dns.set("9.113.0.203.in-addr.arpa", "PTR", ["pool-9.isp.test."])
    result = await sent(scene, "550 5.7.25 [203.0.113.9] PTR record does not match its address")
    says(result, "no_ptr", "sender.ip_identity", "203.0.113.9", "pool-9.isp.test")


@pytest.mark.parametrize(
    ("reply", "verdict", "cause", "essential"),
    [
        ("552 5.7.0 This message was blocked because its content presents a potential security "
         "issue: attachment invoice.exe. See https://support.example/p=BlockedMessage",
         "attachment", "msg.attachment", ".exe"),
        ("550 5.7.1 This message was classified as SPAM, see https://spam.example/why",
         "spam", "msg.spam", "https://spam.example/why"),
    ],
    ids=["attachment", "spam"],
)  # fmt: skip
async def test_s48_content(
    scene: Scene, reply: str, verdict: str, cause: str, essential: str
) -> None:
    result = await sent(scene, reply)
    says(result, verdict, cause, "mail.test", essential)


async def test_s49_only_big_messages_are_lost(scene: Scene) -> None:
    server = await scene.server(587, more={"drop_data_after": 20_000})
    result = await scene.probe(
        587, login=login(), envelope=ENVELOPE, message=TestMessage(pad=100_000)
    )
    says(
        result,
        "lost_in_data",
        "conn.lost",
        "mail.test",
        "MTU",
        "1 KB",
        en=("only with big messages",),
        zh=("邮件大时",),
    )
    assert result.delivery.small_passed is True
    assert len(server.messages) == 1


async def test_s49_small_ones_too(scene: Scene) -> None:
    await scene.server(587, more={"drop_data_after": 1})
    result = await scene.probe(587, login=login(), envelope=ENVELOPE, message=TestMessage())
    says(result, "lost_in_data", "conn.lost", "mail.test")


async def test_s49_lost_after_the_end_may_have_arrived(scene: Scene) -> None:
    server = await scene.server(587, more={"lost_reply": True})
    result = await scene.probe(587, login=login(), envelope=ENVELOPE, message=TestMessage())
    says(result, "lost_in_data", "conn.lost", en=("twice",), zh=("两封",))
    assert server.connections >= 1
    assert server.verbs().count("DATA") == 1  # never sent again blindly


@pytest.mark.parametrize(
    ("reply", "verdict", "cause"),
    [
        ("550 5.4.5 Daily user sending limit exceeded.", "quota", "sender.quota"),
        ("421 4.7.28 Our system has detected an unusual rate of mail; too many messages",
         "too_many", "rate.limited"),
        ("454 Throttling failure: Daily message quota exceeded", "quota", "sender.quota"),
    ],
)  # fmt: skip
async def test_s50_limits(scene: Scene, reply: str, verdict: str, cause: str) -> None:
    result = await sent(scene, reply)
    says(result, verdict, cause, "mail.test", *(("24",) if verdict == "quota" else ()))


async def test_s50_when_it_resets(scene: Scene) -> None:
    result = await sent(scene, "550 5.4.5 Daily sending quota exceeded, try again in 6 hours")
    says(result, "quota", "sender.quota", en=("resets in 6 h",), zh=("6 小时后恢复",))


BOUNCE = """\
From: MAILER-DAEMON@mx.else.test
To: alice@firma.test
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

It did not work.
--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.test
Arrival-Date: Tue, 13 Jan 2026 10:00:00 +0000

Final-Recipient: rfc822; bob@else.test
Action: {action}
Status: {status}
Remote-MTA: dns; mx.else.test
Diagnostic-Code: smtp; {diagnostic}

--B
Content-Type: message/rfc822

From: alice@firma.test
Message-ID: {message_id}
Subject: test

hello
--B--
"""


@pytest.mark.parametrize(
    ("status", "diagnostic", "cause"),
    [
        ("5.1.1", "550 5.1.1 <bob@else.test>: Recipient address rejected:\n    User unknown",
         "rcpt.unknown"),
        ("5.7.26", "550 5.7.26 This message fails to pass SPF or DKIM checks (DMARC)",
         "sender.auth_failed"),
    ],
)  # fmt: skip
async def test_s51_accepted_and_bounced_later(
    scene: Scene, status: str, diagnostic: str, cause: str
) -> None:
    result = await sent(scene, "250 2.0.0 Ok: queued")
    says(result, "ok", None)
    raw = BOUNCE.format(
        action="failed",
        status=status,
        diagnostic=diagnostic,
        message_id=result.delivery.message_id,
    )
    bounce = read_bounce(raw.encode())
    assert bounce is not None
    assert bounce.about(result.delivery.message_id)
    assert not bounce.about("<other@x.test>")
    assert [r.recipient for r in bounce.recipients] == ["bob@else.test"]
    assert bounce.recipients[0].explanation.cause.id == cause
    assert bounce.recipients[0].remote == "mx.else.test"


async def test_s51_delayed_is_not_lost(scene: Scene) -> None:
    result = await sent(scene, "250 2.0.0 Ok: queued")
    raw = BOUNCE.format(
        action="delayed",
        status="4.4.1",
        diagnostic="connect to mx.else.test[192.0.2.9]:25: Connection timed out",
        message_id=result.delivery.message_id,
    )
    bounce = read_bounce(raw.encode())
    assert bounce is not None
    assert bounce.about(result.delivery.message_id)
    assert bounce.kind == "delayed"
    assert bounce.recipients[0].explanation.cause.id == "conn.timeout"


async def test_s51_no_bounce_at_all() -> None:
    assert read_bounce(b"From: a@b.test\r\n\r\nhello\r\n") is None
    assert read_bounce(b"\x00\xff" * 100) is None


GARBLED = (
    b"250-mail.test\r\n250 8 BITMIME\r\n"
    b"250-SIZE 1000000\r\n250-STARTTLS\r\n250 AUTH=PLAIN LOGIN\r\n"
)


async def test_s52_missing_hyphen(scene: Scene) -> None:
    await scene.server(587, ehlo=GARBLED)
    result = await scene.probe(587, login=login())
    says(result, "ok", None, "mail.test:587")
    assert {"8BITMIME", "SIZE", "AUTH"} <= set(result.extensions)


async def test_s52_code_alone_bare_lf_and_long_lines(scene: Scene) -> None:
    await scene.server(
        587,
        greeting=b"220-" + b"x" * 700 + b"\n220 mail.test ESMTP\n",
        replies={"MAIL": b"250\r\n", "RCPT": b"250\n", "RSET": b"250\r\n"},
    )
    result = await scene.probe(587, login=login(), envelope=ENVELOPE)
    says(result, "ok", None)
    assert "reply_defects" in finding_ids(result)


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [("550 收件人不存在".encode("gbk"), "gb18030"), ("550 Empfänger unbekannt".encode("latin-1"), "latin-1")],
    ids=["gbk", "latin-1"],
)  # fmt: skip
async def test_s52_text_of_any_charset(scene: Scene, raw: bytes, encoding: str) -> None:
    await scene.server(587, replies={"RCPT": raw + b"\r\n"})
    result = await scene.probe(587, login=login(), envelope=ENVELOPE)
    found = next(f for f in result.findings if f.id == "reply_encoding")
    assert encoding in found.params["encoding"]
    assert steps(result)["rcpt"] is Status.FAIL


async def test_s52_binary_noise(scene: Scene) -> None:
    async def noise(stream: TcpStream) -> None:
        await stream.write(bytes(range(128, 256)) * 20 + b"\r\n")
        await asyncio.sleep(0.5)

    await scene.server(587, raw=noise)
    result = await scene.probe(587)
    says(result, "wrong_service", "protocol.error", "mail.test:587")
