"""The same search over real DNS packets, and web hosts that refuse or do not exist."""

from __future__ import annotations

from fakes.dns import DnsReply, FakeDns
from posthouse.net.clock import SystemClock
from posthouse.net.dial import NetDialer
from posthouse.net.http import NetHttp
from posthouse.net.resolver import DnsResolver
from posthouse.setup.find import FindResult, Net, Outcome, State, find

from .doubles import ids, where


async def search(server: FakeDns, address: str = "alice@d.test") -> FindResult:
    clock = SystemClock()
    resolver = DnsResolver(server.address, timeout=0.5, clock=clock)
    return await find(address, Net(resolver, NetHttp(NetDialer(resolver)), clock))


async def test_srv_and_mx() -> None:
    table = {
        ("d.test", "MX"): DnsReply(("5 mxbiz1.qq.com.",), authenticated=True),
        ("_submissions._tcp.d.test", "SRV"): DnsReply(("0 1 465 smtp.exmail.qq.com.",)),
    }
    async with FakeDns(table) as server:
        result = await search(server)
    assert where(result)[0] == "smtp.exmail.qq.com:465 tls"
    assert result.outcome is Outcome.FOUND
    assert result.best is not None
    assert [e.dnssec for e in result.best.evidence] == [False, True]  # SRV, MX
    states = {r.source.value: (r.state, r.detail) for r in result.reports}
    assert states["autoconfig"] == (State.NOTHING, "no_such_host")
    assert states["pacc"] == (State.NOTHING, "no_such_host")


async def test_a_web_host_that_refuses() -> None:
    table = {
        ("d.test", "MX"): ["5 mx.d.test."],
        ("autoconfig.d.test", "A"): ["127.0.0.77"],  # nothing listens there on 443
        ("_submission._tcp.d.test", "SRV"): ["0 1 587 m.d.test."],
    }
    async with FakeDns(table) as server:
        result = await search(server)
    assert where(result) == ["m.d.test:587 starttls"]
    report = next(r for r in result.reports if r.source.value == "autoconfig")
    assert (report.state, report.params["failure"]) == (State.FAILED, "refused")


async def test_a_failing_resolver() -> None:
    async with FakeDns(default=DnsReply(rcode="SERVFAIL")) as server:
        result = await search(server)
    assert result.outcome is Outcome.COULD_NOT_DETERMINE
    assert ids(result) == ["dns_failed"]
    assert result.seconds < 5.0
