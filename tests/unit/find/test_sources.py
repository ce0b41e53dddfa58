"""Each source alone: what it asks, what it makes of the answer, what it withstands."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse import directory
from posthouse.flow import CredentialKind, Failure, NetworkFailure, Stage
from posthouse.net.http import HttpAnswer
from posthouse.net.resolver import Answer, AnswerStatus
from posthouse.setup.find.model import Found, Net, Quality, Query, Source, State
from posthouse.setup.find.sources import (
    NETWORK,
    autoconfig,
    autodiscover,
    behind,
    guess,
    hoster,
    mx,
    ns,
    pacc,
    records,
    srv,
)

from .doubles import RTT, LoopClock, World, run
from .doubles import autoconfig as autoconfig_file
from .doubles import where as places_of

QUERY = Query("alice@d.example", "d.example")
WITH_HTTP = Query("alice@d.example", "d.example", allow_http=True)
OWN = "https://autoconfig.d.example/mail/config-v1.1.xml"
WELL_KNOWN = "https://d.example/.well-known/autoconfig/mail/config-v1.1.xml"
PLAIN = "http://autoconfig.d.example/mail/config-v1.1.xml"
PACC = "https://ua-auto-config.d.example/.well-known/user-agent-configuration.json"
POX = "https://autodiscover.d.example/autodiscover/autodiscover.xml"
POX_BARE = "https://d.example/autodiscover/autodiscover.xml"
V2 = "https://autodiscover.d.example/autodiscover/autodiscover.json"


def places(found: Found) -> list[str]:
    return [f"{c.endpoint} {c.endpoint.security.value}" for c in found.claims]


def ids(found: Found) -> list[str]:
    return [f.id for f in found.findings]


# SRV


def srv_world(submissions: Any = (), submission: Any = (), **more: Any) -> World:
    table = {
        ("_submissions._tcp.d.example", "SRV"): submissions,
        ("_submission._tcp.d.example", "SRV"): submission,
        ("d.example", "A"): ["192.0.2.1"],
    }
    return World({k: v for k, v in table.items() if v}, **more)


def test_srv_asks_for_both_services() -> None:
    world = srv_world()
    run(srv.ask(QUERY, world.net))
    assert world.resolver.asked == [
        ("_submissions._tcp.d.example", "SRV"),
        ("_submission._tcp.d.example", "SRV"),
    ]


def test_srv_submissions_first_then_priority() -> None:
    world = srv_world(
        ["0 1 465 tls.d.example."],
        ["20 1 587 late.d.example.", "10 1 587 early.d.example."],
    )
    found = run(srv.ask(QUERY, world.net))
    assert places(found) == [
        "tls.d.example:465 tls",
        "early.d.example:587 starttls",
        "late.d.example:587 starttls",
    ]
    assert {c.username for c in found.claims} == {""}


def test_srv_465_is_tls_whatever_the_label() -> None:
    found = run(srv.ask(QUERY, srv_world((), ["0 1 465 m.d.example."]).net))
    assert places(found) == ["m.d.example:465 tls"]


def test_srv_weights() -> None:
    """Three to one, in the drawing's whole range (RFC 2782)."""
    rows = ["0 3 465 often.d.example.", "0 1 465 seldom.d.example."]
    firsts = Counter(
        run(srv.ask(QUERY, srv_world(rows, picks=[drawn]).net)).claims[0].endpoint.host
        for drawn in range(5)
    )
    assert firsts["often.d.example"] == 4  # 0 to 3 of 0 to 4
    assert firsts["seldom.d.example"] == 1


def test_srv_weights_by_chance() -> None:
    rows = ["0 75 465 often.d.example.", "0 25 465 seldom.d.example."]
    world = srv_world(rows)
    net = Net(world.resolver, world.http, LoopClock())  # its own randomness

    async def firsts() -> Counter[str]:
        drawn: Counter[str] = Counter()
        for _ in range(400):
            drawn[(await srv.ask(QUERY, net)).claims[0].endpoint.host] += 1
        return drawn

    assert 240 < run(firsts())["often.d.example"] < 360  # 300 expected; 6.9 sigma each way


