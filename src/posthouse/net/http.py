"""Fetch small documents by HTTP: settings files, policies, login pages that should not be there.

Enters: a URL, a limit in octets. Leaves: ``HttpAnswer``. Called by find and by the probe's look
around. Connections go through our own ``Dialer`` and TLS, so the resolver, the CA file and the
captured chain are the same as for mail; httpcore speaks HTTP/1.1 on them. Proxies, netrc, cookies
and environment variables play no part. A redirect leads from the public network to no machine of
the inside: that is decided by the address connected to, not by a name. Nothing secret may be sent
by this: a server with a bad certificate is asked all the same, and the answer says so
(``tls_trusted``).

What can fail: ``NetworkFailure`` as in ``net.dial`` and ``net.stream``; SILENT when time runs out;
BAD_REPLY with "reason" too_big, downgrade, too_many_redirects, bad_redirect or not_http. ValueError
for a URL that is no http or https URL: that is the caller's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from posthouse import __version__
from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.clock import Clock, SystemClock
from posthouse.net.dial import Dialer
from posthouse.net.stream import Stream
from posthouse.net.tls import TlsOptions, TlsSession, a_label

if TYPE_CHECKING:
    import httpcore2

BODY_LIMIT: Final = 1_000_000  # octets; the largest real settings file has 60,000
REQUEST_SECONDS: Final = 10.0  # one document with all its redirects
REDIRECT_LIMIT: Final = 5  # real services use one or two
URL_LIMIT: Final = 4_096  # characters of a Location that is followed
# What a host of a redirect may be made of: DNS can hold more, the Host field cannot.
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]{1,255}")
# What only machines around here can reach. Unique local, shared (RFC 6598: clouds have services
# there) and link-local addresses are among them. Not 198.18.0.0/15: some VPN clients answer every
# name with an address of it.
_INSIDE: Final = (
    *map(ip_network, ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8")),
    *map(ip_network, ("169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")),
    *map(ip_network, ("::/127", "fc00::/7", "fe80::/10", "fec0::/10")),
)
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_KEEP_METHOD: Final = frozenset((307, 308))  # RFC 9110 sections 15.4.8 and 15.4.9


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back. ``headers`` have lower-case names; of a repeated one the last is kept.

    ``tls_trusted``: every hop was HTTPS with a trusted certificate. ``tls`` is the last hop's.
    """

    status: int
    url: str  # where the body came from, after redirects
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    tls_trusted: bool = False
    redirects: tuple[str, ...] = ()  # the URLs that led here
    tls: TlsSession | None = None


class Http(Protocol):
    """Whoever can fetch documents.

    ``limit``: octets of body accepted. ``redirects``: how many are followed; with 0 a redirect is
    an answer like any other.
    """

    async def get(
        self,
        url: str,
        *,
        limit: int = BODY_LIMIT,
        headers: Mapping[str, str] | None = None,
        redirects: int = REDIRECT_LIMIT,
    ) -> HttpAnswer:
        """Fetch ``url``."""
        ...

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        limit: int = BODY_LIMIT,
        headers: Mapping[str, str] | None = None,
        redirects: int = REDIRECT_LIMIT,
    ) -> HttpAnswer:
        """Post ``body``; say what it is in ``headers``."""
        ...


class NetHttp:
    """HTTP over real connections, or over a ``MemoryDialer``. ``seconds``: for one whole fetch."""

    def __init__(
        self, dialer: Dialer, *, ca_file: str | None = None, seconds: float = REQUEST_SECONDS
    ) -> None:
        self._dialer = dialer
        self._ca_file = ca_file
        self._seconds = seconds

    async def get(
        self,
        url: str,
        *,
        limit: int = BODY_LIMIT,
        headers: Mapping[str, str] | None = None,
        redirects: int = REDIRECT_LIMIT,
    ) -> HttpAnswer:
        return await self._fetch(_Request("GET", url, b"", dict(headers or {}), limit), redirects)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        limit: int = BODY_LIMIT,
        headers: Mapping[str, str] | None = None,
        redirects: int = REDIRECT_LIMIT,
    ) -> HttpAnswer:
        return await self._fetch(_Request("POST", url, body, dict(headers or {}), limit), redirects)

    async def _fetch(self, request: _Request, redirects: int) -> HttpAnswer:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(request, redirects)
        except TimeoutError:
            detail = {"url": request.url, "seconds": self._seconds, "protocol": "http"}
            raise NetworkFailure(Failure.SILENT, Stage.ANY, **detail) from None

    async def _follow(self, request: _Request, redirects: int) -> HttpAnswer:
        trusted = True
        seen: list[str] = []
        inside = True  # whoever calls may ask any address
        while True:
            answer, inside = await self._once(request, inside=inside)
            trusted = trusted and answer.tls_trusted
            location = answer.headers.get("location", "")
            if not redirects or answer.status not in _REDIRECTS or not location:
                return _merged(answer, trusted, seen)
            seen.append(request.url)
            if len(seen) > redirects:
                raise _bad(request.url, "too_many_redirects", redirects=len(seen) - 1)
            request = request.redirected(answer.status, location)

    async def _once(self, request: _Request, *, inside: bool) -> tuple[HttpAnswer, bool]:
        """The answer, and whether it may redirect to an address of the inside."""
        import httpcore2

        parts = _split(request.url)
        host = a_label(parts.hostname or "")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        connected = await self._dialer.dial(host, port, timeout=self._seconds)
        stream = connected.stream
        try:
            found = is_inside(connected.address)
            if found and not inside:
                raise _bad(request.url, "bad_redirect", address=connected.address)
            if parts.scheme == "https":
                options = TlsOptions(host, ca_file=self._ca_file, alpn=("http/1.1",))
                await stream.start_tls(options)
            return await _exchange(request, parts, stream), inside and found
        except httpcore2.RemoteProtocolError as error:
            raise _bad(request.url, "not_http", error=str(error)) from None
        except httpcore2.LocalProtocolError as error:
            raise ValueError(f"not a request: {error}") from None
        finally:
            await stream.close()


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    body: bytes
    headers: dict[str, str]
    limit: int

    def redirected(self, status: int, location: str) -> _Request:
        """RFC 9110 section 15.4; never from HTTPS to HTTP."""
        try:
            target = urljoin(self.url, location[:URL_LIMIT])
            parts = _split(target)
        except ValueError:  # also of urljoin: "//["
            raise _bad(self.url, "bad_redirect", location=location[:URL_LIMIT]) from None
        if not _HOST.fullmatch(a_label(parts.hostname or "")):
            raise _bad(self.url, "bad_redirect", location=location[:URL_LIMIT])
        if _split(self.url).scheme == "https" and parts.scheme != "https":
            raise _bad(self.url, "downgrade", location=target)
        if status in _KEEP_METHOD or self.method == "GET":
            return _Request(self.method, target, self.body, self.headers, self.limit)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "content-type"}
        return _Request("GET", target, b"", headers, self.limit)


