"""The relay's doctor and the next hops: greeted as in earnest, and never signed in to."""

from __future__ import annotations

import pytest

from fakes.behaviour import Behaviour
from fakes.certs import Authority, Kind
from fakes.smtp import FakeSmtpServer
from posthouse.cli import doctor as cli
from posthouse.daemon.doctor import ways
from posthouse.explain import catalogue
from posthouse.flow import Failure, NetworkFailure, Stage, Status
from posthouse.net.clock import SystemClock
from posthouse.net.dial import MemoryDialer
from posthouse.net.http import FixtureHttp
from posthouse.net.resolver import FixtureResolver
from posthouse.setup.doctor import Net
from unit.daemon.installed import config, said

OK, WARN, FAIL, UNKNOWN, _ = Status
SECONDS = 5.0


def net(peers: dict | None = None, table: dict | None = None) -> Net:
    return Net(FixtureResolver(table or {}), MemoryDialer(peers or {}), FixtureHttp({}),
               SystemClock())  # fmt: skip


def smart(hosts: list[str], more: str) -> str:
    return f'[[hop]]\nname = "smart"\nhosts = {hosts}\n{more}\n[[route]]\nhop = "smart"\n'


PLAIN = 'security = "none"\ntls = "none"'


async def looked(tmp_path, hosts: list[str], more: str, seconds: float = SECONDS) -> dict:
    at = config(tmp_path, smart(hosts, more))
    return said(await ways.look(at, net(), SystemClock(), seconds))


@pytest.mark.parametrize(
    ("behaviour", "more", "found"),
    [
        (Behaviour(), PLAIN, {"ok": OK}),
        (Behaviour(size=1_000), PLAIN, {"ok": OK, "size": WARN}),
        (Behaviour(first="554 5.7.1 Your address is listed"), PLAIN, {"failed": FAIL}),
        (Behaviour(first="HTTP/1.1 400 Bad Request"), PLAIN, {"failed": FAIL}),
        (Behaviour(starttls_keyword=""), 'security = "starttls"', {"failed": FAIL}),
    ],
)
async def test_a_server(tmp_path, behaviour, more, found) -> None:
    async with FakeSmtpServer(behaviour) as server:
        got = await looked(tmp_path, [f"127.0.0.1:{server.port}"], more)
    assert got == {f"relay.hop.{id_}": status for id_, status in found.items()}


@pytest.mark.parametrize(("port", "security"), [(465, "starttls"), (587, "tls"), (465, "tls")])
async def test_a_port_that_speaks_the_other_way_is_named_where_it_fails(
    tmp_path, monkeypatch, port, security
) -> None:
    async def dead(*_: object) -> None:
        raise NetworkFailure(Failure.TIMEOUT, Stage.GREETING)

    monkeypatch.setattr(ways.Connect, "__call__", dead)
    at = config(tmp_path, smart([f"192.0.2.1:{port}"], f'security = "{security}"'))
    [one] = await ways.look(at, net(), SystemClock(), SECONDS)
    assert said([one]) == {"relay.hop.failed": FAIL}
    usual = None if (port, security) == (465, "tls") else {465: "tls", 587: "starttls"}[port]
    assert one.params.get("usual") == usual