def test_srv_not_offered() -> None:
    found = run(srv.ask(QUERY, srv_world(["0 0 0 ."], ["0 1 587 m.d.example."]).net))
    assert ids(found) == ["srv_not_offered"]
    assert places(found) == ["m.d.example:587 starttls"]


@pytest.mark.parametrize("signed", [True, False])
def test_srv_notes_dnssec(signed: bool) -> None:
    world = srv_world(["0 1 465 m.d.example."], authenticated=signed)
    evidence = run(srv.ask(QUERY, world.net)).claims[0].evidence
    assert evidence.dnssec is signed
    assert evidence.quality is (Quality.SIGNED if signed else Quality.PLAIN)
    assert evidence.where == "_submissions._tcp.d.example SRV"


def test_srv_a_bad_record_spoils_no_good_one() -> None:
    rows = ["rubbish", "0 1 465 m.d.example.", "0 1 465 10.10.10.10.10."]
    found = run(srv.ask(QUERY, srv_world(rows).net))
    assert places(found) == ["m.d.example:465 tls"]
    assert ids(found) == ["srv_unreadable", "srv_unreadable"]


def test_srv_reads_no_endless_answer() -> None:
    rows = [f"0 1 465 m{n}.d.example." for n in range(5_000)]
    found = run(srv.ask(QUERY, srv_world(rows).net))
    assert len(found.claims) == records.RECORDS_READ


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (AnswerStatus.SERVFAIL, State.FAILED),
        (AnswerStatus.REFUSED, State.FAILED),
        (AnswerStatus.TIMEOUT, State.TIMED_OUT),
    ],
)
@pytest.mark.parametrize("source", [Source.SRV, Source.MX, Source.NS])
def test_a_dns_failure_is_told_apart_from_no_answer(
    source: Source, status: AnswerStatus, state: State
) -> None:
    names = ("_submissions._tcp.d.example", "_submission._tcp.d.example", "d.example")
    world = World({(n, t): status for n in names for t in ("SRV", "MX", "NS")})
    found = run(NETWORK[source](QUERY, world.net))
    assert (found.state, found.detail) == (state, "dns")


# MX


def mx_found(*rows: str, **dns: Any) -> Found:
    return run(mx.ask(QUERY, World({("d.example", "MX"): list(rows), **dns}).net))


@pytest.mark.parametrize(
    ("row", "host"),
    [
        ("5 mxbiz1.qq.com.", "smtp.exmail.qq.com"),
        ("5 qiye163mx01.mxmail.netease.com.", "smtp.qiye.163.com"),
        ("5 mxn.mxhichina.com.", "smtp.qiye.aliyun.com"),
        ("5 mx1.qiye.aliyun.com.", "smtp.qiye.aliyun.com"),
        ("0 d-example.mail.protection.outlook.com.", "smtp.office365.com"),
        ("0 d-example.a-v1.mx.microsoft.", "smtp.office365.com"),
        ("1 aspmx.l.google.com.", "smtp.gmail.com"),
        ("10 in1-smtp.messagingengine.com.", "smtp.fastmail.com"),
    ],
)
def test_mx_tenants(row: str, host: str) -> None:
    found = mx_found(row)
    assert found.claims[0].endpoint.host == host
    assert found.claims[0].evidence.provider
    assert found.claims[0].evidence.where.startswith("d.example MX ")


@pytest.mark.parametrize("row", ["10 mx3.qq.com.", "10 mx.d.example.", "rubbish", "10 a b c"])
def test_mx_of_no_tenant(row: str) -> None:
    assert mx_found(row).claims == ()


def test_mx_the_preferred_host_counts() -> None:
    found = mx_found("20 aspmx.l.google.com.", "10 mxbiz1.qq.com.")
    assert found.claims[0].endpoint.host == "smtp.exmail.qq.com"
    assert found.hosts == ("mxbiz1.qq.com", "aspmx.l.google.com")


def test_mx_null() -> None:
    found = mx_found("0 .")
    assert (found.claims, ids(found), found.hosts) == ((), ["null_mx"], ())


def test_mx_of_no_domain() -> None:
    found = run(mx.ask(QUERY, World().net))
    assert found.no_domain
    assert ids(found) == ["domain_not_found"]