def is_inside(address: str) -> bool:
    """Whether an address is of this machine or a private network; a name is not."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    return any(found in network for network in _INSIDE)


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(f"not an http or https URL: {url!r}")
    return parts


def _merged(answer: HttpAnswer, trusted: bool, seen: list[str]) -> HttpAnswer:
    return HttpAnswer(
        answer.status, answer.url, answer.body, answer.headers, trusted, tuple(seen), answer.tls
    )


def _bad(url: str, reason: str, **detail: Any) -> NetworkFailure:
    detail |= {"url": url, "reason": reason, "protocol": "http"}
    return NetworkFailure(Failure.BAD_REPLY, Stage.ANY, **detail)


async def _exchange(request: _Request, parts: SplitResult, stream: Stream) -> HttpAnswer:
    import httpcore2

    from posthouse.net.httpstream import CoreStream

    host = a_label(parts.hostname or "")
    url = httpcore2.URL(scheme=parts.scheme, host=host, port=parts.port, target=_target(parts))
    headers: list[tuple[bytes | str, bytes | str]] = [
        ("Host", _host_header(parts, host)),
        ("User-Agent", f"Posthouse/{__version__}"),
        ("Accept-Encoding", "identity"),  # a compressed bomb would pass the limit
        ("Connection", "close"),
        *request.headers.items(),
    ]
    if request.method == "POST":
        headers.append(("Content-Length", str(len(request.body))))
    connection = httpcore2.AsyncHTTP11Connection(origin=url.origin, stream=CoreStream(stream))
    response = await connection.handle_async_request(
        httpcore2.Request(request.method, url, headers=headers, content=request.body or None)
    )
    found = {name.decode("latin-1").lower(): _decoded(value) for name, value in response.headers}
    body = await _body(request, response)
    trusted = stream.tls is not None and stream.tls.trusted
    return HttpAnswer(response.status, request.url, body, found, trusted, (), stream.tls)


async def _body(request: _Request, response: httpcore2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > request.limit:
            raise _bad(request.url, "too_big", limit=request.limit)
    return bytes(body)


def _target(parts: SplitResult) -> str:
    safe = "%/:=&?~+!$,;'@()*[]"
    path = quote(parts.path or "/", safe=safe)
    return f"{path}?{quote(parts.query, safe=safe)}" if parts.query else path


def _host_header(parts: SplitResult, host: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{parts.port}" if parts.port else name


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


FixtureAnswer = HttpAnswer | bytes | int | NetworkFailure


@dataclass(slots=True)
class FixtureHttp:
    """The double: ``{url: HttpAnswer | body | status | NetworkFailure}``; anything else is 404.

    A body alone is status 200, trusted where the URL is https. A URL with a query is also found
    without it. ``asked`` lists (method, url, body); ``delay`` seconds pass before each answer.
    """

    table: Mapping[str, FixtureAnswer]
    delay: float = 0.0
    clock: Clock = field(default_factory=SystemClock)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def get(
        self,
        url: str,
        *,
        limit: int = BODY_LIMIT,
        headers: Mapping[str, str] | None = None,
        redirects: int = REDIRECT_LIMIT,
    ) -> HttpAnswer:
        return await self._answer("GET", url, b"", limit)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        limit: int = BODY_LIMIT,
        headers: Mapping[str, str] | None = None,
        redirects: int = REDIRECT_LIMIT,
    ) -> HttpAnswer:
        return await self._answer("POST", url, body, limit)

    async def _answer(self, method: str, url: str, body: bytes, limit: int) -> HttpAnswer:
        self.asked.append((method, url, body))
        if self.delay:
            await self.clock.sleep(self.delay)
        found = self.table.get(url, self.table.get(url.partition("?")[0], 404))
        secure = url.startswith("https://")
        if isinstance(found, NetworkFailure):
            raise NetworkFailure(found.failure, found.stage, **found.detail)
        if isinstance(found, int):
            found = HttpAnswer(found, url, tls_trusted=secure)
        elif isinstance(found, bytes):
            found = HttpAnswer(200, url, found, tls_trusted=secure)
        if len(found.body) > limit:
            raise _bad(url, "too_big", limit=limit)
        return found
