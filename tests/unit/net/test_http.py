"""HTTP against real servers on loopback that do everything wrong, and its double."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from fakes.certs import Authority, Kind
from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.clock import FakeClock
from posthouse.net.dial import Connected, MemoryDialer, NetDialer
from posthouse.net.http import FixtureHttp, Http, HttpAnswer, NetHttp
from posthouse.net.resolver import FixtureResolver
from posthouse.net.stream import PipeStream, TcpStream

Handler = Callable[[PipeStream], Awaitable[None]]


async def request(stream: PipeStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.read()
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += await stream.read()
    return head + b"\r\n\r\n" + body


def answer(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Web:
    """Pages by path; ``%(http)s`` and ``%(https)s`` in them are this server's roots."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.http = self.https = self.expired = ""
        self.requests: list[bytes] = []
        self.pages: dict[str, bytes] = {}

    async def plain(self, stream: PipeStream) -> None:
        got = await request(stream)
        if not got:
            return
        self.requests.append(got)
        path = got.split()[1].decode()
        page = self.pages.get(path, answer(b"gone", "404 Not Found"))
        roots = {"http": self.http, "https": self.https}
        for name, root in roots.items():
            page = page.replace(b"%(" + name.encode() + b")s", root.encode())
        await stream.write(page)
        if path == "/drip":
            while True:
                await stream.write(b"x")
                await asyncio.sleep(0.05)

    async def secure(self, stream: PipeStream) -> None:
        await stream.accept_tls(self.authority.context())
        await self.plain(stream)

    async def old(self, stream: PipeStream) -> None:
        await stream.accept_tls(self.authority.context(Kind.EXPIRED))
        await self.plain(stream)


@pytest.fixture
async def web(serve, authority: Authority) -> Web:
    web = Web(authority)
    web.http = f"http://mail.test:{await serve(web.plain)}"
    web.https = f"https://mail.test:{await serve(web.secure)}"
    web.expired = f"https://mail.test:{await serve(web.old)}"
    return web


@pytest.fixture
def http(authority: Authority) -> NetHttp:
    resolver = FixtureResolver({("mail.test", "A"): ["127.0.0.1"]})
    return NetHttp(NetDialer(resolver), ca_file=str(authority.ca_file), seconds=2)


async def fail(http: Http, url: str, **more: object) -> NetworkFailure:
    with pytest.raises(NetworkFailure) as caught:
        await http.get(url, **more)  # type: ignore[arg-type]
    return caught.value


async def test_get_over_https(web: Web, http: NetHttp) -> None:
    web.pages["/a?x=1"] = answer(b"<xml/>", "200 OK", "Content-Type: text/xml")
    got = await http.get(f"{web.https}/a?x=1", headers={"Accept": "text/xml"})
    assert (got.status, got.body, got.tls_trusted) == (200, b"<xml/>", True)
    assert got.headers["content-type"] == "text/xml"
    assert got.url == f"{web.https}/a?x=1"
    assert got.tls is not None
    assert got.tls.alpn in (None, "http/1.1")
    head = web.requests[0]
    assert head.startswith(b"GET /a?x=1 HTTP/1.1\r\n")
    assert b"\r\nAccept: text/xml\r\n" in head
    assert b"User-Agent: Posthouse/" in head
    assert b"cookie" not in head.lower()


async def test_plain_http_is_not_trusted(web: Web, http: NetHttp) -> None:
    web.pages["/"] = answer(b"hi")
    got = await http.get(web.http)
    assert (got.body, got.tls_trusted, got.tls) == (b"hi", False, None)


async def test_a_bad_certificate_answers_but_is_not_trusted(web: Web, http: NetHttp) -> None:
    web.pages["/"] = answer(b"hi")
    got = await http.get(f"{web.expired}/")
    assert (got.body, got.tls_trusted) == (b"hi", False)
    assert got.tls is not None
    assert [p.kind for p in got.tls.problems] == ["expired"]


async def test_without_the_ca_file_nothing_here_is_trusted(web: Web) -> None:
    resolver = FixtureResolver({("mail.test", "A"): ["127.0.0.1"]})
    got = await NetHttp(NetDialer(resolver)).get(web.https)
    assert not got.tls_trusted


