"""The audit of domains against real servers: NSD with a zone signed by DNSSEC, unbound that
validates it, rbldnsd, a web server, Postfix with STARTTLS.

198.51.100.0/24 (documentation) is made local inside the private network, so that addresses look
like those of the Internet. unbound asks NSD and rbldnsd, and one name server that never answers.
"""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dns.dnssec
import dns.exception
import dns.message
import dns.query
import dns.resolver
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dns.dnssectypes import Algorithm

from fakes.certs import Authority, Issued
from fakes.published import autoconfig
from peers import https, nsd, postfix, process
from posthouse.net.clock import SystemClock
from posthouse.net.dial import NetDialer
from posthouse.net.http import NetHttp
from posthouse.net.resolver import DnsResolver
from posthouse.protocol import dkim, txt
from posthouse.protocol.dnsbl import Blocklist, Kind
from posthouse.setup.domain import Audit, Net, Options, Verdict, audit, propagation
from posthouse.setup.domain.render import to_dict

pytestmark = [pytest.mark.netns, pytest.mark.peer("nsd", "unbound", "rbldnsd", "postfix")]

AUTHORITY, LISTS, DEAD = "127.0.0.2", "127.0.0.3", "192.0.2.53"
MX, WEB, CLEAN = "198.51.100.25", "198.51.100.44", "198.51.100.26"
SIGNED, PLAIN = "signed.test", "plain.test"
REVERSE = "100.51.198.in-addr.arpa"
STS = "mta-sts.signed.test/.well-known/mta-sts.txt"
CONFIG = "autoconfig.signed.test/mail/config-v1.1.xml"
POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: mx.signed.test\r\nmax_age: 1209600\r\n"
CODES = {"sbl": "127.0.0.2", "css": "127.0.0.3", "xbl": "127.0.0.4", "pbl": "127.0.0.10"}


# The servers


