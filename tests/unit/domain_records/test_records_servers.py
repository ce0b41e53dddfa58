"""Hosts, MX, SRV, DANE, DKIM and services: each beside what is live."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
import trustme

from posthouse.net.clock import SystemClock
from posthouse.net.dial import MemoryDialer
from posthouse.net.http import FixtureHttp, HttpAnswer
from posthouse.net.resolver import FixtureResolver
from posthouse.protocol import dane, dkim, mtasts
from posthouse.setup.domain import facts
from posthouse.setup.domain.model import Net
from posthouse.setup.domain.records import (
    Change,
    Inventory,
    Selector,
    Stage,
    served_policy,
    with_certificates,
)
from posthouse.setup.domain.records.inventory import Dane
from posthouse.setup.domain.records.services import rows, services

from .world import NOW, Zone, found, planned, settled, texts

DOMAIN = "example.test"
TEXT_PLAIN = {"content-type": "text/plain"}


@pytest.mark.parametrize(
    ("live", "inventory", "wanted"),
    [
        ({}, 'mx = ["mx1.test"]', ["add 10 mx1.test."]),
        (
            {(DOMAIN, "MX"): ["10 MX1.test.", "20 old.test."]},
            'mx = ["10 mx1.test", "30 mx2.test"]',
            ["same 10 mx1.test.", "add 30 mx2.test.", "remove 20 old.test."],
        ),
        (
            {(DOMAIN, "MX"): ["10 mx1.test."]},
            'mx = ["5 mx1.test"]',
            ["change 5 mx1.test."],
        ),
        ({}, 'mx = ["."]', ["add 0 ."]),
        ({(DOMAIN, "MX"): ["10 mx1.test."]}, "", []),
    ],
)
def test_mx(live: dict[tuple[str, str], list[str]], inventory: str, wanted: list[str]) -> None:
    made = settled(Zone(live), inventory)
    assert [f"{change} {value}" for change, _, value in texts(made, "mx")] == wanted


def test_mail_servers_are_no_aliases() -> None:
    dns = Zone({("mx.test", "CNAME"): ["real.test."], ("real.test", "A"): ["192.0.2.1"]})
    made = planned(dns, 'mx = ["mx.test"]\n[servers]\nsubmissions = "mx.test:465"')
    assert [one.id for one in made.findings].count("records.alias_target") == 2


def test_one_zone_from_a_topology() -> None:
    """Row 103: A, MX, SPF, DKIM for each hop."""
    key = dkim.record_text(dkim.generate("ed25519"))
    inventory = f"""
