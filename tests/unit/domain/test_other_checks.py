"""The other checks: mail servers, addresses, lists, transport, logo, providers, discovery."""

from __future__ import annotations

import time
from typing import Any

import pytest

from fakes.published import autoconfig, autodiscover, pacc
from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.http import HttpAnswer
from posthouse.net.resolver import FixtureResolver
from posthouse.protocol.dns import Answer
from posthouse.protocol.dnsbl import Blocklist, Kind
from posthouse.setup.domain import Net, Options, audit
from unit.domain.world import GOOD, LISTS, TIMEOUT, ZEN, ids, item, look, net, verdicts

TEN = "198.51.100.25"
REVERSE = ("25.100.51.198.in-addr.arpa", "PTR")


# Mail servers and addresses


async def test_a_domain_in_order_has_no_finding_to_act_on() -> None:
    found = await look(GOOD, "mx", "spf", "dmarc", "fcrdns", "dnsbl", "tlsrpt")
    assert {i.verdict.value for i in found.items} == {"ok"}


@pytest.mark.parametrize(
    ("changed", "id_", "verdict"),
    [
        ({("good.test", "MX"): ["0 ."]}, "mx.null", "ok"),
        ({("good.test", "MX"): ["10 none.good.test."]}, "mx.no_address", "fail"),
        ({("good.test", "MX"): ["10 192.0.2.1."]}, "mx.ip_literal", "fail"),
        ({("good.test", "MX"): TIMEOUT}, "mx.dns_failed", "unknown"),
        ({("good.test", "MX"): []}, "mx.missing", "fail"),
        ({("good.test", "MX"): [], ("good.test", "A"): [TEN]}, "mx.implicit", "warn"),
        (
            {("mx.good.test", "A"): [], ("mx.good.test", "CNAME"): ["a.good.test."],
             ("a.good.test", "A"): [TEN]},
            "mx.alias",
            "warn",
        ),
    ],
)  # fmt: skip
async def test_mail_servers(changed: dict[Any, Any], id_: str, verdict: str) -> None:
    table = {key: value for key, value in {**GOOD, **changed}.items() if value != []}
    assert verdicts(await look(table, "mx"))[id_] == verdict


@pytest.mark.parametrize(
    ("changed", "id_", "verdict"),
    [
        ({REVERSE: None}, "fcrdns.none", "fail"),
        ({REVERSE: ["x.other.test."]}, "fcrdns.not_confirmed", "fail"),
        (
            {("25.100.51.198.in-addr.arpa", "PTR"): ["25-100-51-198.dyn.isp.test."],
             ("25-100-51-198.dyn.isp.test", "A"): [TEN]},
            "fcrdns.generic",
            "fail",
        ),
        ({}, "fcrdns.ok", "ok"),
    ],
)  # fmt: skip
async def test_reverse_names(changed: dict[Any, Any], id_: str, verdict: str) -> None:
    table = {key: value for key, value in {**GOOD, **changed}.items() if value is not None}
    found = await look(table, "fcrdns")
    assert verdicts(found) == {id_: verdict}
    if id_ == "fcrdns.none":
        assert found.items[0].publish == ("25.100.51.198.in-addr.arpa. IN PTR mx.good.test.",)


async def test_given_addresses_take_the_place_of_the_mail_servers() -> None:
    found = await look(GOOD, "fcrdns", egress=("203.0.113.1", "no address"))
    assert ids(found) == ["fcrdns.none", "domain.egress_unusable"]
    assert found.egress == ("203.0.113.1",)


# Block lists


LISTED = {("25.100.51.198.zen.bl.test", "A"): ["127.0.0.2"]}


async def test_a_listing_tells_list_code_removal_and_the_lists_own_words() -> None:
    told = {("25.100.51.198.zen.bl.test", "TXT"): ["https://bl.test/why"]}
    found = await look({**GOOD, **LISTED, **told}, "dnsbl")
    params = item(found, "dnsbl.listed").finding.params
    assert (params["codes"], params["meanings"]) == (["127.0.0.2"], ["sbl"])
    assert (params["evidence"], params["removal"]) == ("https://bl.test/why", "https://bl.test/")


