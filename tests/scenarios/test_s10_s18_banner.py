"""S10-S18: the first words."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.flow import Endpoint, Security, Status
from posthouse.net.stream import TcpStream
from posthouse.setup.probe import Options, finding_text
from scenarios.conftest import Scene, finding_ids, login, says, steps


def speaks(words: bytes, wait: bool = False) -> object:
    """A server of another protocol: ``words`` first, or after the client's."""

    async def serve(stream: TcpStream) -> None:
        if wait:
            await stream.read()
        await stream.write(words)
        await asyncio.sleep(0.5)

    return serve


async def test_s10_no_greeting_for_long(scene: Scene) -> None:
    async def tarpit(stream: TcpStream) -> None:
        await asyncio.sleep(20)

    await scene.server(587, raw=tarpit)
    result = await scene.probe(587, options=Options(timeout=0.5))
    says(result, "slow_greeting", "conn.timeout", "mail.test:587", "5", en=("TLS",), zh=("TLS",))


async def test_s10_a_slow_greeting_is_allowed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posthouse.setup.probe.findings.SLOW_GREETING", 0.2)
    await scene.server(587, greet_after=0.3)
    result = await scene.probe(587)
    says(result, "ok", None, "mail.test:587")
    assert "slow_greeting" in finding_ids(result)


async def test_s11_plain_words_to_a_tls_port(scene: Scene) -> None:
    server = await scene.server(465)
    result = await scene.probe(465, Security.STARTTLS, login=login())
    says(
        result,
        "tls_from_first_byte",
        "tls.failed",
        "mail.test",
        "465",
        "SSL/TLS",
        "STARTTLS",
        en=("TLS from the first byte",),
        zh=("从第一个字节",),
    )
    assert result.suggestion == Endpoint("mail.test", 465, Security.TLS)
    assert "AUTH" not in server.verbs()


async def test_s12_tls_hello_to_a_starttls_port(scene: Scene) -> None:
    await scene.server(587, greeting="220 mail.test ESMTP ready")
    result = await scene.probe(587, Security.TLS)
    says(result, "starttls_here", "tls.failed", "mail.test", "587", "220 mail.test", "STARTTLS")
    assert result.suggestion == Endpoint("mail.test", 587, Security.STARTTLS)


HTTP = b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel.test/\r\n\r\n<html>Please log in</html>"


@pytest.mark.parametrize("wait", [False, True], ids=["at once", "after a request"])
async def test_s13_captive_portal(scene: Scene, wait: bool) -> None:
    await scene.server(587, raw=speaks(HTTP, wait))
    result = await scene.probe(587)
    says(
        result,
        "captive_portal",
        "conn.lost",
        "mail.test:587",
        "Wi-Fi",
        en=("captive portal", "browser"),
        zh=("认证页面", "浏览器"),
    )


async def test_s13_captive_portal_on_a_tls_port(scene: Scene) -> None:
    await scene.server(465, raw=speaks(b"HTTP/1.1 400 Bad Request\r\n\r\n", wait=True))
    result = await scene.probe(465)
    says(result, "captive_portal", "conn.lost", "mail.test:465")


