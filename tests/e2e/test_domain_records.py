"""A plan carried out in a real name server: what was planned is what everybody then reads.

NSD serves the zone before and after; our resolver reads it back; dkimpy is the second opinion.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dkim as dkimpy
import dns.resolver
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from fakes.certs import Authority, Issued
from peers import nsd, postfix
from posthouse.net.clock import SystemClock
from posthouse.net.dial import NetDialer
from posthouse.net.http import FixtureHttp
from posthouse.net.resolver import DnsResolver, answer
from posthouse.protocol import dane, dkim, dmarc, mtasts, spf, tlsrpt
from posthouse.setup.domain.keys import KeyStore, check, publishable
from posthouse.setup.domain.model import Net
from posthouse.setup.domain.records import (
    Change,
    Inventory,
    Plan,
    propose,
    read,
    with_certificates,
    zone,
)
from posthouse.setup.domain.records.inventory import Dane

pytestmark = [pytest.mark.netns, pytest.mark.peer("nsd")]

HOST, MAIL_HOST, DOMAIN = "127.0.0.53", "127.0.0.25", "example.test"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
INVENTORY = """\
domain = "example.test"
services = ["workspace", "mandrill"]
addresses = ["198.51.100.1", "198.51.100.2", "198.51.100.3", "2001:db8::3"]
mx = ["10 mx1.example.test", "20 mx2.example.test"]
ttl = 60
[reports]
dmarc = ["dmarc@example.test"]
tls = ["tls@example.test"]
[mta_sts]
host = ["198.51.100.80"]
[servers]
submissions = "mx1.example.test:465"
imaps = "."
[names]
autoconfig = "www.example.test"
[[host]]
name = "mx1.example.test"
addresses = ["198.51.100.11", "2001:db8::11"]
[[host]]
name = "mx2.example.test"
addresses = ["198.51.100.12"]
"""
# Two SPF records, a stale sender of one's own, a DMARC record of somebody else, an old MX.
BEFORE = [
    'example.test. TXT "v=spf1 ip4:198.51.100.1 ~all"',
    'example.test. TXT "v=spf1 ip4:198.51.100.2 include:gone.test -all"',
    'example.test. TXT "unrelated; \\"quoted\\" \\\\ text"',
    "example.test. MX 10 old.example.test.",
    "old.example.test. A 198.51.100.99",
    "_dmarc.example.test. CNAME dmarc.vendor.test.",
    'dmarc.vendor.test. TXT "v=DMARC1; p=none; rua=mailto:r@vendor.test"',
    'example.test._report._dmarc.vendor.test. TXT "v=DMARC1"',
]
WORLD = {
    "google.com": ['_spf TXT "v=spf1 ip4:203.0.113.0/24 ~all"'],
    "mandrillapp.com": [f'dkim1 TXT "{dkim.record_text(dkim.generate("ed25519"))}"'],
    "100.51.198.in-addr.arpa": ["11 PTR mx1.example.test.", "12 PTR mx2.example.test."],
    "8.b.d.0.1.0.0.2.ip6.arpa": [],
}
LETTER = (
    b"From: a@example.test\r\nTo: b@other.test\r\nSubject: test\r\n"
    b"Date: Wed, 25 Nov 2026 12:00:00 +0000\r\n\r\nHello\r\n"
)


def resolver() -> DnsResolver:
    return DnsResolver((HOST, 53))


def proposed(inventory: Inventory) -> Plan:
    return asyncio.run(propose(inventory, resolver(), NOW))


def after(made: Plan, before: Iterable[str]) -> list[str]:
    """The zone as an administrator has it afterwards: what the plan does not name stays."""
    gone = [one for one in made.entries if one.change in (Change.REMOVE, Change.CHANGE)]
    names = {(f"{one.record.name}.", one.record.type) for one in gone}
    kept = [
        row for row in before if (row.split()[0], row.split()[1]) not in names or "unrelated" in row
    ]
    return list(dict.fromkeys([*kept, *zone(made).splitlines()]))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> KeyStore:
    made = KeyStore(tmp_path_factory.mktemp("store") / "keys")
    made.make(DOMAIN, NOW, selector="r1")
    made.make(DOMAIN, NOW, selector="e1", kind="ed25519")
    return made


@pytest.fixture(scope="module")
def inventory(store: KeyStore) -> Inventory:
    return replace(read(INVENTORY), selectors=publishable(store, DOMAIN))


@pytest.fixture(scope="module")
def first(inventory: Inventory) -> Plan:
    with nsd.running(HOST, {"test": BEFORE, **WORLD}):
        return proposed(inventory)


@pytest.fixture
def published(first: Plan) -> Iterable[None]:
    with nsd.running(HOST, {"test": after(first, BEFORE), **WORLD}):
        yield


def test_what_is_live_is_seen(first: Plan) -> None:
    assert first.sure
    found = {one.id: one.params for one in first.findings}
    assert found["records.spf_several"]["count"] == 2
    assert found["records.alias"]["target"] == "dmarc.vendor.test"
    by = {(one.section, one.record.value): one.change for one in first.entries}
    assert by["mx", "10 old.example.test."] is Change.REMOVE
    assert by["dmarc", "dmarc.vendor.test."] is Change.REMOVE
    [text] = [one.record.value for one in first.entries if one.section == "spf" and one.wanted]
    assert text.startswith("v=spf1 ip4:198.51.100.1 ip4:198.51.100.2 ")
    assert text.endswith(" ~all")
    assert "gone.test" not in text


def test_planned_again_nothing_changes(first: Plan, inventory: Inventory, published: None) -> None:
    again = proposed(inventory)
    assert [(one.change, one.record) for one in again.changes] == []
    assert again.sure
    assert again.uncovered == ()
    wanted = {(one.record.name, one.record.type): one.record for one in first.entries if one.wanted}

    async def live() -> dict[tuple[str, str], set[str]]:
        dns_ = resolver()
        return {key: set((await dns_.ask(*key)).records) for key in wanted}

    read_back = asyncio.run(live())
    for entry in first.entries:
        if entry.wanted:
            key = entry.record.name, entry.record.type
            values = {one.lower() for one in read_back[key]}
            assert entry.record.value.lower() in values
    assert 'unrelated; "quoted" \\ text' in read_back[DOMAIN, "TXT"]


@pytest.mark.parametrize(
    ("ip", "code"),
    [
        *((f"198.51.100.{n}", "pass") for n in (1, 2, 3, 11, 12)),
        *((ip, "pass") for ip in ("2001:db8::3", "2001:db8::11", "203.0.113.200")),
        *((ip, "softfail") for ip in ("198.51.100.99", "2001:db8::4")),
    ],
)
def test_spf_as_receivers_see_it(published: None, ip: str, code: str) -> None:
    query = spf.check_host(ip, DOMAIN, f"a@{DOMAIN}")
    assert asyncio.run(answer(query, resolver())).code.value == code


def test_signed_mail_verifies_through_dns(published: None, store: KeyStore) -> None:
    keys = [store.signing_key(one) for one in store.index(DOMAIN)]
    now = int(NOW.timestamp())
    signed = dkim.Signer(keys).sign(LETTER, at=now) + LETTER
    verified = asyncio.run(answer(dkim.verify(signed, now=now), resolver()))
    assert [one.code for one in verified.results] == ["pass", "pass"]
    assert dkimpy.verify(signed, dnsfunc=_txt)
    wrong = dkim.SigningKey(DOMAIN, "r1", dkim.generate())
    forged = dkim.Signer([wrong]).sign(LETTER, at=now) + LETTER
    verified = asyncio.run(answer(dkim.verify(forged, now=now), resolver()))
    assert [one.code for one in verified.results] == ["fail"]
    assert not dkimpy.verify(forged, dnsfunc=_txt)
    checks = asyncio.run(answer(check(store, NOW), resolver()))
    assert [one.id for each in checks for one in each.findings] == ["records.key_ok"] * 2


def _txt(name: bytes, timeout: int = 5) -> bytes:
    asked = dns.resolver.Resolver(configure=False)
    asked.nameservers = [HOST]
    [rdata] = asked.resolve(name.decode(), "TXT")
    return b"".join(rdata.strings)


def test_policies_read_back(published: None, first: Plan) -> None:
    survey = asyncio.run(answer(dmarc.survey(DOMAIN), resolver()))
    record = survey.discovery.record
    assert record is not None
    assert record.problems == ()
    assert record.policy.p is dmarc.Action.NONE
    assert [one.address for one in record.policy.rua] == ["r@vendor.test", "dmarc@example.test"]
    assert all(one.allowed for one in survey.permissions)
    sts = asyncio.run(answer(mtasts.discover(DOMAIN), resolver()))
    assert sts.found is mtasts.Found.ONE
    policy = mtasts.parse(first.files[0].content)
    assert policy.covers("mx1.example.test")
    reports, _ = asyncio.run(answer(tlsrpt.fetch(DOMAIN), resolver()))
    assert reports is not None
    assert [one.address for one in reports.uris] == ["tls@example.test"]


@pytest.mark.peer("postfix")
def test_tlsa_from_what_the_server_shows(tmp_path: Path) -> None:
    """The record made from a real server's certificate fits that server, and only that one."""
    certificate = Authority(tmp_path).issue(hosts=["mx1.example.test"])
    lines = [f"mx1.example.test. A {MAIL_HOST}"]

    async def seen() -> tuple[Inventory, Plan]:
        dns_ = resolver()
        net = Net(dns_, NetDialer(dns_), FixtureHttp({}), SystemClock())
        wish = Inventory(DOMAIN, dane=(Dane("mx1.example.test"),))
        filled = await with_certificates(wish, net)
        return filled, await propose(filled, dns_, NOW)

    with (
        nsd.running(HOST, {"test": lines}),
        postfix.running(MAIL_HOST, certificate, name="mx1.example.test"),
    ):
        filled, made = asyncio.run(seen())
    [entry] = [one for one in made.entries if one.section == "dane"]
    assert entry.record.name == "_25._tcp.mx1.example.test"
    record = dane.parse(entry.record.value)
    other = Authority(tmp_path).issue(hosts=["mx1.example.test"])
    shown = _leaf(certificate)
    assert filled.dane[0].materials == (shown,)
    names = ("mx1.example.test",)
    good = dane.judge((record,), (shown,), names, NOW)
    bad = dane.judge((record,), (_leaf(other),), names, NOW)
    assert good.outcome is dane.Outcome.MATCH
    assert bad.outcome is dane.Outcome.MISMATCH