def test_amazon_fits_two_products() -> None:
    found = mx_found("10 inbound-smtp.us-east-1.amazonaws.com.")
    assert ids(found) == ["ses_or_workmail"]
    hosts = {c.endpoint.host for c in found.claims}
    assert hosts == {"smtp.mail.us-east-1.awsapps.com", "email-smtp.us-east-1.amazonaws.com"}
    assert {c.evidence.quality for c in found.claims} == {Quality.AMBIGUOUS}


def test_amazon_where_there_is_no_workmail() -> None:
    found = mx_found("10 inbound-smtp.eu-central-1.amazonaws.com.")
    assert ids(found) == ["ses_receiving"]
    assert {c.endpoint.host for c in found.claims} == {"email-smtp.eu-central-1.amazonaws.com"}


def test_amazon_workmail_proved_by_its_alias() -> None:
    table = {
        ("d.example", "MX"): ["10 inbound-smtp.eu-west-1.amazonaws.com."],
        ("autodiscover.d.example", "CNAME"): ["autodiscover.mail.eu-west-1.awsapps.com."],
    }
    found = run(mx.ask(QUERY, World(table).net))
    assert places(found) == ["smtp.mail.eu-west-1.awsapps.com:465 tls"]
    assert found.findings == ()


# NS and guesses


def test_ns_is_a_hint() -> None:
    from posthouse import directory

    provider = next(p for p in map(directory.load, directory.ids()) if p.ns)
    host = provider.ns[0].pattern.replace("*", "ns1")
    found = run(ns.ask(QUERY, World({("d.example", "NS"): [f"{host}."]}).net))
    assert found.claims
    assert {c.evidence.quality for c in found.claims} == {Quality.PLAIN}
    assert found.claims[0].evidence.provider == provider.id


