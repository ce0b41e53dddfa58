"""Whatever is live and whatever is wished: carried out, a plan has nothing left to do."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import dns.rdataclass
import dns.rdatatype
import dns.zone
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthouse.net.resolver import FixtureResolver
from posthouse.protocol import dkim, dmarc, spf, txt
from posthouse.protocol.dns import Ask, run
from posthouse.setup.domain.records import (
    Change,
    Inventory,
    InventoryError,
    Record,
    diff,
    propose,
    text,
    to_dict,
    zone,
)
from posthouse.setup.domain.records import inventory as given_
from posthouse.setup.domain.records.read import read
from posthouse.setup.domain.records.zonefile import line

from .world import NOW, Zone, planned, settled

DOMAIN = "example.test"
KEYS = [dkim.record_text(dkim.generate("ed25519")) for _ in range(3)]

TERMS = st.sampled_from(
    [
        *("ip4:192.0.2.1", "ip4:192.0.2.0/24", "-ip4:192.0.2.9", "ip6:2001:db8::/32", "a", "mx"),
        *("a:relay.test", "include:_spf.google.com", "include:gone.test", "include:loop.test"),
        *("include:spf.google.com", "exists:%{i}.x.test", "ptr", "?include:deep.test", "bad:term"),
        *("include:deep.test", "ip4:10.0.0.0/8", "exp=e.test", "redirect=deep.test", "~all"),
        *("-all", "+all", "?all", "include:s0.test", "include:s1.test", "include:s2.test"),
    ]
)
SPF = st.lists(TERMS, max_size=7).map(lambda terms: " ".join(["v=spf1", *terms]))
TXT = st.one_of(SPF, st.sampled_from(["other", "v=spf10", "brevo-code:x", "v=spf1"]))
DMARC = st.sampled_from(
    [
        *("v=DMARC1; p=none", "v=DMARC1; p=reject; rua=mailto:a@b.test", "v=DMARC1;p=x", "other"),
        *("v=DMARC1; p=quarantine; t=y; pct=10", "v=DMARC1; p=none; sp=reject; adkim=s; fo=1"),
    ]
)
LIVE: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    (DOMAIN, "TXT"): st.lists(TXT, max_size=3, unique=True),
    (DOMAIN, "MX"): st.lists(st.sampled_from(["10 mx1.test.", "5 MX2.test."]), unique=True),
    ("_dmarc.example.test", "TXT"): st.lists(DMARC, max_size=2, unique=True),
    ("_dmarc.example.test", "CNAME"): st.sampled_from([[], [], ["d.vendor.test."]]),
    ("d.vendor.test", "TXT"): st.lists(DMARC, max_size=1),
    ("_smtp._tls.example.test", "TXT"): st.sampled_from(
        [[], ["v=TLSRPTv1; rua=mailto:x@y.test"], ["v=TLSRPTv1; rua=nonsense"], ["v=TLSRPTv1;"]]
    ),
    ("_mta-sts.example.test", "TXT"): st.sampled_from([[], ["v=STSv1; id=1;"], ["v=STSv1; id=1"]]),
    ("mta-sts.example.test", "CNAME"): st.sampled_from([[], ["host.test."]]),
    ("*.example.test", "TXT"): st.sampled_from([[], [], ["v=spf1 -all"], ["junk", "v=DMARC1"]]),
    ("*.example.test", "A"): st.sampled_from([[], [], ["192.0.2.66"]]),
    ("host.test", "A"): st.just(["192.0.2.80"]),
    ("s1._domainkey.example.test", "TXT"): st.lists(
        st.sampled_from([*KEYS, "junk"]), max_size=2, unique=True
    ),
    ("s2._domainkey.example.test", "CNAME"): st.sampled_from([[], ["k.vendor.test."]]),
    ("k.vendor.test", "TXT"): st.just([KEYS[2]]),
    ("smtp.example.test", "A"): st.sampled_from([[], ["192.0.2.3"], ["192.0.2.3", "192.0.2.4"]]),
    ("_submissions._tcp.example.test", "SRV"): st.sampled_from(
        [[], ["0 1 465 Smtp.example.test."], ["0 1 25 x.test.", "0 0 0 ."]]
    ),
}
WORLD = {
    ("_spf.google.com", "TXT"): ["v=spf1 include:_netblocks.google.com ~all"],
    ("_netblocks.google.com", "TXT"): ["v=spf1 ip4:198.51.100.0/24 ~all"],
    ("deep.test", "TXT"): ["v=spf1 include:s0.test include:s1.test a:relay.test -all"],
    ("loop.test", "TXT"): ["v=spf1 include:loop.test -all"],
    **{
        (f"s{n}.test", "TXT"): [
            f"v=spf1 include:s{n}a.test include:s{n}b.test ip4:10.{n}.0.0/16 -all"
        ]
        for n in range(3)
    },
    **{(f"s{n}{x}.test", "TXT"): ["v=spf1 a:relay.test -all"] for n in range(3) for x in "ab"},
    ("relay.test", "A"): ["203.0.113.1"],
    ("mx1.test", "A"): ["203.0.113.2"],
    ("mx2.test", "A"): ["203.0.113.3"],
}


@st.composite
def zones(draw: st.DrawFn) -> Zone:
    table = {key: list(draw(values)) for key, values in LIVE.items()}
    if table["_dmarc.example.test", "CNAME"]:
        del table["_dmarc.example.test", "TXT"]
    made = Zone(WORLD | {key: values for key, values in table.items() if values})
    made.check()
    return made


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    some = st.sampled_from
    addresses = draw(
        st.lists(some(["192.0.2.1", "192.0.2.9", "2001:db8::1", "203.0.113.0/28"]), unique=True)
    )
    ids = draw(st.lists(some(["workspace", "m365", "mandrill", "brevo:code=x"]), unique=True))
    mx = draw(some([(), ("10 mx1.test",), ("10 mx1.test", "20 mx3.test"), (".",)]))
    reports = draw(some([(), ("d@example.test",), ("a@b.test", "d@example.test")]))
    target = draw(some([("smtp", "192.0.2.3"), ("smtp", "relay.test"), ("imap", "host.test")]))
    made = given_.from_options(
        DOMAIN,
        services=ids,
        addresses=addresses,
        mx=mx,
        dmarc_reports=reports,
        tls_reports=draw(some([(), ("t@example.test",)])),
        send_hosts=draw(some([(), ("relay.test",), ("nowhere.test",)])),
    )
    return replace(
        made,
        sends=draw(some([True, True, True, False])),
        selectors=draw(
            some([(), (given_.Selector("s1", KEYS[0]), given_.Selector("s2", KEYS[1]))])
        ),
        names={f"{target[0]}.{DOMAIN}": (target[1],)} if draw(st.booleans()) else {},
        sts=draw(some([None, given_.Sts(), given_.Sts("enforce", 86_400, ("192.0.2.80",))])),
        servers=draw(
            some([(), (given_.Server("submissions", "mx1.test", 465), given_.Server("imap", "."))])
        ),
        spf=draw(
            some([given_.Spf(), given_.Spf(flatten=True), given_.Spf("-all"), given_.Spf("auto")])
        ),
        dmarc=draw(some([given_.Dmarc(), given_.Dmarc(dmarc.Action.QUARANTINE, strict_dkim=True)])),
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(zones(), inventories())
def test_carried_out_nothing_is_left(live: Zone, inventory: Inventory) -> None:
    made = settled(live, inventory)
    text(made, "zh")
    to_dict(made)
    wanted = [one for one in live.table.get((DOMAIN, "TXT"), []) if spf.is_record(one)]
    if any(one.section == "spf" for one in made.entries):
        assert len(wanted) == 1
        survey = run(spf.survey(DOMAIN), live.answer)
        assert survey.lookups <= 10
        assert [one for one in made.coverage if one.planned is False and inventory.sends] == []
    policy = live.answer(Ask("_dmarc.example.test", "TXT")).records
    assert [dmarc.parse(one).broken for one in policy if dmarc.is_record(one)] == [frozenset()]


@settings(max_examples=60, deadline=None)
@given(zones(), inventories())
async def test_asked_of_a_resolver_it_is_the_same(live: Zone, inventory: Inventory) -> None:
    live.table = {key: rows for key, rows in live.table.items() if "*" not in key[0]}
    resolver = FixtureResolver(live.table)  # which knows no wildcards
    made = await propose(inventory, resolver, NOW)
    assert made == planned(live, inventory)
    assert len(resolver.asked) == len(set(resolver.asked))  # no question twice


# The zone file


@given(st.text(max_size=900))
def test_a_txt_value_comes_back_from_a_zone_file(value: str) -> None:
    text_ = f"@ 60 SOA ns. host. 1 1 1 1 1\n@ 60 NS ns.\nx.test. 60 IN TXT {txt.quoted(value)}\n"
    parsed = dns.zone.from_text(text_, "test.", relativize=False)
    [rdata] = parsed.find_rdataset("x.test.", "TXT")
    assert b"".join(rdata.strings) == value.encode("utf-8", "replace")
    assert all(len(one) <= 255 for one in rdata.strings)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(zones(), inventories())
def test_the_fragment_is_the_plan(live: Zone, inventory: Inventory) -> None:
    made = planned(live, inventory)
    wanted = [one.record for one in made.entries if one.wanted]
    soa = "example.test. 60 IN SOA ns. host. 1 1 1 1 1\nexample.test. 60 IN NS ns.\n"
    parsed = dns.zone.from_text(soa + zone(made), "example.test.", relativize=False)
    kinds = ("SOA", "NS")
    rows = {
        (name.to_text().rstrip("."), dns.rdatatype.to_text(rdata.rdtype))
        for name, _, rdata in parsed.iterate_rdatas()
    }
    assert rows == {(one.name, one.type) for one in wanted} | {(DOMAIN, kind) for kind in kinds}


def test_each_line_says_what_to_do() -> None:
    live = Zone({(DOMAIN, "TXT"): ["v=spf1 ~all"], (DOMAIN, "MX"): ["10 a.test.", "10 c.test."]})
    inventory = given_.from_options(DOMAIN, addresses=["192.0.2.1"], mx=["a.test", "b.test"])
    made = planned(live, inventory)
    assert diff(made).splitlines() == [
        '- example.test. 3600 IN TXT "v=spf1 ~all"',
        '+ example.test. 3600 IN TXT "v=spf1 ip4:192.0.2.1 ~all"',
        "  example.test. 3600 IN MX 10 a.test.",
        "+ example.test. 3600 IN MX 10 b.test.",
        "- example.test. 3600 IN MX 10 c.test.",
        '+ _dmarc.example.test. 3600 IN TXT "v=DMARC1; p=none"',
    ]
    assert "c.test" not in zone(made)
    assert {one.change for one in made.entries} == {
        Change.ADD,
        Change.CHANGE,
        Change.SAME,
        Change.REMOVE,
    }


def test_a_long_key_is_parted() -> None:
    key = dkim.record_text(dkim.generate())
    record = line(Record("s._domainkey.example.test", "TXT", key, 60))
    assert len(record.split('" "')) == 2
    assert max(len(part) for part in record.split('"')) <= 255


# Any text as an inventory


@given(st.text(max_size=200))
def test_any_text_is_an_inventory_or_an_error(value: str) -> None:
    for whole in (value, f'domain = "example.test"\n{value}'):
        with suppress(InventoryError):
            read(whole)


@pytest.mark.parametrize("value", ["[" * 5_000, "a = " + "[" * 5_000, "\x00", "a" * 300_000])
def test_hostile_text(value: str) -> None:
    with pytest.raises(InventoryError):
        read(value)


def test_a_plan_asks_only_what_it_needs() -> None:
    live = Zone(WORLD)
    planned(live, given_.from_options(DOMAIN, services=["workspace"]))
    assert len(live.asked) == len(set(live.asked))
    assert len(live.asked) < 20