def tlsa(issued: Issued) -> str:
    """ "3 1 1": the digest of the server's key."""
    key = issued.certificate.public_key()
    return hashlib.sha256(
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()


def signed_zone(lines: Sequence[str]) -> tuple[str, str]:
    """The zone signed.test with its signatures, and its DS record."""
    text = nsd.HEAD.format(zone=SIGNED, host=AUTHORITY) + "\n".join(lines) + "\n"
    zone = dns.zone.from_text(text, origin=SIGNED, relativize=False)
    private = ec.generate_private_key(ec.SECP256R1())
    key = dns.dnssec.make_dnskey(private.public_key(), Algorithm.ECDSAP256SHA256, flags=257)
    now = datetime.now()
    with zone.writer() as writer:
        dns.dnssec.sign_zone(
            zone,
            writer,
            keys=[(private, key)],
            add_dnskey=True,
            dnskey_ttl=60,
            inception=now - timedelta(days=2),
            expiration=now + timedelta(days=30),
        )
    ds = dns.dnssec.make_ds(zone.origin, key, "SHA256")
    return zone.to_text(relativize=False, want_origin=True), ds.to_text()


def resolver_config(folder: Path, ds: str) -> str:
    zones = (SIGNED, PLAIN, REVERSE, "bl.test", "dead.test")
    lines = ['local-zone: "." static', 'local-zone: "test." nodefault']
    lines += [f'local-zone: "{REVERSE}." nodefault']
    lines += [f'local-zone: "{zone}." transparent' for zone in zones]
    lines += [f'domain-insecure: "{zone}."' for zone in zones if zone != SIGNED]
    servers = {"bl.test": LISTS, "dead.test": DEAD}
    stubs = "".join(
        f'stub-zone:\n  name: "{zone}."\n  stub-addr: {servers.get(zone, AUTHORITY)}@53\n'
        for zone in zones
    )
    local = "\n  ".join(lines)
    return f"""
server:
  interface: 127.0.0.1@53
  access-control: 127.0.0.0/8 allow
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  use-syslog: no
  verbosity: 1
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor: "{SIGNED}. DS {ds}"
  cache-max-negative-ttl: 1
  {local}
remote-control:
  control-enable: no
{stubs}"""


@contextmanager
def unbound(ds: str) -> Iterator[process.Daemon]:
    folder = process.new_folder("unbound")
    (folder / "unbound.conf").write_text(resolver_config(folder, ds))
    command = ["/usr/sbin/unbound", "-d", "-p", "-c", folder / "unbound.conf"]
    with process.running("unbound", command, folder, ports=[("127.0.0.1", 53)]) as daemon:
        yield daemon


@contextmanager
def rbldnsd(listed: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """Lists under bl.test: zone -> address -> answer. Each knows its test entry."""
    folder = process.new_folder("rbldnsd")
    folder.chmod(0o755)  # it gives up root, and reads its files after that
    zones = []
    for zone, addresses in listed.items():
        rows = {"127.0.0.2": "127.0.0.2"} | dict(addresses)
        text = "".join(
            f":{answer}:Listed, see https://bl.test/{ip}\n{ip}\n" for ip, answer in rows.items()
        )
        (folder / zone).write_text(text)
        zones.append(f"{zone}.bl.test:ip4set:{zone}")
    command = [
        "/usr/sbin/rbldnsd",
        "-n",
        "-u",
        "postfix",
        "-w",
        folder,
        "-b",
        f"{LISTS}/53",
        *zones,
    ]
    with process.running("rbldnsd", command, folder) as daemon:
        daemon.wait_for(f"answer on {LISTS}:53", answers)
        yield


def answers() -> bool:
    """Whether rbldnsd answers for its test entry; it knows UDP alone."""
    question = dns.message.make_query("2.0.0.127.zen.bl.test", "A")
    try:
        return bool(dns.query.udp(question, LISTS, timeout=0.2).answer)
    except (dns.exception.DNSException, OSError):
        return False


@dataclass(frozen=True, slots=True)
class World:
    """All of them, running."""

    net: Net
    ca_file: str
    key: Any

    async def audit(self, domain: str, *checks: str, **options: Any) -> Audit:
        options.setdefault("blocklists", ())
        return await audit(
            domain,
            self.net,
            Options(
                checks=frozenset(checks), ca_file=self.ca_file, ehlo_name="probe.test", **options
            ),
        )


def lines(issued: Issued, key: Any) -> list[str]:
    """What signed.test publishes."""
    return [
        "@ MX 10 mx",
        f"mx A {MX}",
        '@ TXT "v=spf1 mx -all"',
        '_dmarc TXT "v=DMARC1; p=reject; rua=mailto:d@signed.test"',
        f"s1._domainkey TXT {txt.quoted(dkim.record_text(key))}",
        '_mta-sts TXT "v=STSv1; id=1"',
        f"mta-sts A {WEB}",
        f"autoconfig A {WEB}",
        '_smtp._tls TXT "v=TLSRPTv1; rua=mailto:t@signed.test"',
        f"_25._tcp.mx TLSA 3 1 1 {tlsa(issued)}",
        "_submission._tcp SRV 0 1 587 mx",
        # A second mail domain, whose TLSA record is of a key that is gone.
        "old MX 10 mx2.signed.test.",
        f"mx2 A {MX}",
        f"_25._tcp.mx2 TLSA 3 1 1 {'ab' * 32}",
    ]


PLAIN_LINES = [
    f"@ MX 10 mx.{SIGNED}.",
    '@ TXT "v=spf1 ip4:198.51.100.25 include:gone.plain.test ~all"',
    '_dmarc TXT "v=DMARC1; p=none; pct=10; rua=mailto:d@signed.test"',
    "_submissions._tcp SRV 0 1 465 nowhere.plain.test.",
    '*._domainkey TXT "v=DKIM1; p="',
]
REVERSE_LINES = ["25 PTR mx.signed.test.", "26 PTR other.signed.test."]
LISTED = {
    "zen": {MX: CODES["sbl"]},
    "css": {MX: CODES["css"]},
    "xbl": {MX: CODES["xbl"]},
    "pbl": {MX: CODES["pbl"]},
    "closed": {MX: "127.255.255.254"},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    route = ("ip", "route", "add", "local", "198.51.100.0/24", "dev", "lo")
    vanish = ("ip", "route", "add", "192.0.2.0/24", "dev", "lo")
    for command in (route, vanish):
        subprocess.run(command, check=True, capture_output=True)
    authority = Authority(tmp_path_factory.mktemp("ca"))
    hosts = ["mx.signed.test", "mx2.signed.test"]
    issued = authority.issue(hosts=hosts)
    web = authority.context(hosts=["mta-sts.signed.test", "autoconfig.signed.test"])
    key = dkim.generate("rsa", 2048)
    zone, ds = signed_zone(lines(issued, key))
    # postfix publishes 587 with STARTTLS here; autoconfig says another port
    pages = {
        STS: https.Page(POLICY, headers={"Content-Type": "text/plain"}),
        CONFIG: autoconfig(("mx.signed.test", 465, "SSL")),
    }
    with ExitStack() as stack:
        stack.callback(subprocess.run, ("ip", "route", "del", *vanish[3:]), check=False)
        stack.callback(subprocess.run, ("ip", "route", "del", *route[3:]), check=False)
        zones = {PLAIN: PLAIN_LINES, REVERSE: REVERSE_LINES}
        stack.enter_context(authoritative(zone, zones))
        stack.enter_context(rbldnsd(LISTED))
        stack.enter_context(unbound(ds))
        stack.enter_context(https.running(WEB, pages, web))
        stack.enter_context(
            postfix.running(
                MX,
                issued,
                name="mx.signed.test",
                ports=[25, 587],
                settings={"mydestination": "signed.test"},
            )
        )
        resolver = DnsResolver(("127.0.0.1", 53))
        dialer = NetDialer(resolver)
        http = NetHttp(dialer, ca_file=str(authority.ca_file))
        yield World(Net(resolver, dialer, http, SystemClock()), str(authority.ca_file), key)


@contextmanager
def authoritative(signed: str, plain: nsd.Zones) -> Iterator[None]:
    """NSD with a zone that is complete already, besides those of lines."""
    folder = process.new_folder("nsd")
    (folder / "signed.zone").write_text(signed)
    config = f"""
server:
  ip-address: {AUTHORITY}@53
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  xfrdir: "{folder}"
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: "{SIGNED}"
  zonefile: "signed.zone"
"""
    for zone, rows in plain.items():
        text = nsd.HEAD.format(zone=zone, host=AUTHORITY) + "\n".join(rows) + "\n"
        (folder / f"{zone}.zone").write_text(text)
        config += f'zone:\n  name: "{zone}"\n  zonefile: "{zone}.zone"\n'
    (folder / "nsd.conf").write_text(config)
    command = ["/usr/sbin/nsd", "-d", "-c", folder / "nsd.conf"]
    with process.running("nsd", command, folder, ports=[(AUTHORITY, 53)]):
        yield


# The audits


def verdicts(found: Audit) -> dict[str, str]:
    return {one.finding.id: one.verdict.value for one in found.items}


async def test_a_domain_that_does_it_all(world: World) -> None:
    found = await world.audit(SIGNED, selectors=("s1",), connect=True, egress=(MX,))
    got = verdicts(found)
    for id_ in (
        *("mx.ok", "domain.spf_covered", "domain.dkim_ok", "dmarc.enforced", "fcrdns.ok"),
        *("domain.smtp_ok", "mtasts.ok", "tlsrpt.published", "dane.ok", "dnssec.signed"),
        "fcrdns.helo_ok",
    ):
        assert got.get(id_) == "ok", (id_, got)
    assert found.check("dane").facts["compared"] == ["mx.signed.test"]
    assert found.check("dane").facts["signed"] is True
    assert found.check("mtasts").facts["mode"] == "enforce"
    server = found.check("smtp").facts["servers"][0]
    assert (server["starttls"], server["trusted"]) == (True, True)
    evidence = next(i for i in found.items if i.finding.id == "dane.ok").evidence[0]
    assert (evidence.type, evidence.authenticated) == ("TLSA", True)
    assert evidence.server == "127.0.0.1"


async def test_what_is_published_for_programs_beside_the_live_server(world: World) -> None:
    """SRV and autoconfig name the same server with other ports, 465 is closed, and there is no
    login on 587."""
    got = verdicts(await world.audit(SIGNED, "discovery", connect=True))
    assert got["domain.discovery_ports_differ"] == "warn"
    assert got["domain.server_unreachable"] == "unknown"
    assert got["domain.server_no_login"] == "fail"
    assert "domain.server_certificate" not in got


async def test_a_tlsa_record_of_a_key_that_is_gone(world: World) -> None:
    without = verdicts(await world.audit("old.signed.test", "dane"))
    assert without == {"dane.ok": "ok"}
    got = verdicts(await world.audit("old.signed.test", "dane", connect=True))
    assert got == {"dane.mismatch": "fail"}


async def test_a_domain_with_much_to_mend(world: World) -> None:
    found = await world.audit(PLAIN, selectors=("any",), egress=(MX, CLEAN))
    got = verdicts(found)
    for id_, verdict in {
        "dnssec.unsigned": "warn",
        "spf.include_none": "fail",
        "domain.dkim_missing": "fail",
        "domain.dkim_wildcard": "warn",
        "dmarc.monitoring": "warn",
        "dmarc.pct_removed": "warn",
        "dmarc.rua_external": "fail",
        "fcrdns.not_confirmed": "fail",
        "domain.discovery_host_missing": "fail",
        "mtasts.none": "warn",
        "tlsrpt.none": "warn",
    }.items():
        assert got.get(id_) == verdict, (id_, got)
    assert "dane.ok" not in got  # the way to its mail server is not signed
    shown = to_dict(found, "zh")
    assert shown["verdict"] == Verdict.FAIL.value
    assert {"mx", "spf", "dkim", "dmarc", "dnsbl", "smtp", "fcrdns"} <= set(shown["checks"])


def blocklist(name: str, zone: str) -> Blocklist:
    meanings = {code: kind for kind, code in CODES.items()}
    return Blocklist(name, name, zone, Kind.IP, f"https://bl.test/{name}", codes=meanings)


async def test_five_lists_and_a_dead_one_in_less_than_two_seconds(world: World) -> None:
    lists = [blocklist(name, f"{name}.bl.test") for name in LISTED]
    lists.append(blocklist("dead", "bl.dead.test"))
    began = time.monotonic()
    found = await world.audit(PLAIN, "dnsbl", egress=(MX, CLEAN), blocklists=tuple(lists))
    assert time.monotonic() - began < 2.0
    told = {
        (i.finding.params["list"], i.finding.params["subject"]): i.finding.id for i in found.items
    }
    assert {k[0] for k, id_ in told.items() if id_ == "dnsbl.listed"} == {
        "zen",
        "css",
        "xbl",
        "pbl",
    }
    assert told[("zen", CLEAN)] == "dnsbl.clear"
    assert told[("closed", MX)] == "dnsbl.error"
    assert [k[0] for k, id_ in told.items() if id_ == "dnsbl.timeout"] == ["dead"]
    listed = next(i.finding.params for i in found.items if i.finding.params["list"] == "xbl")
    assert listed["meanings"] == ["xbl"]
    assert listed["evidence"] == f"Listed, see https://bl.test/{MX}"


async def test_the_stale_one_of_four_name_servers(world: World) -> None:
    with ExitStack() as stack:
        for n in range(11, 15):
            text = "v=spf1 a -all" if n == 13 else "v=spf1 mx -all"
            ttl = 2_000 if n == 13 else 60
            zone = {"moved.test": [f'@ {ttl} TXT "{text}"', "@ MX 10 mx.moved.test."]}
            stack.enter_context(nsd.running(f"127.0.0.{n}", zone))
        resolvers = {f"127.0.0.{n}": DnsResolver((f"127.0.0.{n}", 53)) for n in range(11, 15)}
        found = await propagation("moved.test", resolvers)
    assert found.stale == ("127.0.0.13",)
    row = next(r for t in found.tables if t.type == "TXT" for r in t.rows if r.state == "stale")
    assert (row.records, row.ttl) == (("v=spf1 a -all",), 2_000)


# A second opinion


async def test_checkdmarc_thinks_the_same_of_spf_and_dmarc(world: World) -> None:
    checkdmarc = pytest.importorskip("checkdmarc")
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    for domain in (SIGNED, PLAIN, "old.signed.test"):
        theirs = checkdmarc.check_domains([domain], resolver=resolver, wait=0.0)
        ours = await world.audit(domain, "spf", "dmarc")
        failed = [i.finding.id for i in ours.items if i.verdict is Verdict.FAIL]
        spf_broken = any(id_.startswith(("spf.", "domain.spf")) for id_ in failed)
        assert theirs["spf"]["valid"] is not spf_broken, (domain, theirs["spf"])
        record = ours.check("dmarc").facts["record"]
        assert (theirs["dmarc"].get("record") or "") == record
        assert theirs["dmarc"]["valid"] is bool(record)