@pytest.mark.parametrize(
    ("mx_hosts", "names"),
    [
        ((), ("smtp.d.example", "mail.d.example", "d.example")),
        (
            ("mail.hoster.example",),
            (
                "smtp.d.example",
                "mail.d.example",
                "d.example",
                "mail.hoster.example",
                "smtp.hoster.example",
            ),
        ),
    ],
)
def test_likely_names(mx_hosts: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert guess.likely("d.example", mx_hosts) == names


def test_guesses_are_bounded_and_must_exist() -> None:
    hosts = tuple(f"mx.h{n}.example" for n in range(50))
    assert len(guess.likely("d.example", hosts)) == guess.NAMES_TRIED
    world = World({("mail.d.example", "AAAA"): ["2001:db8::1"]})
    found = run(guess.ask(QUERY, world.net, hosts))
    assert places(found) == ["mail.d.example:465 tls", "mail.d.example:587 starttls"]
    of_the_hoster = {hoster.parent_of(hosts[0]), f"autoconfig.{hoster.parent_of(hosts[0])}"}
    asked = {name for name, _ in world.resolver.asked}
    assert len(asked - of_the_hoster) <= guess.NAMES_TRIED


# autoconfig


def test_autoconfig_urls_and_privacy() -> None:
    world = World(pages={OWN: 404, WELL_KNOWN: 404, PLAIN: autoconfig_file("evil.test")})
    found = run(autoconfig.ask(QUERY, world.net))
    assert {url for _, url, _ in world.http.asked} == {
        f"{OWN}?emailaddress=alice@d.example",
        WELL_KNOWN,
    }
    assert found.claims == ()


def test_autoconfig_over_http_only_when_allowed_and_without_the_address() -> None:
    world = World(pages={PLAIN: autoconfig_file("m.d.example")})
    found = run(autoconfig.ask(WITH_HTTP, world.net))
    assert PLAIN in [url for _, url, _ in world.http.asked]
    assert places(found) == ["m.d.example:465 tls"]
    assert found.claims[0].evidence.quality is Quality.UNTRUSTED


def test_autoconfig_the_better_place_counts() -> None:
    pages = {OWN: autoconfig_file("own.test"), WELL_KNOWN: autoconfig_file("well-known.test")}
    found = run(autoconfig.ask(QUERY, World(pages=pages).net))
    assert places(found) == ["own.test:465 tls"]
    claim = found.claims[0]
    assert claim.evidence.where == OWN  # the address stays out of it
    assert (claim.username, claim.auth) == ("alice@d.example", ("PLAIN", "LOGIN"))
    assert claim.credential is CredentialKind.PASSWORD


def test_autoconfig_a_dead_place_does_not_hold_up_a_good_one() -> None:
    pages = {OWN: autoconfig_file("own.test"), WELL_KNOWN: autoconfig_file("well-known.test")}
    world = World(pages=pages, slow={"autoconfig.d.example": 1_000})

    async def timed() -> tuple[Found, float]:
        found = await autoconfig.ask(QUERY, world.net)
        return found, LoopClock().monotonic()

    found, seconds = run(timed())
    assert places(found) == ["well-known.test:465 tls"]
    assert seconds == pytest.approx(4 * RTT + 0.25)


def untrusted(url: str, body: bytes) -> HttpAnswer:
    return HttpAnswer(200, url, body, tls_trusted=False)


HOSTILE = {
    "not_trusted": (untrusted(OWN, autoconfig_file("evil.test")), "untrusted_tls"),
    "huge": (b"<clientConfig>" + b" " * 300_000, "network"),
    "html": (b"<!doctype html><html><body>hello</body></html>", "unreadable"),
    "bomb": (
        b'<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><clientConfig>&b;</clientConfig>',
        "unreadable",
    ),
    "empty": (b"", "unreadable"),
    "other": (b"<other/>", "unreadable"),
    "server_error": (503, "http_status"),
    "not_found": (404, "http_status"),
    "silent": (NetworkFailure(Failure.SILENT, Stage.ANY), "network"),
    "downgrade": (NetworkFailure(Failure.BAD_REPLY, Stage.ANY, reason="downgrade"), "network"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_autoconfig_hostile(name: str) -> None:
    page, detail = HOSTILE[name]
    found = run(autoconfig.ask(QUERY, World(pages={OWN: page}).net))
    assert found.claims == ()
    assert found.detail in (detail, "no_such_host" if name == "not_found" else detail)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_a_source(body: bytes) -> None:
    pages = dict.fromkeys((OWN, PACC, POX, POX_BARE, V2), body)
    world = World(pages=pages)
    for source in (Source.AUTOCONFIG, Source.PACC, Source.AUTODISCOVER, Source.AUTODISCOVER_V2):
        assert run(NETWORK[source](QUERY, world.net)).claims == ()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=5))
def test_no_record_breaks_a_source(rows: list[str]) -> None:
    names = ("_submissions._tcp.d.example", "_submission._tcp.d.example", "d.example")
    types = ("SRV", "MX", "NS")
    table = {
        (name, type_): Answer(name, type_, AnswerStatus.OK, tuple(rows))
        for name in names
        for type_ in types
    }
    for source in (Source.SRV, Source.MX, Source.NS):
        assert isinstance(run(NETWORK[source](QUERY, World(table).net)), Found)


# PACC


def document(host: str = "smtp.d.example") -> bytes:
    return json.dumps(
        {"protocols": {"smtp": {"host": host}}, "authentication": {"password": True}}
    ).encode()


def digest(body: bytes) -> list[str]:
    value = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return [f"v=UAAC1; a=sha256; d={value}"]


def pacc_found(txt: list[str], page: Any = None, *, signed: bool = False) -> tuple[Found, World]:
    table = {("_ua-auto-config.d.example", "TXT"): txt} if txt else {}
    world = World(table, {PACC: document() if page is None else page}, authenticated=signed)
    return run(pacc.ask(QUERY, world.net)), world


@pytest.mark.parametrize("signed", [True, False])
def test_pacc_with_its_digest(signed: bool) -> None:
    found, world = pacc_found(digest(document()), signed=signed)
    assert places(found) == ["smtp.d.example:465 tls"]
    assert found.claims[0].evidence.quality is Quality.SIGNED
    assert found.claims[0].evidence.dnssec is signed
    assert world.http.asked == [("GET", PACC, b"")]  # no address in it
    assert ("_ua-auto-config.d.example", "TXT") in world.resolver.asked


def test_pacc_with_another_files_digest_is_worthless() -> None:
    found, _ = pacc_found(digest(b"another"))
    assert (found.claims, found.state, ids(found)) == ((), State.FAILED, ["pacc_mismatch"])


def test_pacc_without_a_digest_is_as_good_as_any_file() -> None:
    found, _ = pacc_found([])
    assert found.claims[0].evidence.quality is Quality.PLAIN
    assert ids(found) == ["pacc_no_digest"]


def test_pacc_without_a_digest_from_elsewhere_is_refused() -> None:
    elsewhere = HttpAnswer(200, "https://evil.test/x.json", document(), tls_trusted=True)
    found, _ = pacc_found([], elsewhere)
    assert (found.claims, found.detail) == ((), "redirected")
    found, _ = pacc_found(digest(document()), elsewhere)
    assert places(found) == ["smtp.d.example:465 tls"]


# Autodiscover

POX_ANSWER = b"""<Autodiscover><Response><Account><AccountType>email</AccountType>
<Action>settings</Action>%s<Protocol><Type>SMTP</Type><Server>smtp.d.example</Server>
<Port>465</Port><SSL>on</SSL><LoginName>alice</LoginName></Protocol></Account></Response>
</Autodiscover>"""


def test_autodiscover_pox() -> None:
    world = World(pages={POX: POX_ANSWER % b"", POX_BARE: 404})
    found = run(autodiscover.ask(QUERY, world.net))
    assert places(found) == ["smtp.d.example:465 tls"]
    assert found.claims[0].username == "alice"
    assert {(m, u) for m, u, _ in world.http.asked} == {("POST", POX), ("POST", POX_BARE)}
    for _, _, body in world.http.asked:
        assert b"<EMailAddress>alice@d.example</EMailAddress>" in body
        assert b"assword" not in body


def test_autodiscover_exchange() -> None:
    exchange = b"<Protocol><Type>EXCH</Type><Server>x.d.example</Server></Protocol>"
    found = run(autodiscover.ask(QUERY, World(pages={POX: POX_ANSWER % exchange}).net))
    assert ids(found) == ["exchange_account"]


def test_autodiscover_follows_nobody_and_knows_microsoft() -> None:
    target = "https://autodiscover-s.outlook.com/autodiscover/autodiscover.xml"
    redirect = HttpAnswer(302, POX, headers={"location": target}, tls_trusted=True)
    world = World(pages={POX: redirect})
    found = run(autodiscover.ask(QUERY, world.net))
    assert places(found) == ["smtp.office365.com:587 starttls"]
    assert {urlsplit(url).hostname for _, url, _ in world.http.asked} <= {
        "autodiscover.d.example",
        "d.example",
    }
    elsewhere = HttpAnswer(302, POX, headers={"location": "https://e.test/"}, tls_trusted=True)
    found = run(autodiscover.ask(QUERY, World(pages={POX: elsewhere}).net))
    assert (found.claims, found.detail) == ((), "redirected")


def test_autodiscover_v2() -> None:
    url = "https://outlook.office365.com/autodiscover/autodiscover.xml"
    page = json.dumps({"Protocol": "AutodiscoverV1", "Url": url}).encode()
    world = World(pages={V2: page})
    found = run(autodiscover.ask_v2(QUERY, world.net))
    assert places(found) == ["smtp.office365.com:587 starttls"]
    assert [url for _, url, _ in world.http.asked] == [
        f"{V2}?Email=alice@d.example&Protocol=AutodiscoverV1"
    ]
    assert found.claims[0].evidence.where == V2


def test_nobody_but_the_domain_itself_is_asked() -> None:
    """DNS and web questions of a whole search go to the domain and names below it."""
    world = World({("d.example", "MX"): ["5 mx.hoster.test."]}, {WELL_KNOWN: 404})
    result = world.find("alice@d.example", thorough=True)
    assert {c.endpoint.host for c in result.candidates} == {"d.example"}
    asked = {name for name, _ in world.resolver.asked}
    strangers = {n for n in asked if n != "d.example" and not n.endswith(".d.example")}
    # Likely names, and the hoster's own file: looked up, and never told the address.
    assert strangers == {
        "smtp.hoster.test", "mail.hoster.test", "hoster.test", "autoconfig.hoster.test"
    }  # fmt: skip
    for _, url, _ in world.http.asked:
        assert "d.example" in (urlsplit(url).hostname or "") or "alice" not in url


HOSTER = "https://autoconfig.hoster.test/mail/config-v1.1.xml"


def test_the_hoster_s_file_is_found_by_the_mx() -> None:
    """draft-ietf-mailmaint-autoconfig: the parent of the MX host, where nobody nearer knows."""
    world = World(
        {("d.example", "MX"): ["5 mx1.hoster.test."]}, {HOSTER: autoconfig_file("out.hoster.test")}
    )
    result = world.find("alice@d.example")
    assert places_of(result) == ["out.hoster.test:465 tls"]
    assert result.best is not None
    assert result.best.username == "alice@d.example"
    assert result.best.evidence[0].where == HOSTER
    assert result.best.evidence[0].source is Source.MX
    assert result.outcome.value == "found"
    assert all("alice" not in u for _, u, _ in world.http.asked if "hoster.test" in u)


def test_what_the_domain_says_itself_wins_over_its_hoster() -> None:
    dns = {
        ("d.example", "MX"): ["5 mx1.hoster.test."],
        ("_submissions._tcp.d.example", "SRV"): ["0 1 465 own.d.example."],
    }
    world = World(dns, {HOSTER: autoconfig_file("out.hoster.test")})
    result = world.find("alice@d.example", thorough=True)
    assert places_of(result) == ["own.d.example:465 tls"]
    assert HOSTER not in [u for _, u, _ in world.http.asked]


@pytest.mark.parametrize(
    ("host", "parent"),
    [
        ("mx1.hoster.test", "hoster.test"),
        ("mx.eu.hoster.test", "eu.hoster.test"),
        ("mx.hoster.co.uk", "hoster.co.uk"),
        ("hoster.co.uk", ""),
        ("firm.com.cn", ""),
        ("hoster.test", ""),
        ("localhost", ""),
        ("", ""),
    ],
)
def test_the_parent_of_an_mx(host: str, parent: str) -> None:
    assert hoster.parent_of(host) == parent


# Filters and forwarders in front of mailboxes

M365 = "smtp.office365.com:587 starttls"


@pytest.mark.parametrize(
    ("rows", "more", "first", "finding"),
    [
        (["10 eu-smtp-inbound-1.mimecast.com."], {}, [], "filter_in_front"),
        (["10 mx0a-00112233.pphosted.com."], {}, [], "filter_in_front"),
        (["10 d-example.mx.iphmx.com."], {}, [], "filter_in_front"),
        (["10 cluster1.eu.messagelabs.com."], {}, [], "filter_in_front"),
        (["10 d123.ess.barracudanetworks.com."], {}, [], "filter_in_front"),
        (
            ["10 eu-smtp-inbound-1.mimecast.com."],
            {("autodiscover.d.example", "CNAME"): ["autodiscover.outlook.com."]},
            [M365],
            "filter_in_front_known",
        ),
        (
            ["10 mx1.d-example.iphmx.com."],
            {("d.example", "TXT"): ["v=spf1 include:_spf.google.com ~all"]},
            ["smtp.gmail.com:465 tls"],
            "filter_in_front_hint",
        ),
        (
            ["10 mx1.d-example.iphmx.com.", "20 d-example.mail.protection.outlook.com."],
            {},
            [M365],
            None,
        ),
        (["10 route1.mx.cloudflare.net."], {}, [], "forwarder"),
    ],
)
def test_a_filter_is_no_mailbox_provider(
    rows: list[str], more: dict[tuple[str, str], list[str]], first: list[str], finding: str | None
) -> None:
    found = run(mx.ask(QUERY, World({("d.example", "MX"): rows, **more}).net))
    assert places(found)[:1] == first
    assert ids(found) == ([finding] if finding else [])
    filters = {p for p in directory.ids() if p.startswith(("mimecast", "proofpoint", "barracuda"))}
    assert filters == set()


def test_the_mx_of_a_filter_is_not_guessed_at() -> None:
    result = World({("d.example", "MX"): ["10 smtp.mimecast.com."]}).find(
        "alice@d.example", thorough=True
    )
    assert not [c for c in result.candidates if "mimecast" in c.endpoint.host]


@pytest.mark.parametrize(
    "provider_id", sorted({*behind.ALIASES.values(), *behind.SENDERS.values()})
)
def test_who_may_be_behind_a_filter_is_a_tenant_s_provider(provider_id: str) -> None:
    assert directory.load(provider_id).kind is directory.Kind.TENANT