def _leaf(issued: Issued) -> bytes:
    return issued.certificate.public_bytes(Encoding.DER)


def test_a_key_is_rotated_without_a_gap(
    first: Plan, inventory: Inventory, store: KeyStore, tmp_path: Path
) -> None:
    """The next key is published before it signs; the old record stays for mail on its way."""

    shutil.copytree(store.folder, tmp_path / "keys")
    copy = KeyStore(tmp_path / "keys")
    old = copy.signing_key(copy.get(DOMAIN, "e1"))
    copy.rotate(DOMAIN, NOW, kind="ed25519", selector="e2")
    lines = after(first, BEFORE)
    with nsd.running(HOST, {"test": lines, **WORLD}):
        step = proposed(replace(inventory, selectors=publishable(copy, DOMAIN)))
    [new] = step.changes
    assert (new.change, new.record.name) == (Change.ADD, "e2._domainkey.example.test")
    copy.activate(DOMAIN, "e2", NOW)
    now = int(NOW.timestamp())
    with nsd.running(HOST, {"test": after(step, lines), **WORLD}):
        for key in (old, copy.signing_key(copy.get(DOMAIN, "e2"))):
            signed = dkim.Signer([key]).sign(LETTER, at=now) + LETTER
            verified = asyncio.run(answer(dkim.verify(signed, now=now), resolver()))
            assert [one.code for one in verified.results] == ["pass"]
        last = proposed(replace(inventory, selectors=publishable(copy, DOMAIN)))
        assert last.changes == ()