async def test_post(web: Web, http: NetHttp) -> None:
    web.pages["/post"] = answer(b"ok")
    got = await http.post(f"{web.https}/post", b"<q/>", headers={"Content-Type": "text/xml"})
    assert got.body == b"ok"
    assert b"\r\nContent-Length: 4\r\n" in web.requests[0]
    assert web.requests[0].endswith(b"\r\n\r\n<q/>")


async def test_errors_are_answers(web: Web, http: NetHttp) -> None:
    got = await http.get(f"{web.https}/nowhere")
    assert (got.status, got.body) == (404, b"gone")


SIZES = [(b"x" * 1000, 1000, True), (b"x" * 1001, 1000, False), (b"", 0, True)]


@pytest.mark.parametrize(("body", "limit", "fits"), SIZES)
async def test_the_size_limit(web: Web, http: NetHttp, body: bytes, limit: int, fits: bool) -> None:
    web.pages["/"] = answer(body)
    if fits:
        assert (await http.get(f"{web.https}/", limit=limit)).body == body
    else:
        failure = await fail(http, f"{web.https}/", limit=limit)
        assert (failure.failure, failure.detail["reason"]) == (Failure.BAD_REPLY, "too_big")


async def test_a_body_without_end_is_cut_at_the_limit(web: Web, http: NetHttp) -> None:
    web.pages["/drip"] = b"HTTP/1.1 200 OK\r\n\r\n"
    failure = await fail(http, f"{web.http}/drip", limit=5)
    assert failure.detail["reason"] == "too_big"