@pytest.mark.parametrize(
    ("banner", "protocol"),
    [
        (b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n", "IMAP"),
        (b"+OK POP3 ready\r\n", "POP3"),
    ],
)
async def test_s14_incoming_server(scene: Scene, banner: bytes, protocol: str) -> None:
    scene.dns.set("_submissions._tcp.firma.test", "SRV", ["0 1 465 out.firma.test."])
    await scene.server(587, raw=speaks(banner))
    result = await scene.probe(587, options=Options(address="a@firma.test"))
    says(
        result,
        "incoming_server",
        "protocol.error",
        "mail.test:587",
        protocol,
        "out.firma.test:465",
        en=("incoming server",),
        zh=("收件服务器",),
    )


async def test_s14_imap_inside_tls(scene: Scene) -> None:
    """imap host:993 in the SMTP field: "receiving server (IMAP)", not a time-out."""

    async def imaps(stream: TcpStream) -> None:
        await stream.accept_tls(scene.authority.context())
        await stream.write(b"* OK Dovecot ready.\r\n")
        await asyncio.sleep(0.5)

    await scene.server(993, raw=imaps)
    result = await scene.probe(993, Security.TLS)
    says(result, "incoming_server", "protocol.error", "mail.test:993", "IMAP")
    plain = await scene.probe(993, Security.STARTTLS)
    says(plain, "incoming_server", "protocol.error", "mail.test:993", "IMAP")


async def test_s14_ssh(scene: Scene) -> None:
    await scene.server(587, raw=speaks(b"SSH-2.0-OpenSSH_9.2\r\n"))
    result = await scene.probe(587)
    says(result, "wrong_service", "protocol.error", "mail.test:587", "SSH", "465", "587")


async def test_s15_address_on_a_block_list(scene: Scene) -> None:
    banner = (
        "554 5.7.1 mail.test ESMTP not accepting connections from 203.0.113.9; "
        "listed at zen.spamhaus.org, see https://check.spamhaus.org/query/203.0.113.9"
    )
    await scene.server(25, greeting=banner)
    result = await scene.probe(25)
    says(
        result,
        "ip_blocked",
        "sender.reputation",
        "203.0.113.9",
        "Spamhaus",
        "https://check.spamhaus.org/query/203.0.113.9",
        "587",
        en=("At home",),
        zh=("在家里",),
    )
    assert "not_listed" in finding_ids(result)  # the list itself was asked


async def test_s15_the_list_itself_tells_why(scene: Scene) -> None:
    name = "9.113.0.203.zen.spamhaus.org"
    scene.dns.set(name, "A", ["127.0.0.10"])
    scene.dns.set(name, "TXT", ['"a line of dial-up users"'])
    await scene.server(25, greeting="554 5.7.1 203.0.113.9 is listed at zen.spamhaus.org")
    result = await scene.probe(25)
    found = next(f for f in result.findings if f.id == "listed")
    assert found.params["meanings"] == ["pbl_isp"]
    assert found.params["reason"] == "a line of dial-up users"
    for lang in ("en", "zh"):
        text = finding_text(found, lang)
        assert all(word in text for word in ("203.0.113.9", "PBL", "https://check.spamhaus.org/"))


async def test_s15_an_error_of_the_list_is_no_listing(scene: Scene) -> None:
    scene.dns.set("9.113.0.203.zen.spamhaus.org", "A", ["127.255.255.254"])
    await scene.server(25, greeting="554 5.7.1 203.0.113.9 is listed at zen.spamhaus.org")
    result = await scene.probe(25)
    assert "listing_unknown" in finding_ids(result)
    assert "listed" not in finding_ids(result)


async def test_s16_too_many_connections(scene: Scene) -> None:
    await scene.server(587, greeting="421 4.7.0 mail.test Error: too many connections from 1.2.3.4")
    result = await scene.probe(587)
    says(
        result,
        "too_many",
        "rate.limited",
        "mail.test",
        en=("Wait", "fewer connections"),
        zh=("等几分钟", "减少同时"),
    )


@pytest.mark.parametrize(
    "reply",
    [
        "501 5.5.4 Syntax: EHLO hostname",
        "504 5.5.2 <[127.0.0.1]>: Helo command rejected: need fully-qualified hostname",
        "550 5.7.1 [127.0.0.1]: Helo command rejected: Access denied",
    ],
)
async def test_s17_ehlo_name_refused(scene: Scene, reply: str) -> None:
    await scene.server(587, replies={"EHLO": reply})
    result = await scene.probe(587)
    says(
        result,
        "helo_name",
        "sender.ip_identity",
        "mail.test",
        "[127.0.0.1]",
        "EHLO",
        "mail.yourdomain.com",
    )


async def test_s18_a_server_of_1990(scene: Scene) -> None:
    server = await scene.server(587, replies={"EHLO": "502 5.5.1 Unrecognized command"})
    result = await scene.probe(587, login=login())
    says(
        result,
        "ancient",
        "protocol.error",
        "mail.test:587",
        "EHLO",
        en=("very old", "neither encryption nor signing in"),
        zh=("非常老", "既不能加密，也不能登录"),
    )
    assert steps(result)["helo"] is Status.OK
    assert "AUTH" not in server.verbs()