@pytest.mark.parametrize("code", ["127.255.255.252", "127.255.255.254", "127.255.255.255"])
async def test_an_error_of_a_list_is_no_listing(code: str) -> None:
    found = await look({**GOOD, ("25.100.51.198.zen.bl.test", "A"): [code]}, "dnsbl")
    assert "dnsbl.listed" not in ids(found)
    assert verdicts(found)["dnsbl.error"] == "unknown"


class _Dead(FixtureResolver):
    """One zone is dead: its questions take as long as a real time-out."""

    async def ask(self, name: str, type: str) -> Answer:
        if name.endswith(".dead.test"):
            await self.clock.sleep(5)
        return await FixtureResolver.ask(self, name, type)


async def test_five_lists_and_a_dead_one_take_less_than_two_seconds() -> None:
    lists = [Blocklist(f"l{n}", f"L{n}", f"l{n}.test", Kind.IP, "") for n in range(4)]
    lists.append(Blocklist("dead", "Dead", "dead.test", Kind.IP, ""))
    table = dict(GOOD)
    table |= {(f"2.0.0.127.l{n}.test", "A"): ["127.0.0.2"] for n in range(4)}
    table |= {("25.100.51.198.l2.test", "A"): ["127.0.0.3"]}
    around = net({})
    around = Net(_Dead(table), around.dialer, around.http, around.clock)
    options = Options(checks=frozenset({"dnsbl"}), blocklists=tuple(lists))
    began = time.monotonic()
    found = await audit("good.test", around, options)
    assert time.monotonic() - began < 2
    states = {i.finding.params["list"]: i.finding.id for i in found.items}
    assert states == {
        "L0": "dnsbl.clear", "L1": "dnsbl.clear", "L2": "dnsbl.listed", "L3": "dnsbl.clear",
        "Dead": "dnsbl.timeout",
    }  # fmt: skip


async def test_a_listing_stays_one_where_the_lists_words_come_too_late() -> None:
    class Slow(FixtureResolver):
        async def ask(self, name: str, type: str) -> Answer:
            if type == "TXT" and name.endswith(".bl.test"):
                await self.clock.sleep(5)
            return await FixtureResolver.ask(self, name, type)

    around = net({})
    around = Net(Slow({**GOOD, **LISTED}), around.dialer, around.http, around.clock)
    options = Options(checks=frozenset({"dnsbl"}), blocklists=(ZEN,))
    assert ids(await audit("good.test", around, options)) == ["dnsbl.listed"]


# Transport


POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: %s\r\nmax_age: 1209600\r\n"
STS_URL = "https://mta-sts.good.test/.well-known/mta-sts.txt"
STS_RECORD = {("_mta-sts.good.test", "TXT"): ["v=STSv1; id=1"]}


def page(body: bytes, kind: str = "text/plain", **more: Any) -> HttpAnswer:
    more.setdefault("tls_trusted", True)
    return HttpAnswer(200, STS_URL, body, {"content-type": kind}, **more)


@pytest.mark.parametrize(
    ("answer", "id_", "verdict"),
    [
        (page(POLICY % b"mx.good.test"), "mtasts.ok", "ok"),
        (page(POLICY % b"other.test"), "mtasts.mx_uncovered", "fail"),
        (page(POLICY % b"mx.good.test", "text/html"), "mtasts.record_without_policy", "fail"),
        (page(POLICY % b"mx.good.test", tls_trusted=False), "mtasts.record_without_policy", "fail"),
        (page(b"nonsense"), "mtasts.policy_syntax", "fail"),
        (404, "mtasts.record_without_policy", "fail"),
        (NetworkFailure(Failure.REFUSED, Stage.CONNECT), "mtasts.record_without_policy", "fail"),
    ],
)
async def test_mta_sts(answer: Any, id_: str, verdict: str) -> None:
    found = await look({**GOOD, **STS_RECORD}, "mtasts", pages={STS_URL: answer})
    assert verdicts(found)[id_] == verdict