mx = ["10 in1.example.test", "10 in2.example.test"]
[servers]
submissions = "smtp.example.test:465"
submission = "smtp.example.test:587"
imaps = "imap.example.test:993"
pop3s = "."
[names]
autoconfig = "web.example.test"
smtp = ["192.0.2.30", "2001:db8::30"]
imap = "192.0.2.31"
[[host]]
name = "in1.example.test"
addresses = ["192.0.2.10"]
sends = false
[[host]]
name = "in2.example.test"
addresses = ["192.0.2.11"]
sends = false
[[host]]
name = "out1.example.test"
addresses = ["192.0.2.20", "2001:db8::20"]
[[host]]
name = "out2.example.test"
addresses = ["192.0.2.21"]
[[dkim]]
selector = "s1"
record = "{key}"
"""
    dns = Zone()
    made = settled(dns, inventory)
    table = dns.table
    assert table[DOMAIN, "TXT"] == ["v=spf1 ip4:192.0.2.20 ip6:2001:db8::20 ip4:192.0.2.21 ~all"]
    assert table["_submissions._tcp.example.test", "SRV"] == ["0 1 465 smtp.example.test."]
    assert table["_pop3s._tcp.example.test", "SRV"] == ["0 0 0 ."]
    assert table["smtp.example.test", "AAAA"] == ["2001:db8::30"]
    assert table["autoconfig.example.test", "CNAME"] == ["web.example.test."]
    assert table["s1._domainkey.example.test", "TXT"] == [key]
    assert [one.address for one in made.coverage if not one.planned] == []
    pointers = {one.record.name for one in made.elsewhere}
    assert "20.2.0.192.in-addr.arpa" in pointers
    assert "10.2.0.192.in-addr.arpa" not in pointers  # no mail leaves it


def test_an_address_takes_the_place_of_an_alias_and_the_other_way_round() -> None:
    dns = Zone({("smtp.example.test", "CNAME"): ["old.test."], ("old.test", "A"): ["192.0.2.9"]})
    settled(dns, '[names]\nsmtp = "192.0.2.1"')
    assert dns.table["smtp.example.test", "A"] == ["192.0.2.1"]
    settled(dns, '[names]\nsmtp = "new.test"')
    assert dns.table["smtp.example.test", "CNAME"] == ["new.test."]
    assert ("smtp.example.test", "A") not in dns.table
    settled(dns, '[names]\nsmtp = "newer.test"')
    assert dns.table["smtp.example.test", "CNAME"] == ["newer.test."]


def certificate(name: str) -> bytes:
    return trustme.CA().issue_cert(name).cert_chain_pems[0].bytes()


def test_dane_rolls_over_before_the_old_goes() -> None:
    old, new = certificate("mx.example.test"), certificate("mx.example.test")
    name = "_25._tcp.mx.example.test"
    dns = Zone(signed=True)
    base = Inventory(DOMAIN)
    settled(dns, replace(base, dane=(Dane("mx.example.test", (old,)),)))
    assert dns.table[name, "TLSA"] == [str(dane.build(old))]
    made = settled(dns, replace(base, dane=(Dane("mx.example.test", (old, new)),)))
    assert found(made)["dane_roll"]["wait"] == 7_200
    assert len(dns.table[name, "TLSA"]) == 2
    made = settled(dns, replace(base, dane=(Dane("mx.example.test", (new,)),)))
    [gone] = [one for one in made.changes if one.section == "dane"]
    assert (gone.change, gone.stage) == (Change.REMOVE, Stage.LATER)
    assert dns.table[name, "TLSA"] == [str(dane.build(new))]
    assert "dane_unsigned" not in found(made)


async def test_without_a_certificate_nothing_is_proposed() -> None:
    wish = Inventory(DOMAIN, dane=(Dane("mx.example.test"),))
    table = {("mx.example.test", "A"): ["192.0.2.1"]}
    resolver = FixtureResolver(table)
    net = Net(resolver, MemoryDialer({}), FixtureHttp({}), SystemClock())
    assert await with_certificates(wish, net) == wish  # nobody answers
    made = planned(Zone(table), wish)
    assert found(made)["dane_unseen"] == {"host": "mx.example.test", "port": 25}
    assert texts(made, "dane") == []
    assert not made.sure


@pytest.mark.parametrize(
    ("answer", "there"),
    [
        ({"status": 200, "tls_trusted": True}, True),
        ({"status": 200, "tls_trusted": False}, False),
        ({"status": 404, "tls_trusted": True}, False),
        ({"status": 200, "tls_trusted": True, "body": b"nonsense"}, False),
        ({"status": 200, "tls_trusted": True, "redirects": ("https://x.test/",)}, False),
    ],
)
async def test_the_policy_that_counts(answer: dict[str, Any], there: bool) -> None:
    url = mtasts.policy_url(DOMAIN)
    body = b"version: STSv1\nmode: enforce\nmx: mx.test\nmax_age: 604800\n"
    page = HttpAnswer(**{"url": url, "body": body, "headers": TEXT_PLAIN, **answer})
    net = Net(FixtureResolver({}), MemoryDialer({}), FixtureHttp({url: page}), SystemClock())
    policy = await served_policy(DOMAIN, net)
    assert (policy is not None) is there


def test_dane_elsewhere_and_unsigned() -> None:
    made = planned(Zone(), Inventory(DOMAIN, dane=(Dane("mx.other.test", (certificate("x"),)),)))
    assert texts(made, "dane") == []
    assert [one.record.name for one in made.elsewhere] == ["_25._tcp.mx.other.test"]
    assert {"dane_foreign", "dane_unsigned"} <= set(found(made))


# DKIM


KEY, OTHER = (dkim.record_text(dkim.generate("ed25519")) for _ in range(2))


@pytest.mark.parametrize(
    ("live", "change"),
    [
        ([], "add"),
        ([KEY], "same"),
        ([KEY.replace("; ", ";").replace("v=DKIM1;", "v=DKIM1 ; ")], "same"),
        ([OTHER], "change"),
        ([f"{KEY}; t=y"], "change"),
        (["v=DKIM1; p="], "change"),
        (["nonsense"], "change"),
    ],
)
def test_own_key(live: list[str], change: str) -> None:
    dns = Zone({("s1._domainkey.example.test", "TXT"): live} if live else {})
    made = settled(dns, Inventory(DOMAIN, selectors=(Selector("s1", KEY),)))
    assert [one[0] for one in texts(made, "dkim")] == [change]


def test_an_old_key_stays_until_its_day() -> None:
    dns = Zone({("s0._domainkey.example.test", "TXT"): [KEY]})
    today = NOW.date()

    def at(day: date) -> list[str]:
        keys = (Selector("s0", KEY, gone=day),)
        made = planned(dns, Inventory(DOMAIN, selectors=keys))
        return [f"{one.change} {one.why}" for one in made.entries if one.section == "dkim"]

    assert at(today + timedelta(days=1)) == ["same dkim_old"]
    assert at(today) == ["remove dkim_gone"]
    settled(dns, Inventory(DOMAIN, selectors=(Selector("s0", KEY, gone=today),)))
    assert dns.table.get(("s0._domainkey.example.test", "TXT")) is None


def test_services_get_their_records() -> None:
    dns = Zone({("brevo1._domainkey.example.test", "TXT"): [KEY]})
    inventory = """
