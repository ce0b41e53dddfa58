"""What DNS and the directory tell after a stop, from a fixture."""

from __future__ import annotations

from typing import Any

import pytest

from posthouse.flow import Endpoint, Failure, Security, Stage
from posthouse.net.resolver import AnswerStatus, FixtureResolver
from posthouse.setup.probe import names
from posthouse.setup.probe.facts import Delivery, Names, Stop

TABLE: dict[tuple[str, str], Any] = {
    ("example.test", "MX"): ["20 mx2.example.test.", "10 mx1.example.test."],
    ("_submissions._tcp.example.test", "SRV"): ["0 1 465 smtp.example.test."],
    ("_submission._tcp.example.test", "SRV"): ["10 5 587 b.test.", "0 1 587 a.test."],
    ("null.test", "MX"): ["0 ."],
    ("bare.test", "TXT"): ["v=spf1 include:x.test -all"],
    ("none.test", "TXT"): ["hello"],
    ("_submission._tcp.off.test", "SRV"): ["0 0 0 ."],
    ("9.2.0.192.in-addr.arpa", "PTR"): ["host.example.test."],
    ("sick.test", "MX"): AnswerStatus.SERVFAIL,
}


async def look(stop: Stop, host: str = "smtp.example.test", **more: Any) -> Names:
    known = more.pop("known", Names(domain="example.test"))
    delivery = more.pop("delivery", Delivery())
    return await names.look_up(
        FixtureResolver(TABLE), known, host=host, stop=stop, tls=None, delivery=delivery
    )


def refused(cause: str, stage: Stage = Stage.RCPT, text: str = "") -> Stop:
    return Stop("rcpt", stage, cause, code=550, text=text)


async def test_the_domain_publishes_its_servers() -> None:
    found = await look(Stop("connect", Stage.CONNECT, "conn.refused", Failure.REFUSED))
    assert found.incoming == ("mx1.example.test", "mx2.example.test")
    assert found.published == (
        Endpoint("smtp.example.test", 465, Security.TLS),
        Endpoint("a.test", 587, Security.STARTTLS),
        Endpoint("b.test", 587, Security.STARTTLS),
    )


async def test_a_dot_means_not_offered() -> None:
    stop = Stop("connect", Stage.CONNECT, "conn.refused", Failure.REFUSED)
    assert (await look(stop, known=Names(domain="off.test"))).published == ()


async def test_without_an_address_the_parent_is_asked() -> None:
    stop = Stop("auth", Stage.AUTH, "auth.mechanism", Failure.AUTH_NOT_OFFERED)
    assert "mx1.example.test" in (await look(stop, "mx1.example.test", known=Names())).incoming


async def test_a_known_domain_has_known_servers() -> None:
    stop = Stop("resolve", Stage.DNS, "dns.server_name", Failure.NAME_NOT_FOUND)
    found = await look(stop, "smtp.gmial.com", known=Names(domain="gmail.com"))
    assert found.suggestion == "smtp.gmail.com"
    assert found.published[0] == Endpoint("smtp.gmail.com", 465, Security.TLS)


@pytest.mark.parametrize(
    ("domain", "missing"),
    [
        ("gone.invalid", "NXDOMAIN"),
        ("null.test", "null MX"),
        ("none.test", "MX"),
        ("example.test", ""),
        ("sick.test", ""),
    ],
)
async def test_what_a_domain_lacks(domain: str, missing: str) -> None:
    found = await look(refused("sender.invalid"), delivery=Delivery(f"a@{domain}"))
    assert found.missing_record == missing


async def test_recipient_typo() -> None:
    delivery = Delivery(recipient="a@gmal.com")
    found = await look(refused("rcpt.domain"), delivery=delivery)
    assert (found.domain_suggestion, found.missing_record) == ("gmail.com", "NXDOMAIN")


async def test_pointer_of_the_address_they_saw() -> None:
    found = await look(refused("sender.ip_identity", text="[192.0.2.9] has no PTR"))
    assert (found.ip, found.pointer) == ("192.0.2.9", "host.example.test")


@pytest.mark.parametrize(
    ("domain", "record"),
    [
        ("bare.test", 'bare.test. TXT "v=spf1 ip4:192.0.2.9 include:x.test -all"'),
        ("none.test", 'none.test. TXT "v=spf1 ip4:192.0.2.9 ~all"'),
    ],
)
async def test_spf_to_publish(domain: str, record: str) -> None:
    stop = refused("sender.auth_failed", Stage.DATA, "192.0.2.9 is not allowed to send")
    assert (await look(stop, delivery=Delivery(f"a@{domain}"))).record == record