async def test_without_mta_sts_no_policy_is_fetched() -> None:
    around = net(GOOD)
    await audit("good.test", around, Options(checks=frozenset({"mtasts"})))
    assert around.http.asked == []


async def test_dane_counts_only_where_dns_is_signed() -> None:
    tlsa = {("_25._tcp.mx.good.test", "TLSA"): ["3 1 1 " + "ab" * 32]}
    unsigned = await look({**GOOD, **tlsa}, "dane")
    assert "dane.ok" not in ids(unsigned)
    signed = await look({**GOOD, **tlsa}, "dane", authenticated=True)
    assert verdicts(signed) == {"dane.ok": "ok"}
    assert item(signed, "dane.ok").evidence[0].type == "TLSA"


async def test_dnssec_signed_unsigned_broken() -> None:
    assert verdicts(await look(GOOD, "dnssec")) == {"dnssec.unsigned": "warn"}
    assert verdicts(await look(GOOD, "dnssec", authenticated=True)) == {"dnssec.signed": "ok"}


async def test_without_leave_to_connect_the_servers_are_unknown() -> None:
    assert verdicts(await look(GOOD, "smtp")) == {"domain.smtp_not_looked": "unknown"}


SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" '
    b'viewBox="0 0 64 64"><title>Good</title><rect width="64" height="64"/></svg>'
)
BIMI = {("default._bimi.good.test", "TXT"): ["v=BIMI1; l=https://good.test/l.svg"]}


async def test_the_logo_is_fetched_and_looked_at() -> None:
    pages = {"https://good.test/l.svg": SVG}
    found = await look({**GOOD, **BIMI}, "bimi", pages=pages)
    assert "bimi.no_evidence" in ids(found)
    assert not [i for i in found.items if i.verdict.value == "fail"]
    bad = {"https://good.test/l.svg": SVG.replace(b"<rect", b"<script/><rect")}
    assert verdicts(await look({**GOOD, **BIMI}, "bimi", pages=bad))["bimi.svg_script"] == "fail"
    gone = await look({**GOOD, **BIMI}, "bimi", pages={})
    assert item(gone, "bimi.logo_fetch").finding.params["problem"] == "status"


async def test_a_logo_needs_a_policy_that_is_enforced() -> None:
    table = {**GOOD, **BIMI, ("_dmarc.good.test", "TXT"): ["v=DMARC1; p=none"]}
    found = await look(table, "bimi", pages={"https://good.test/l.svg": SVG})
    assert verdicts(found)["bimi.dmarc_weak"] == "fail"


# Providers


OUTLOOK = "good-test.mail.protection.outlook.com"
M365 = {**GOOD, ("good.test", "MX"): [f"0 {OUTLOOK}."], (OUTLOOK, "A"): ["192.0.2.80"]}


async def test_microsoft_365_every_missing_record_is_one_finding() -> None:
    found = await look(M365, "provider")
    assert [(i.finding.id, i.finding.params.get("name")) for i in found.items] == [
        ("domain.provider_spf_missing", None),
        ("domain.provider_missing", "selector1._domainkey.good.test"),
        ("domain.provider_missing", "selector2._domainkey.good.test"),
        ("domain.provider_missing", "autodiscover.good.test"),
    ]
    assert found.items[0].publish == (
        'good.test. IN TXT "v=spf1 mx include:spf.protection.outlook.com -all"',
    )
    assert found.items[3].publish == ("autodiscover.good.test. IN CNAME autodiscover.outlook.com.",)


