"""The look around after a failure: other ports, the other mode, what answers there.

Enters: a host and where the way stopped. Leaves: ``Neighbour``s. Bounded (a few seconds each, all
at once), polite (one connection a port, EHLO and QUIT, nothing more), and never with a credential.
Nothing fails: a port that doesn't answer is a fact.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from posthouse.flow import Endpoint, Failure, NetworkFailure, Security, Stage
from posthouse.net.dial import Family
from posthouse.net.smtp import SmtpClient
from posthouse.net.stream import Stream
from posthouse.net.tls import TlsOptions, TlsSession
from posthouse.protocol.first_bytes import protocol_of
from posthouse.protocol.ports import usual_security
from posthouse.setup.probe.facts import (
    Facts,
    Neighbour,
    Net,
    Options,
    Relation,
    State,
    Stop,
)

LOOK_SECONDS: Final = 4.0  # for one connection and its first words; a user waits for all of it
WORDS_SECONDS: Final = 1.5  # silence of this length on a plain port suggests TLS
PORTS: Final = (465, 587, 25, 2465, 2587, 2525, 994)

_STATES: Final = {
    Failure.REFUSED: State.REFUSED,
    Failure.TIMEOUT: State.FILTERED,
    Failure.UNREACHABLE: State.UNREACHABLE,
    Failure.OFFLINE: State.UNREACHABLE,
    Failure.RESET: State.CLOSED,
    Failure.CLOSED: State.CLOSED,
}
_DNS: Final = frozenset(
    {Failure.NAME_NOT_FOUND, Failure.NO_ADDRESS, Failure.DNS_FAILED, Failure.DNS_TIMEOUT}
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one connection showed."""

    state: State
    seconds: float
    protocol: str = ""
    security: Security = Security.NONE
    address: str = ""
    starttls: bool | None = None


class Around:
    """Looks from one net with one set of options."""

    def __init__(self, net: Net, options: Options) -> None:
        self._net = net
        self._options = options

    async def after(self, facts: Facts, stop: Stop) -> tuple[Neighbour, ...]:
        """Everything worth looking at after this stop, all at once."""
        if stop.failure in _DNS or stop.failure is Failure.OFFLINE:
            return ()
        looks: list[Awaitable[Neighbour]] = []
        if _ports_matter(stop):
            looks += [self._port(facts.endpoint.host, p) for p in PORTS if p != facts.endpoint.port]
        if _mode_matters(facts.endpoint, stop):
            looks.append(self._mode(facts.endpoint))
        return tuple(await asyncio.gather(*looks))

    async def family(self, endpoint: Endpoint, family: Family) -> Neighbour:
        """Whether the endpoint can be connected to by the other family."""
        clock = self._net.clock
        began = clock.monotonic()
        state, address = State.OPEN, ""
        try:
            connected = await self._net.dialer.dial(
                endpoint.host, endpoint.port, timeout=LOOK_SECONDS, family=family
            )
            address = connected.address
            await connected.stream.close()
        except NetworkFailure as failure:
            state = _STATES.get(failure.failure, State.FILTERED)
        seconds = clock.monotonic() - began
        return Neighbour(endpoint, Relation.FAMILY, state, seconds, "", address)

    async def glance(self, host: str, port: int, *, tls_first: bool) -> Seen:
        """Connect, wait for words, else offer TLS; then EHLO and QUIT where SMTP answers."""
        clock = self._net.clock
        began = clock.monotonic()
        try:
            connected = await self._net.dialer.dial(host, port, timeout=LOOK_SECONDS)
        except NetworkFailure as failure:
            state = _STATES.get(failure.failure, State.FILTERED)
            return Seen(state, clock.monotonic() - began)
        seconds = clock.monotonic() - began
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await self._first_words(connected.stream, host, seconds, tls_first)
        except TimeoutError:
            return Seen(State.SILENT, seconds, address=connected.address)
        finally:
            await connected.stream.close()

    async def _first_words(
        self, stream: Stream, host: str, seconds: float, tls_first: bool
    ) -> Seen:
        address = stream.peer.rpartition(":")[0].strip("[]")
        security = Security.NONE
        first = None
        try:
            if not tls_first:
                first = await _words(stream, WORDS_SECONDS)
                if first == b"":
                    return Seen(State.CLOSED, seconds, address=address)
            if first is None:
                await stream.start_tls(self._tls_options(host))
                security = Security.TLS
                first = await _words(stream, LOOK_SECONDS)
        except NetworkFailure as failure:
            protocol = str(failure.detail.get("protocol") or "")
            if protocol:  # plain words met our hello
                return Seen(State.OPEN, seconds, protocol, Security.NONE, address)
            state = State.SILENT if failure.failure is Failure.SILENT else State.CLOSED
            return Seen(state, seconds, address=address)
        protocol = protocol_of(first) if first else ""
        if not first or protocol != "smtp":
            return Seen(State.OPEN, seconds, protocol or "tls", security, address)
        starttls = await self._offers_starttls(stream, first)
        return Seen(State.OPEN, seconds, protocol, security, address, starttls)

    async def _offers_starttls(self, stream: Stream, first: bytes) -> bool | None:
        client = SmtpClient(_Again(stream, first))
        try:
            if not (await client.greeting()).is_success:
                return None
            await client.ehlo(self._options.ehlo_name)
            offered = "STARTTLS" in client.extensions
            await client.quit()
            return offered
        except NetworkFailure:
            return None

    async def _port(self, host: str, port: int) -> Neighbour:
        mode = usual_security(port) or Security.STARTTLS
        seen = await self.glance(host, port, tls_first=mode is Security.TLS)
        return _neighbour(host, port, mode, Relation.PORT, seen)

    async def _mode(self, endpoint: Endpoint) -> Neighbour:
        other = Security.STARTTLS if endpoint.security is Security.TLS else Security.TLS
        seen = await self.glance(endpoint.host, endpoint.port, tls_first=other is Security.TLS)
        return _neighbour(endpoint.host, endpoint.port, other, Relation.MODE, seen)

    def _tls_options(self, host: str) -> TlsOptions:
        now = self._net.clock.now()
        return TlsOptions(host, ca_file=self._options.ca_file, at=now, seconds=LOOK_SECONDS)

    async def legacy_tls(self, endpoint: Endpoint) -> TlsSession | None:
        """A handshake with everything this machine can still speak, to see the certificate."""
        try:
            async with asyncio.timeout(2 * LOOK_SECONDS):
                connected = await self._net.dialer.dial(
                    endpoint.host, endpoint.port, timeout=LOOK_SECONDS
                )
                try:
                    return await self._legacy(connected.stream, endpoint)
                finally:
                    await connected.stream.close()
        except (NetworkFailure, TimeoutError):
            return None

    async def _legacy(self, stream: Stream, endpoint: Endpoint) -> TlsSession:
        options = TlsOptions(
            endpoint.host,
            ca_file=self._options.ca_file,
            legacy=True,
            at=self._net.clock.now(),
            seconds=LOOK_SECONDS,
        )
        if endpoint.security is Security.TLS:
            return await stream.start_tls(options)
        client = SmtpClient(stream)
        await client.greeting()
        await client.ehlo(self._options.ehlo_name)
        await client.starttls()
        return await client.upgrade(options)