async def test_a_chunked_flood_is_cut_at_the_limit(web: Web, http: NetHttp) -> None:
    chunk = b"10000\r\n" + b"y" * 65_536 + b"\r\n"
    web.pages["/"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 40
    failure = await fail(http, f"{web.http}/", limit=100_000)
    assert failure.detail["reason"] == "too_big"


async def test_a_slow_drip_ends_with_the_time(web: Web, authority: Authority) -> None:
    web.pages["/drip"] = b"HTTP/1.1 200 OK\r\n\r\n"
    resolver = FixtureResolver({("mail.test", "A"): ["127.0.0.1"]})
    http = NetHttp(NetDialer(resolver), seconds=0.4)
    began = time.monotonic()
    failure = await fail(http, f"{web.http}/drip")
    assert failure.failure is Failure.SILENT
    assert failure.detail["seconds"] == 0.4
    assert time.monotonic() - began < 1.5


async def test_endless_headers_are_refused(web: Web, http: NetHttp) -> None:
    web.pages["/"] = b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 40_000 + b"\r\n"
    failure = await fail(http, f"{web.http}/")
    assert failure.failure is Failure.BAD_REPLY


NOT_HTTP = [b"220 mail.test ESMTP\r\n", b"", b"\x15\x03\x01\x00\x02\x02\x46", b"HTTP/9.9 x\r\n\r\n"]


@pytest.mark.parametrize("words", NOT_HTTP)
async def test_other_protocols(web: Web, http: NetHttp, words: bytes) -> None:
    web.pages["/"] = words
    failure = await fail(http, f"{web.http}/")
    assert failure.failure is Failure.BAD_REPLY
    assert failure.detail["reason"] == "not_http"


# -- redirects


async def test_redirects_are_followed_and_told(web: Web, http: NetHttp) -> None:
    web.pages["/1"] = answer(b"", "302 Found", "Location: /2")
    web.pages["/2"] = answer(b"", "301 Moved", "Location: %(https)s/3#part")
    web.pages["/3"] = answer(b"end")
    got = await http.get(f"{web.https}/1")
    assert got.body == b"end"
    assert got.redirects == (f"{web.https}/1", f"{web.https}/2")
    assert got.tls_trusted


async def test_one_plain_hop_spoils_the_trust(web: Web, http: NetHttp) -> None:
    web.pages["/1"] = answer(b"", "302 Found", "Location: %(https)s/2")
    web.pages["/2"] = answer(b"end")
    got = await http.get(f"{web.http}/1")
    assert (got.body, got.tls_trusted) == (b"end", False)


BAD_REDIRECTS = [
    ("%(http)s/", "downgrade"),
    ("ftp://mail.test/", "bad_redirect"),
    ("file:///etc/passwd", "bad_redirect"),
    ("https://mail.test:99999/", "bad_redirect"),
    ("/loop", "too_many_redirects"),
]


@pytest.mark.parametrize(("location", "reason"), BAD_REDIRECTS)
async def test_bad_redirects(web: Web, http: NetHttp, location: str, reason: str) -> None:
    web.pages["/loop"] = answer(b"", "302 Found", f"Location: {location}")
    failure = await fail(http, f"{web.https}/loop")
    assert (failure.failure, failure.detail["reason"]) == (Failure.BAD_REPLY, reason)
    assert len(web.requests) <= 6


async def test_redirects_can_be_looked_at_instead(web: Web, http: NetHttp) -> None:
    web.pages["/"] = answer(b"", "302 Found", "Location: https://other.test/x")
    got = await http.get(f"{web.http}/", redirects=0)
    assert (got.status, got.headers["location"]) == (302, "https://other.test/x")


@dataclass
class Placed(MemoryDialer):
    """Connections whose far end has the address that ``places`` gives to its name."""

    places: dict[str, str] = field(default_factory=dict)

    async def dial(self, host: str, port: int, **more: Any) -> Connected:
        made = await MemoryDialer.dial(self, host, port, **more)
        return replace(made, address=self.places[host])


INSIDE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.100.100.200",
    "169.254.169.254", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1",
    "::ffff:7f00:1",
]  # fmt: skip
OUTSIDE = ["192.0.2.1", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::ffff:8.8.8.8", "198.18.0.9"]
WAYS = [
    *[(outer, inner, False) for inner in INSIDE for outer in OUTSIDE[:1]],
    *[(outer, OUTSIDE[0], True) for outer in OUTSIDE],
    *[(INSIDE[0], other, True) for other in (*INSIDE, *OUTSIDE)],
]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(("first", "second", "fine"), WAYS)
async def test_from_outside_no_redirect_leads_inside(
    authority: Authority, first: str, second: str, fine: bool, scheme: str
) -> None:
    """Whatever the second name looks like: what it resolved to counts, before a byte is sent."""
    reached: list[bytes] = []
    web = Web(authority)
    web.pages["/"] = answer(b"", "302 Found", f"Location: {scheme}://b.test/x")

    async def target(stream: PipeStream) -> None:
        if scheme == "https" and fine:
            await stream.accept_tls(authority.context())
        reached.append(await stream.read())
        if fine:
            await stream.write(answer(b"end"))

    opened = web.plain if scheme == "http" else web.secure
    port = 80 if scheme == "http" else 443
    dialer = Placed({("a.test", port): opened, ("b.test", port): target})
    dialer.places = {"a.test": first, "b.test": second}
    http = NetHttp(dialer, ca_file=str(authority.ca_file), seconds=2)
    if fine:
        assert (await http.get(f"{scheme}://a.test/")).body == b"end"
        return
    failure = await fail(http, f"{scheme}://a.test/")
    await asyncio.gather(*dialer.tasks)
    assert (failure.failure, failure.detail["reason"]) == (Failure.BAD_REPLY, "bad_redirect")
    assert failure.detail["address"] == second
    assert reached == [b""]


async def test_who_left_the_inside_does_not_come_back(authority: Authority) -> None:
    web = Web(authority)
    web.pages["/1"] = answer(b"", "302 Found", "Location: http://b.test/2")
    web.pages["/2"] = answer(b"", "302 Found", "Location: http://a.test/3")
    web.pages["/3"] = answer(b"secret")
    dialer = Placed({("a.test", 80): web.plain, ("b.test", 80): web.plain})
    dialer.places = {"a.test": "10.0.0.1", "b.test": "192.0.2.1"}
    failure = await fail(NetHttp(dialer), "http://a.test/1")
    assert failure.detail["reason"] == "bad_redirect"
    assert len(web.requests) == 2


async def test_an_address_of_the_inside_in_the_redirect_itself(web: Web, serve) -> None:
    """With the real dialer: a number as host, in the forms that are addresses."""
    for text in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f000001"):
        page = answer(b"", "302 Found", f"Location: http://{text}:{web.http[-5:]}/")
        peers = {("a.test", 80): _page(page)}
        dialer = Either(Placed(peers), NetDialer(FixtureResolver({})))
        dialer.first.places = {"a.test": "192.0.2.1"}
        failure = await fail(NetHttp(dialer, seconds=1), "http://a.test/")
        assert failure.detail.get("reason") == "bad_redirect" or failure.stage is not Stage.ANY
    assert web.requests == []


def _page(page: bytes) -> Handler:
    async def serve_it(stream: PipeStream) -> None:
        await request(stream)
        await stream.write(page)

    return serve_it


@dataclass
class Either:
    """The first dialer for a.test, the second for all else."""

    first: Placed
    second: NetDialer

    async def dial(self, host: str, port: int, **more: Any) -> Connected:
        return await (self.first if host == "a.test" else self.second).dial(host, port, **more)


METHODS = [("307 Temporary", "POST"), ("308 Permanent", "POST"), ("302 Found", "GET")]


@pytest.mark.parametrize(("status", "method"), METHODS)
async def test_post_after_redirects(web: Web, http: NetHttp, status: str, method: str) -> None:
    """RFC 9110 section 15.4: 307 and 308 keep the method."""
    web.pages["/a"] = answer(b"", status, "Location: /b")
    web.pages["/b"] = answer(b"end")
    await http.post(f"{web.https}/a", b"body", headers={"Content-Type": "text/xml"})
    assert web.requests[1].startswith(f"{method} /b ".encode())
    assert web.requests[1].endswith(b"body") is (method == "POST")
    assert (b"Content-Type" in web.requests[1]) is (method == "POST")


# -- before the first byte


@pytest.mark.parametrize(
    "url", ["", "mail.test", "ftp://x/", "https://", "http://x:0/", "http://x:a/"]
)
async def test_what_is_no_url_is_the_callers_mistake(http: NetHttp, url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        await http.get(url)


async def test_odd_urls_are_quoted(web: Web, http: NetHttp) -> None:
    web.pages["/a%20b?q=%C3%BC@x"] = answer(b"ok")
    assert (await http.get(f"{web.http}/a b?q=ü@x")).body == b"ok"
    assert b"\r\n\r\n" in web.requests[0]


async def test_failures_of_the_connection_pass_through(web: Web, http: NetHttp) -> None:
    failure = await fail(http, "https://nowhere.test/")
    assert (failure.failure, failure.stage) == (Failure.NAME_NOT_FOUND, Stage.DNS)
    failure = await fail(http, web.http.replace("http://", "https://") + "/")
    assert failure.failure in (Failure.CLOSED, Failure.PLAIN_EXPECTED, Failure.SILENT)


async def test_the_environment_plays_no_part(web: Web, http: NetHttp, monkeypatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    web.pages["/"] = answer(b"direct")
    assert (await http.get(f"{web.https}/")).body == b"direct"


async def test_over_memory(authority: Authority) -> None:
    web = Web(authority)
    web.pages["/"] = answer(b"memory")
    http = NetHttp(MemoryDialer({("mail.test", 443): web.secure}), ca_file=str(authority.ca_file))
    got = await http.get("https://mail.test/")
    assert (got.body, got.tls_trusted) == (b"memory", True)
    assert b"\r\nHost: mail.test\r\n" in web.requests[0]


async def test_connections_are_closed(web: Web, http: NetHttp, serve) -> None:
    ended: list[bytes] = []

    async def handler(stream: TcpStream) -> None:
        await request(stream)
        await stream.write(answer(b"x"))
        ended.append(await stream.read())

    port = await serve(handler)
    await http.get(f"http://mail.test:{port}/")
    await asyncio.sleep(0.05)
    assert ended == [b""]


# -- the double


async def test_fixture_http() -> None:
    clock = FakeClock()
    other = HttpAnswer(302, "https://c.test/", headers={"location": "x"})
    fixture: Http = FixtureHttp(
        {
            "https://a.test/": b"body",
            "http://b.test/": b"plain",
            "https://c.test/": other,
            "https://d.test/": NetworkFailure(Failure.TIMEOUT, Stage.CONNECT, host="d.test"),
            "https://e.test/": 500,
        },
        delay=0.5,
        clock=clock,
    )
    got = await fixture.get("https://a.test/?emailaddress=x")
    assert (got.status, got.body, got.tls_trusted) == (200, b"body", True)
    assert not (await fixture.get("http://b.test/")).tls_trusted
    assert (await fixture.post("https://c.test/", b"q")) is other
    assert (await fixture.get("https://e.test/")).status == 500
    assert (await fixture.get("https://z.test/")).status == 404
    assert (await fail(fixture, "https://d.test/")).failure is Failure.TIMEOUT
    assert (await fail(fixture, "https://a.test/", limit=3)).detail["reason"] == "too_big"
    assert len(clock.slept) == 7