services = ["brevo:code=abc", "mandrill"]
[[service]]
id = "ses"
region = "eu-west-1"
tokens = ["aa", "bb", "cc"]
return_path = "bounce"
[[service]]
id = "m365"
targets = ["selector1-example-test._domainkey.x.n-v1.dkim.mail.microsoft", "s2.test"]
[[service]]
id = "sendgrid"
account = "u1.wl2"
return_path = "em1"
[[service]]
id = "mailgun"
dkim_selector = "mx"
dkim_record = "KEY"
""".replace("KEY", KEY)
    settled(dns, inventory)
    table = dns.table
    assert table["bb._domainkey.example.test", "CNAME"] == ["bb.dkim.amazonses.com."]
    assert table["bounce.example.test", "MX"] == ["10 feedback-smtp.eu-west-1.amazonses.com."]
    assert table["bounce.example.test", "TXT"] == ["v=spf1 include:amazonses.com ~all"]
    assert table["selector1._domainkey.example.test", "CNAME"] == [
        "selector1-example-test._domainkey.x.n-v1.dkim.mail.microsoft."
    ]
    assert table["em1.example.test", "CNAME"] == ["u1.wl2.sendgrid.net."]
    assert table["mx._domainkey.example.test", "TXT"] == [KEY]
    assert table["brevo1._domainkey.example.test", "CNAME"] == ["b1.example-test.dkim.brevo.com."]
    assert "brevo-code:abc" in table[DOMAIN, "TXT"]


def test_what_a_service_still_needs() -> None:
    made = planned(Zone(), 'services = ["m365"]')
    assert found(made)["service_needs"]["params"] == "targets/tenant"
    live = {("selector1._domainkey.example.test", "CNAME"): ["x.test."], ("x.test", "TXT"): [KEY]}
    made = planned(Zone(live), 'services = ["m365"]')
    assert "service_needs" not in found(made)
    assert "dkim_none" not in found(made)


def test_facts_about_services_are_whole() -> None:
    known = services()
    assert {"m365", "workspace", "ses", "sendgrid", "exmail"} <= set(known)
    assert set(facts.providers()) <= set(known)
    from posthouse import directory

    for one in known.values():
        assert one.id in directory.ids(), one.id
        assert one.source.startswith("https://"), one.id
        assert one.date[:4].isdigit(), one.id
        params = dict.fromkeys(one.params, ("x",))
        assert len(list(rows(one, DOMAIN, params))) == len(one.records), one.id
        named = {name for row in one.records for name in (*row.gaps, row.each, row.when)} - {""}
        assert named <= set(one.params) | set(one.defaults), one.id
        assert {name for group in one.needs for name in group} <= set(one.params), one.id


@pytest.mark.parametrize(
    "wild",
    [
        {"A": ["192.0.2.99"], "TXT": ["v=spf1 -all"]},
        {"CNAME": ["parking.test."]},
        {"TXT": [KEY]},
        {"MX": ["10 park.test."], "TXT": ["v=DMARC1; p=none"]},
    ],
)
def test_what_a_wildcard_gives_is_not_taken_away(wild: dict[str, list[str]]) -> None:
    table = {("*.example.test", type_): values for type_, values in wild.items()}
    table |= {("parking.test", "A"): ["192.0.2.98"], ("parking.test", "TXT"): ["junk"]}
    dns = Zone({(DOMAIN, "TXT"): ["v=spf1 ~all"], **table})
    inventory = """
services = ["mandrill"]
[names]
smtp = "192.0.2.1"
imap = "web.test"
[servers]
submissions = "smtp.example.test:465"
[[dkim]]
selector = "s1"
record = "KEY"
""".replace("KEY", KEY)
    made = settled(dns, inventory)
    gone = [one.record.name for one in made.entries if one.change is Change.REMOVE]
    assert gone == []
    assert all(dns.table[key] == values for key, values in table.items())
    assert "alias" not in found(made)
