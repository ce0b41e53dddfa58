"""S01-S05: the name leads nowhere, or to the wrong place."""

from __future__ import annotations

from fakes.dns import DnsReply
from posthouse.flow import Endpoint, Security, Status
from posthouse.setup.probe import Envelope, Options
from scenarios.conftest import Scene, finding_ids, login, says, steps

STARTTLS = Security.STARTTLS


async def test_s01_typo_in_the_server_name(scene: Scene) -> None:
    result = await scene.probe(Endpoint("smtp.gmial.com", 587, STARTTLS))
    says(result, "name_unknown", "dns.server_name", "smtp.gmial.com", "smtp.gmail.com")
    assert result.suggestion == Endpoint("smtp.gmail.com", 587, STARTTLS)
    assert steps(result)["resolve"] is Status.FAIL
    assert "connect" not in steps(result)  # no TCP was tried


async def test_s01_the_domain_publishes_the_right_one(scene: Scene) -> None:
    scene.dns.set("_submissions._tcp.firma.test", "SRV", ["0 1 465 out.firma.test."])
    scene.dns.set("firma.test", "MX", ["10 mx.firma.test."])
    result = await scene.probe(
        Endpoint("smtp.firma.test", 587, STARTTLS), options=Options(address="a@firma.test")
    )
    says(result, "name_unknown", "dns.server_name", "smtp.firma.test", "out.firma.test:465")


async def test_s02_a_mail_domain_is_no_server(scene: Scene) -> None:
    scene.dns.set("firma.test", "MX", ["10 mx.firma.test."])
    scene.dns.set("_submission._tcp.firma.test", "SRV", ["0 1 587 out.firma.test."])
    result = await scene.probe(Endpoint("firma.test", 587, STARTTLS))
    says(
        result,
        "no_address",
        "dns.server_name",
        "firma.test",
        "out.firma.test:587",
        en=("mail domain",),
        zh=("邮箱域名",),
    )
    assert result.suggestion == Endpoint("out.firma.test", 587, STARTTLS)


async def test_s02_only_mx(scene: Scene) -> None:
    scene.dns.set("firma.test", "MX", ["10 mx.firma.test."])
    result = await scene.probe(Endpoint("firma.test", 587, STARTTLS))
    says(result, "no_address", "dns.server_name", "firma.test")
    assert result.verdict.params["variant"] == "mail_domain"


async def test_s03_servfail(scene: Scene) -> None:
    scene.dns.set("sick.test", "*", DnsReply(rcode="SERVFAIL"))
    result = await scene.probe(Endpoint("sick.test", 587, STARTTLS))
    server = f"127.0.0.1:{scene.dns.port}"
    says(result, "dns_failed", "dns.temporary", "sick.test", "SERVFAIL", server, "9.9.9.9")


async def test_s03_silence(scene: Scene) -> None:
    scene.dns.set("mute.test", "*", DnsReply(silent=True))
    result = await scene.probe(Endpoint("mute.test", 587, STARTTLS))
    says(result, "dns_failed", "dns.temporary", "mute.test", str(scene.dns.port))
    assert result.verdict.params["variant"] == "silent"


async def test_s04_ipv6_is_broken_and_ipv4_works(scene: Scene) -> None:
    scene.dns.set("mail.test", "AAAA", ["::1"])  # nothing listens there
    await scene.server(587)
    result = await scene.probe(587)
    says(result, "ipv6_broken", "conn.timeout", "mail.test", "IPv6", "IPv4")
    assert result.verdict.status is Status.WARN
    connect = result.trace.find("connect")
    assert connect is not None
    assert connect.detail["family"] == "ipv4"
    assert connect.seconds is not None
    assert connect.seconds < 1.0  # happy eyeballs: a dead family costs a quarter of a second


async def test_s05_the_incoming_server_was_given(scene: Scene) -> None:
    scene.dns.set("firma.test", "MX", ["10 mail.test."])
    scene.dns.set("_submission._tcp.firma.test", "SRV", ["0 1 587 out.firma.test."])
    await scene.server(
        25,
        ehlo=("SIZE 1000000",),
        replies={"RCPT": "554 5.7.1 <bob@else.test>: Relay access denied"},
    )
    result = await scene.probe(25, envelope=Envelope("alice@firma.test", ("bob@else.test",)))
    says(
        result,
        "mx_not_submission",
        "relay.denied",
        "mail.test",
        "firma.test",
        "out.firma.test:587",
        en=("incoming server",),
        zh=("收件服务器",),
    )
    assert "relay_port" in finding_ids(result)


async def test_s05_and_wants_a_login_there(scene: Scene) -> None:
    scene.dns.set("firma.test", "MX", ["10 mail.test."])
    server = await scene.server(25, ehlo=("SIZE 1000000",))
    result = await scene.probe(25, login=login("alice@firma.test"))
    says(result, "mx_not_submission", "auth.mechanism", "mail.test", "firma.test")
    assert "AUTH" not in server.verbs()
