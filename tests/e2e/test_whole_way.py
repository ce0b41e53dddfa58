"""From an address alone to a message in the mailbox, with real servers on the real ports.

unbound and NSD answer DNS, a web server speaks HTTPS with a certificate of the test's own CA,
Postfix (25, 465, 587) takes mail after a login at Dovecot, hands it over by LMTP, and Dovecot gives
it out by IMAP. Every domain publishes its servers in one way; all of them live on these machines.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from typing import Any

import pytest

from canaries import PASSWORD, WRONG_PASSWORD, find_leaks
from fakes.certs import Authority
from fakes.published import autoconfig, autodiscover, digest, pacc
from peers import dovecot, https, postfix, process, unbound
from posthouse.flow import CredentialKind, Endpoint, Secret, Security, Stage, Status
from posthouse.net.clock import SystemClock
from posthouse.net.dial import NetDialer
from posthouse.net.http import NetHttp
from posthouse.net.resolver import DnsResolver
from posthouse.setup import find as finding
from posthouse.setup import probe as probing
from posthouse.setup.find import FindResult, Source, Trust
from posthouse.setup.probe import Envelope, FetchBack, Login, Options, ProbeResult, TestMessage

pytestmark = [pytest.mark.netns, pytest.mark.peer("postfix", "dovecot", "nsd", "unbound")]

MAIL, IMAP, WEB, HALF = "127.0.0.10", "127.0.0.20", "127.0.0.40", "127.0.0.11"
DEAD = "2001:db8::25"  # documentation prefix: nobody is there
TLS, STARTTLS = Security.TLS, Security.STARTTLS
BY_SRV, BY_AUTOCONFIG, BY_PACC, BY_AUTODISCOVER = (
    "by-srv.test",
    "by-autoconfig.test",
    "by-pacc.test",
    "by-autodiscover.test",
)
FORGED = "by-forged-pacc.test"
OF_HOST, OF_PORT, OF_SECURITY, OF_USERNAME, OF_LOGIN = (
    "host.conflict.test",
    "port.conflict.test",
    "security.conflict.test",
    "username.conflict.test",
    "login.conflict.test",
)
WORKING = (BY_SRV, BY_AUTOCONFIG, BY_PACC, BY_AUTODISCOVER)
DOMAINS = (*WORKING, FORGED, OF_HOST, OF_PORT, OF_SECURITY, OF_USERNAME, OF_LOGIN)


# What the domains publish


PACC_DOCUMENT = pacc(f"mail.{BY_PACC}", password=True)
OAUTH = {"oauth-public": {"issuer": "https://login.conflict.test"}}
CONFIG, DISCOVER = "/mail/config-v1.1.xml", "/autodiscover/autodiscover.xml"
PACC_PATH = "/.well-known/user-agent-configuration.json"
PAGES = {
    f"autoconfig.{BY_AUTOCONFIG}{CONFIG}": autoconfig(
        (f"mail.{BY_AUTOCONFIG}", 587, "STARTTLS"), (f"mail.{BY_AUTOCONFIG}", 465, "SSL")
    ),
    f"ua-auto-config.{BY_PACC}{PACC_PATH}": PACC_DOCUMENT,
    f"ua-auto-config.{FORGED}{PACC_PATH}": pacc("mail.evil.test", password=True),
    f"autodiscover.{BY_AUTODISCOVER}{DISCOVER}": autodiscover(
        f"mail.{BY_AUTODISCOVER}", 587, "TLS"
    ),
    f"autoconfig.{OF_HOST}{CONFIG}": autoconfig((f"mail.{OF_HOST}", 465, "SSL")),
    f"autoconfig.{OF_PORT}{CONFIG}": autoconfig((f"mail.{OF_PORT}", 465, "SSL")),
    f"autoconfig.{OF_SECURITY}{CONFIG}": autoconfig((f"mail.{OF_SECURITY}", 587, "STARTTLS")),
    f"autoconfig.{OF_USERNAME}{CONFIG}": autoconfig((f"mail.{OF_USERNAME}", 465, "SSL")),
    f"autodiscover.{OF_USERNAME}{DISCOVER}": autodiscover(
        f"mail.{OF_USERNAME}", 465, "SSL", login="CORP\\alice"
    ),
    f"ua-auto-config.{OF_LOGIN}{PACC_PATH}": pacc(f"mail.{OF_LOGIN}", **OAUTH),
    f"autoconfig.{OF_LOGIN}{CONFIG}": autoconfig((f"mail.{OF_LOGIN}", 465, "SSL")),
}
RECORDS = {
    BY_SRV: ["_submissions._tcp SRV 0 1 465 mail", "_submission._tcp SRV 10 1 587 mail"],
    BY_PACC: [digest(PACC_DOCUMENT)],
    FORGED: [digest(PACC_DOCUMENT)],
    OF_HOST: ["_submissions._tcp SRV 0 1 465 old"],
    OF_PORT: ["_submissions._tcp SRV 0 1 2465 mail"],
    OF_SECURITY: ["_submissions._tcp SRV 0 1 587 mail"],
    OF_LOGIN: [digest(pacc(f"mail.{OF_LOGIN}", **OAUTH))],
}


def zone(domain: str) -> list[str]:
    """All names of a domain; web hosts exist only where something is published there."""
    hosts = {key.partition("/")[0] for key in PAGES}
    labels = [name.removesuffix(f".{domain}") for name in hosts if name.endswith(f".{domain}")]
    lines = [f"mail A {MAIL}", f"imap A {IMAP}", "@ MX 10 mail"]
    lines += [f"half A {HALF}", f"mixed A {MAIL}", f"mixed AAAA {DEAD}"]
    return lines + [f"{label} A {WEB}" for label in labels] + RECORDS.get(domain, [])


# The world


@dataclass
class World:
    """The running servers, and our own way to them."""

    authority: Authority
    postfix: postfix.Postfix
    dovecot: dovecot.Dovecot
    web: https.Web

    def net(self, *, trusting: bool = True) -> tuple[finding.Net, probing.Net]:
        """The real resolver, dialer and web client, put together as the command line does."""
        clock = SystemClock()
        resolver = DnsResolver(None, clock=clock)
        dialer = NetDialer(resolver)
        web = NetHttp(dialer, ca_file=str(self.authority.ca_file) if trusting else None)
        return finding.Net(resolver, web, clock), probing.Net(resolver, dialer, clock, web)

    async def find(self, domain: str, **how: bool) -> FindResult:
        return await finding.find(f"alice@{domain}", self.net(trusting=True)[0], **how)

    async def probe(
        self,
        endpoint: Endpoint,
        domain: str,
        *,
        password: str = PASSWORD,
        ca_file: str | None = None,
        **wish: Any,
    ) -> ProbeResult:
        """Sign in as alice of ``domain``."""
        options = Options(ca_file=ca_file or str(self.authority.ca_file))
        login = Login(f"alice@{domain}", Secret(password), CredentialKind.PASSWORD)
        return await probing.probe(
            endpoint,
            self.net()[1],
            login=login,
            options=options,
            **wish,
        )


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    authority = Authority(process.new_folder("ca"))
    names = [f"{host}.{d}" for d in DOMAINS for host in ("mail", "imap", "half", "mixed")]
    certificate = authority.issue(hosts=[*names, "mail.test"])
    users = {f"{user}@{domain}": PASSWORD for domain in WORKING for user in ("alice", "bob")}
    web_context = authority.context(hosts=sorted({key.partition("/")[0] for key in PAGES}))
    with (
        unbound.with_nsd({domain: zone(domain) for domain in DOMAINS}),
        https.running(WEB, PAGES, web_context) as web,
        dovecot.running(IMAP, users, certificate) as mailboxes,
        postfix.running(MAIL, certificate, domains=WORKING, lmtp=mailboxes) as submission,
    ):
        yield World(authority, submission, mailboxes, web)


@contextmanager
def logged(daemon: process.Daemon) -> Iterator[Callable[[], str]]:
    """What a server has logged since the block began."""
    begin = len(daemon.log())
    yield lambda: daemon.log()[begin:]


def shown(result: ProbeResult) -> list[tuple[str, Status]]:
    return [(step.name, step.status) for step in result.trace.steps]


# Find, and prove


@pytest.mark.parametrize(
    ("domain", "source", "trust", "places"),
    [
        (BY_SRV, Source.SRV, Trust.PUBLISHED, [(465, TLS), (587, STARTTLS)]),
        (BY_AUTOCONFIG, Source.AUTOCONFIG, Trust.PUBLISHED, [(465, TLS), (587, STARTTLS)]),
        (BY_PACC, Source.PACC, Trust.SIGNED, [(465, TLS)]),
        (BY_AUTODISCOVER, Source.AUTODISCOVER, Trust.PUBLISHED, [(587, STARTTLS)]),
    ],
)
async def test_what_a_domain_publishes_is_found_proved_and_used(
    world: World,
    domain: str,
    source: Source,
    trust: Trust,
    places: list[tuple[int, Security]],
) -> None:
    found = await world.find(domain)
    assert found.outcome is finding.Outcome.FOUND
    assert [c.endpoint for c in found.candidates] == [
        Endpoint(f"mail.{domain}", port, security) for port, security in places
    ]
    for candidate in found.candidates:
        assert candidate.evidence[0].source is source
        assert candidate.trust is trust
        assert candidate.username == f"alice@{domain}"
        await deliver(world, domain, candidate.endpoint)
    assert not found.conflicts
    assert found.seconds < 5


async def deliver(world: World, domain: str, endpoint: Endpoint) -> None:
    """Probe with everything; the message must come back by IMAP, once."""
    bob = f"bob@{domain}"
    before = len(world.dovecot.messages(bob))
    result = await world.probe(
        endpoint,
        domain,
        envelope=Envelope(f"alice@{domain}", (bob,)),
        message=TestMessage(),
        fetch_back=FetchBack(f"imap.{domain}", bob, Secret(PASSWORD), wait=20),
    )
    encryption = ["tls", "certificate", "greeting", "ehlo"]
    if endpoint.security is STARTTLS:
        encryption = ["greeting", "ehlo", "starttls", "tls", "certificate", "ehlo_tls"]
    names = ["resolve", "connect", *encryption, "auth", "mail", "rcpt", "message", "quit", "fetch"]
    assert shown(result) == [(name, Status.OK) for name in names]
    assert (result.verdict.id, result.verdict.params["variant"]) == ("ok", "fetch")
    assert result.tls is not None
    assert result.tls.trusted
    assert result.tls.version in ("TLSv1.2", "TLSv1.3")
    assert f"mail.{domain}" in (result.tls.leaf.names if result.tls.leaf else ())
    assert "AUTH" in result.extensions
    arrived = world.dovecot.messages(bob)[before:]
    ids = [message_from_bytes(message)["Message-ID"] for message in arrived]
    assert ids == [result.delivery.message_id]
    told = json.dumps(probing.to_dict(result)) + "".join(line.text for line in result.trace.lines)
    assert not find_leaks(told)


async def test_a_digest_in_dns_unmasks_a_forged_document(world: World) -> None:
    found = await world.find(FORGED, thorough=True)
    assert "mail.evil.test" not in {c.endpoint.host for c in found.candidates}
    assert "pacc_mismatch" in {f.id for f in found.findings}


async def test_no_request_for_settings_goes_out_in_clear(world: World) -> None:
    await world.find(BY_AUTOCONFIG, thorough=True)
    asked = [r for r in world.web.requests if r.host.endswith(BY_AUTOCONFIG)]
    assert asked
    assert {r.scheme for r in asked} == {"https"}


async def test_settings_from_a_web_server_nobody_vouches_for_are_not_proof(world: World) -> None:
    net = world.net(trusting=False)[0]
    found = await finding.find(f"alice@{BY_AUTOCONFIG}", net, thorough=True)
    published = [e for c in found.candidates for e in c.evidence if e.source is Source.AUTOCONFIG]
    assert all(e.trust is Trust.UNTRUSTED for e in published)
    assert found.outcome is not finding.Outcome.FOUND


# Contradictions

CONFLICTS = [
    # domain, (field, [(value, source)...] with the chosen value first)...
    (
        OF_HOST,
        ("host", [(f"mail.{OF_HOST}", Source.AUTOCONFIG), (f"old.{OF_HOST}", Source.SRV)]),
    ),
    (OF_PORT, ("port", [("465", Source.AUTOCONFIG), ("2465", Source.SRV)])),
    (OF_SECURITY, ("security", [("starttls", Source.AUTOCONFIG), ("tls", Source.SRV)])),
    (
        OF_USERNAME,
        (
            "username",
            [
                (f"alice@{OF_USERNAME}", Source.AUTOCONFIG),
                ("CORP\\alice", Source.AUTODISCOVER),
            ],
        ),
    ),
    (
        OF_LOGIN,
        ("credential", [("oauth2", Source.PACC), ("password", Source.AUTOCONFIG)]),
        ("auth", [("XOAUTH2 OAUTHBEARER", Source.PACC), ("PLAIN LOGIN", Source.AUTOCONFIG)]),
    ),
]


@pytest.mark.parametrize(("domain", "expected"), [(d, list(fields)) for d, *fields in CONFLICTS])
async def test_contradictions_are_told_field_by_field(
    world: World, domain: str, expected: list[tuple[str, list[tuple[str, Source]]]]
) -> None:
    found = await world.find(domain, thorough=True)
    told = [
        (c.field, [(value, e.source) for value, evidence in c.values for e in evidence])
        for c in found.conflicts
    ]
    assert told == expected
    assert [c.chosen for c in found.conflicts] == [values[0][0] for _, values in expected]


async def test_a_contradiction_is_also_seen_in_a_hurry(world: World) -> None:
    found = await world.find(OF_HOST)
    assert [c.field for c in found.conflicts] == ["host"]
    assert found.best is not None
    assert found.best.endpoint.host == f"mail.{OF_HOST}"


# When it does not work


@pytest.mark.parametrize(("port", "security"), [(587, STARTTLS), (465, TLS)])
async def test_a_wrong_password_is_tried_once(world: World, port: int, security: Security) -> None:
    endpoint = Endpoint(f"mail.{BY_SRV}", port, security)
    with logged(world.postfix.daemon) as log, logged(world.dovecot.daemon) as logins:
        result = await world.probe(
            endpoint,
            BY_SRV,
            password=WRONG_PASSWORD,
            envelope=Envelope(f"alice@{BY_SRV}", (f"bob@{BY_SRV}",)),
            message=TestMessage(),
        )
        process.wait_until("the end of the session in the log", lambda: "auth=0/" in log())
    assert (result.verdict.cause, result.verdict.status) == ("auth.credentials", Status.FAIL)
    stopped = [s for s in result.trace.steps if s.status is Status.FAIL]
    assert [(s.name, s.detail["code"]) for s in stopped] == [("auth", 535)]
    assert log().count("auth=") == log().count("auth=0/1") == 1
    assert log().count("authentication failed") == 1
    assert logins().lower().count("password mismatch") == 1
    assert "message" not in dict(shown(result))
    assert not find_leaks(json.dumps(probing.to_dict(result)))


@pytest.mark.parametrize(("port", "security"), [(587, STARTTLS), (465, TLS)])
async def test_no_password_goes_to_a_server_of_an_unknown_authority(
    world: World, port: int, security: Security
) -> None:
    other = Authority(process.new_folder("other-ca"))
    endpoint = Endpoint(f"mail.{BY_SRV}", port, security)
    with logged(world.postfix.daemon) as log:
        result = await world.probe(endpoint, BY_SRV, ca_file=str(other.ca_file))
        process.wait_until("the end of the session in the log", lambda: "commands=" in log())
    assert result.verdict.cause == "tls.certificate"
    assert "auth" not in dict(shown(result))
    assert "auth=" not in log()
    assert "sasl" not in log().lower()


async def test_a_closed_587_leads_to_the_open_465(world: World) -> None:
    names = [f"half.{BY_SRV}"]
    with postfix.running(
        HALF,
        world.authority.issue(hosts=names),
        name=names[0],
        domains=WORKING,
        lmtp=world.dovecot,
        ports=(postfix.SUBMISSIONS,),
    ):
        result = await world.probe(Endpoint(names[0], 587, STARTTLS), BY_SRV)
        stopped = [s for s in result.trace.steps if s.status is Status.FAIL]
        assert [(s.name, s.cause) for s in stopped] == [("connect", "conn.refused")]
        assert result.verdict.status is Status.FAIL
        assert result.suggestion == Endpoint(names[0], 465, TLS)
        again = await world.probe(result.suggestion, BY_SRV)
    assert (again.verdict.id, again.verdict.params["variant"]) == ("ok", "auth")


async def test_a_dead_ipv6_address_costs_less_than_a_second(
    world: World, ip_route: Callable[..., None]
) -> None:
    ip_route("2001:db8::/32", "dev", "lo")  # packets vanish, as in a half-configured network
    endpoint = Endpoint(f"mixed.{BY_SRV}", 587, STARTTLS)
    dialer = NetDialer(DnsResolver(None))
    began = time.monotonic()
    connected = await dialer.dial(endpoint.host, endpoint.port)
    spent = time.monotonic() - began
    await connected.stream.close()
    assert spent < 1
    tried = {a.address: (a.failure, a.connected) for a in connected.attempts}
    assert tried == {DEAD: (None, False), MAIL: (None, True)}  # still on its way; overtaken
    result = await world.probe(endpoint, BY_SRV)
    step = next(s for s in result.trace.steps if s.stage is Stage.CONNECT)
    assert step.seconds is not None
    assert step.seconds < 1
    assert step.detail["address"] == MAIL
    assert result.trace.find("auth") is not None
    assert (result.verdict.id, result.verdict.cause) == ("ipv6_broken", "conn.timeout")