@pytest.mark.parametrize(
    "target",
    [
        "selector{n}-good-test._domainkey.contoso.onmicrosoft.com.",
        "selector{n}-good-test._domainkey.contoso.r-v1.dkim.mail.microsoft.",
    ],
)
async def test_microsoft_365_in_order_in_its_old_and_new_form(target: str) -> None:
    table = {
        **M365,
        ("good.test", "TXT"): ["v=spf1 include:spf.protection.outlook.com -all"],
        ("spf.protection.outlook.com", "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"],
        ("selector1._domainkey.good.test", "CNAME"): [target.format(n=1)],
        ("selector2._domainkey.good.test", "CNAME"): [target.format(n=2)],
        ("autodiscover.good.test", "CNAME"): ["autodiscover.outlook.com."],
    }
    assert set(verdicts(await look(table, "provider")).values()) == {"ok"}


async def test_an_alias_that_leads_elsewhere_is_told_with_its_value() -> None:
    table = {**M365, ("selector1._domainkey.good.test", "CNAME"): ["x.other.test."]}
    params = item(await look(table, "provider"), "domain.provider_other").finding.params
    assert params["value"] == "x.other.test"


@pytest.mark.parametrize(
    ("mx", "include"),
    [
        ("aspmx.l.google.com.", "_spf.google.com"),
        ("mxbiz1.qq.com.", "spf.mail.qq.com"),
        ("mx1.qiye.aliyun.com.", "spf.qiye.aliyun.com"),
        ("in1-smtp.messagingengine.com.", "spf.messagingengine.com"),
        ("mail.protonmail.ch.", "_spf.protonmail.ch"),
        ("mx.zoho.com.", "zohomail.com"),
    ],
)
async def test_every_tenant_is_told_its_include(mx: str, include: str) -> None:
    found = await look({**GOOD, ("good.test", "MX"): [f"10 {mx}"]}, "provider")
    assert item(found, "domain.provider_spf_missing").finding.params["include"] == include
    table = {
        **GOOD,
        ("good.test", "MX"): [f"10 {mx}"],
        ("good.test", "TXT"): ["v=spf1 include:all.good.test -all"],
        ("all.good.test", "TXT"): [f"v=spf1 include:{include} -all"],
        (include, "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"],
    }
    assert "domain.provider_spf_ok" in ids(await look(table, "provider"))


async def test_amazon_ses_custom_mail_from_and_selectors() -> None:
    options: dict[str, Any] = {
        "providers": ("ses",), "envelope": ("bounce.good.test",), "selectors": ("abc", "def"),
    }  # fmt: skip
    found = await look(GOOD, "provider", **options)
    assert ids(found) == [
        "domain.provider_missing",
        "domain.provider_missing",
        "domain.provider_return_path_mx",
        "domain.provider_return_path_spf",
    ]
    table = {
        **GOOD,
        ("bounce.good.test", "MX"): ["10 feedback-smtp.eu-west-1.amazonses.com."],
        ("bounce.good.test", "TXT"): ["v=spf1 include:amazonses.com ~all"],
        ("abc._domainkey.good.test", "CNAME"): ["abc.dkim.amazonses.com."],
        ("def._domainkey.good.test", "CNAME"): ["def.dkim.amazonses.com."],
    }
    assert set(verdicts(await look(table, "provider", **options)).values()) == {"ok"}


# Settings for mail programs


AUTOCONFIG = "https://autoconfig.good.test/mail/config-v1.1.xml"
DISCOVER = "https://autodiscover.good.test/autodiscover/autodiscover.xml"
PACC_URL = "https://ua-auto-config.good.test/.well-known/user-agent-configuration.json"
HOSTS = {
    ("autoconfig.good.test", "A"): [TEN],
    ("autodiscover.good.test", "A"): [TEN],
    ("ua-auto-config.good.test", "A"): [TEN],
    ("out.good.test", "A"): [TEN],
}
SRV = {("_submissions._tcp.good.test", "SRV"): ["0 1 465 out.good.test."]}