@pytest.mark.parametrize(
    ("kind", "mechanisms", "found"),
    [
        (Kind.GOOD, ("PLAIN",), {"ok": OK}),
        (Kind.GOOD, (), {"no_login": FAIL}),
        (Kind.EXPIRED, ("PLAIN",), {"failed": FAIL}),
    ],
)
async def test_a_hop_with_a_login_is_verified_and_not_signed_in_to(
    tmp_path, monkeypatch, kind, mechanisms, found
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("KEY", "canary-of-the-hop")
    more = (
        'security = "starttls"\ntls = "required"\nuser = "u"\nsecret_env = "KEY"\n'
        f'ca_file = "{authority.ca_file}"'
    )
    behaviour = Behaviour(tls=authority.context(kind), mechanisms=mechanisms)
    async with FakeSmtpServer(behaviour) as server:
        got = await looked(tmp_path, [f"127.0.0.1:{server.port}"], more)
    assert got == {f"relay.hop.{id_}": status for id_, status in found.items()}
    assert not any("AUTH" in line for line in server.last.lines)


async def test_one_server_of_two_is_away(tmp_path) -> None:
    async with FakeSmtpServer() as server:
        alive, dead = f"127.0.0.1:{server.port}", "127.0.0.1:1"
        assert await looked(tmp_path, [dead, alive], PLAIN) == {
            "relay.hop.failed": WARN, "relay.hop.ok": OK
        }  # fmt: skip
    assert await looked(tmp_path, [dead], PLAIN) == {"relay.hop.failed": FAIL}


async def test_a_server_that_says_nothing_costs_no_more_than_its_time(tmp_path) -> None:
    async with FakeSmtpServer(Behaviour(delay=600)) as server:
        got = await looked(tmp_path, [f"127.0.0.1:{server.port}"], PLAIN, seconds=0.3)
    assert got == {"relay.hop.failed": FAIL}


async def test_a_host_that_does_not_exist_is_explained(tmp_path) -> None:
    at = config(tmp_path, smart(["smtp.nowhere.test:587"], ""))
    [one] = await ways.look(at, net(), SystemClock(), SECONDS)
    assert said([one]) == {"relay.hop.failed": FAIL}
    assert one.cause == "dns.server_name"
    assert "Host not found" in one.params["said"]
    for lang, told in (("en", "there is no such host"), ("zh", "没有这台主机")):
        assert told in cli._text(catalogue(lang), one)


def test_a_reason_of_the_system_stands_behind_our_words() -> None:
    error = NetworkFailure(Failure.UNREACHABLE, Stage.CONNECT, host="x", port=25, reason="no way")
    found = ways._failed({"hop": "out", "server": "x:25"}, error)
    assert "主机无法到达 (no way)" in cli._text(catalogue("zh"), found)


HOSTS = ("smtp.gmail.com", "smtp.qq.com", "smtp.fastmail.com")
DIRECT = '[[hop]]\nname = "direct"\nmx = true\n'


@pytest.mark.parametrize(
    ("failure", "id_", "status"),
    [
        (None, "direct", OK),
        (Failure.TIMEOUT, "direct_blocked", FAIL),
        (Failure.OFFLINE, "direct_blocked", FAIL),
        (Failure.DNS_TIMEOUT, "direct_unknown", UNKNOWN),
    ],
)
async def test_direct_delivery_needs_port_25(tmp_path, failure, id_, status) -> None:
    at = config(tmp_path, DIRECT + '[[route]]\nhop = "direct"\n')
    peers = {(host, 25): failure or FakeSmtpServer().serve for host in HOSTS}
    got = said(await ways.look(at, net(peers), SystemClock(), SECONDS))
    assert got == {f"relay.hop.{id_}": status}


async def test_a_hop_that_no_rule_leads_to(tmp_path) -> None:
    at = config(tmp_path, DIRECT + '[[route]]\naction = "hold"\n')
    peers = {(host, 25): FakeSmtpServer().serve for host in HOSTS}
    got = said(await ways.look(at, net(peers), SystemClock(), SECONDS))
    assert got["relay.hop.unused"] is WARN


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("verified", "verified", False),
        ("verified", "required", True),
        ("required", "opportunistic", True),
        ("opportunistic", "required", False),
    ],
)
async def test_a_hop_that_stands_in_and_asks_for_less(tmp_path, first, second, found) -> None:
    at = config(
        tmp_path,
        f'[[hop]]\nname = "direct"\nmx = true\ntls = "{first}"\nfallback = "other"\n'
        f'[[hop]]\nname = "other"\nmx = true\ntls = "{second}"\n[[route]]\nhop = "direct"\n',
    )
    peers = {(host, 25): FakeSmtpServer().serve for host in HOSTS}
    got = await ways.look(at, net(peers), SystemClock(), SECONDS)
    weaker = [dict(one.params) for one in got if one.id == "relay.hop.weaker"]
    params = {"hop": "direct", "fallback": "other", "tls": first, "less": second}
    assert weaker == [params] * found


async def test_a_login_asks_for_all_of_tls(tmp_path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    at = config(
        tmp_path,
        '[[hop]]\nname = "in"\nhosts = ["127.0.0.1:9"]\ntls = "required"\nfallback = "out"\n'
        f'user = "u"\nsecret_file = "{secret}"\n'
        '[[hop]]\nname = "out"\nmx = true\ntls = "required"\n[[route]]\nhop = "in"\n',
    )
    got = await ways.look(at, net(), SystemClock(), SECONDS)
    assert [one.params["tls"] for one in got if one.id == "relay.hop.weaker"] == ["verified"]