def _ports_matter(stop: Stop) -> bool:
    """Another port helps where this one can't be reached, encrypted, or signed in at."""
    early = (Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.TLS)
    if stop.stage in early:
        return stop.failure is not Failure.CERTIFICATE
    causes = ("tls.required", "auth.mechanism", "relay.denied", "auth.required")
    return stop.cause in causes


def _mode_matters(endpoint: Endpoint, stop: Stop) -> bool:
    if endpoint.security is Security.TLS:
        return stop.stage is Stage.TLS and stop.failure in (Failure.PLAIN_EXPECTED, Failure.SILENT)
    mute = (Failure.SILENT, Failure.CLOSED, Failure.RESET, Failure.TLS_EXPECTED)
    return stop.stage is Stage.GREETING and stop.failure in mute


def _neighbour(host: str, port: int, mode: Security, relation: Relation, seen: Seen) -> Neighbour:
    """The mode is what was seen; where nothing was, what the port is known for."""
    if seen.protocol == "smtp":
        plain = Security.STARTTLS if seen.starttls else Security.NONE
        mode = Security.TLS if seen.security is Security.TLS else plain
    endpoint = Endpoint(host, port, mode)
    return Neighbour(
        endpoint, relation, seen.state, seen.seconds, seen.protocol, seen.address, seen.starttls
    )


async def _words(stream: Stream, seconds: float) -> bytes | None:
    """The first bytes, b"" where the peer hung up, None where it stayed silent."""
    try:
        async with asyncio.timeout(seconds):
            return await stream.read()
    except TimeoutError:
        return None


class _Again:
    """A stream whose first bytes were read already, given once more to whoever reads next."""

    def __init__(self, stream: Stream, first: bytes) -> None:
        self._stream = stream
        self._first = first

    @property
    def peer(self) -> str:
        return self._stream.peer

    @property
    def tls(self) -> TlsSession | None:
        return self._stream.tls

    async def read(self, limit: int = 65_536) -> bytes:
        first, self._first = self._first[:limit], self._first[limit:]
        return first or await self._stream.read(limit)

    async def write(self, data: bytes) -> None:
        await self._stream.write(data)

    async def start_tls(self, options: TlsOptions) -> TlsSession:
        return await self._stream.start_tls(options)

    async def accept_tls(self, context: ssl.SSLContext) -> None:
        await self._stream.accept_tls(context)

    async def close(self) -> None:
        await self._stream.close()