async def discover(table: Any, **pages: bytes) -> dict[str, str]:
    urls = {"ac": AUTOCONFIG, "ad": DISCOVER, "pacc": PACC_URL}
    shown = {urls[name]: body for name, body in pages.items()}
    return verdicts(await look({**GOOD, **table}, "discovery", pages=shown))


async def test_sources_that_agree() -> None:
    document = autoconfig(("out.good.test", 465, "SSL"))
    found = await discover(
        {**HOSTS, **SRV}, ac=document, ad=autodiscover("out.good.test", 465, "SSL")
    )
    assert found == {"domain.discovery_agree": "ok"}


async def test_sources_that_name_other_servers() -> None:
    table = {**HOSTS, **SRV, ("old.good.test", "A"): [TEN]}
    found = await discover(table, ac=autoconfig(("old.good.test", 465, "SSL")))
    assert found["domain.discovery_conflict"] == "warn"


async def test_sources_that_name_other_ports() -> None:
    found = await discover({**HOSTS, **SRV}, ac=autoconfig(("out.good.test", 587, "STARTTLS")))
    assert found["domain.discovery_ports_differ"] == "warn"


async def test_a_named_server_that_does_not_exist() -> None:
    found = await discover({("_submissions._tcp.good.test", "SRV"): ["0 1 465 no.good.test."]})
    assert found["domain.discovery_host_missing"] == "fail"


async def test_plain_text_is_told() -> None:
    found = await discover(HOSTS, ac=autoconfig(("out.good.test", 25, "plain")))
    assert found["domain.discovery_plain"] == "fail"


async def test_an_srv_record_that_leads_to_an_alias() -> None:
    table = {**SRV, ("out.good.test", "CNAME"): ["x.good.test."], ("x.good.test", "A"): [TEN]}
    assert (await discover(table))["domain.discovery_alias"] == "warn"


async def test_a_document_that_can_not_be_read() -> None:
    assert (await discover(HOSTS, ac=b"<clientConfig"))["domain.discovery_unreadable"] == "fail"


async def test_a_document_that_does_not_fit_its_digest() -> None:
    digest = {("_ua-auto-config.good.test", "TXT"): ["v=UAAC1; a=sha256; d=" + "A" * 43 + "="]}
    found = await discover({**HOSTS, **digest}, pacc=pacc("out.good.test", password=True))
    assert found["domain.discovery_digest"] == "fail"


async def test_where_nothing_is_published_and_the_usual_name_is_missing_srv_is_proposed() -> None:
    found = await look(M365, "discovery")
    one = item(found, "domain.guess_missing")
    assert one.publish == ("_submission._tcp.good.test. IN SRV 0 1 587 smtp.office365.com.",)
    exists = await look({**GOOD, ("smtp.good.test", "A"): [TEN]}, "discovery")
    assert ids(exists) == ["domain.discovery_none"]


# The whole


async def test_seven_checks_of_the_well_known_tool_box_in_one() -> None:
    found = await look(GOOD, blocklists=LISTS)
    names = [one.name for one in found.checks]
    assert {"mx", "spf", "dkim", "dmarc", "dnsbl", "smtp", "fcrdns"} <= set(names)


async def test_the_budget_ends_an_audit_politely() -> None:
    found = await look(GOOD, queries=15)
    assert found.usage.asked == 15
    assert found.usage.refused > 0
    assert verdicts(found)["domain.budget"] == "unknown"
    assert not [i for i in found.items if i.verdict.value == "fail" and "none" in i.finding.id]


async def test_the_time_ends_an_audit_politely() -> None:
    began = time.monotonic()
    around = net({**GOOD}, delay=0.6)
    found = await audit("good.test", around, Options(seconds=0.3, blocklists=(ZEN,)))
    assert time.monotonic() - began < 2.5
    assert verdicts(found)["domain.budget"] == "unknown"


async def test_no_question_is_asked_twice() -> None:
    around = net(GOOD)
    await audit("good.test", around, Options(blocklists=LISTS, egress=(TEN,)))
    asked = around.resolver.asked
    assert len(asked) == len(set(asked))
