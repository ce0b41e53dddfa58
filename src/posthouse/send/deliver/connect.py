"""A connection to a hop that is ready to carry: looked up, connected, encrypted, signed in.

Enters: a hop, for direct delivery the recipient's domain. Leaves: a ``Line``. Called by the pool
(its ``Connector``); wired by the daemon. Servers are tried in the order of ``places``, those that
failed a moment ago last, the one that failed last at the very end; each server's addresses in the
same way, one after the other, both families in turn. A server that lets us in and breaks then
(``Line.went``) is left alone for longer each time, or it would be the next try's first choice for
ever; so is an address, however it fails: IPv6 may be blocked, or lead nowhere, where IPv4 is well.

What can fail: NetworkFailure or Refused, that of the server that said most; ``detail["tried"]`` of
a failure names all. A login refused for good ends it: the same password is not tried elsewhere.
Every server tried is told to ``watch`` as a ``flow.Trace``: resolve, connect, ehlo, tls, auth. One
of a hop's own that failed while another took its place is told to ``passed_over``: the mail goes,
so nothing else would tell.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from posthouse.flow import Failure, NetworkFailure, Security, Stage, Status, Trace
from posthouse.net.resolver import Resolver
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_open import Refused
from posthouse.protocol.host import parse_ip
from posthouse.protocol.smtp.extensions import erased
from posthouse.send.deliver.encrypt import Contexts, Sessions, policy_of
from posthouse.send.deliver.login import log_in
from posthouse.send.deliver.memory import Memory
from posthouse.send.deliver.places import (
    ADDRESSES_LIMIT,
    MX_PORT,
    End,
    Ourselves,
    Place,
    addresses,
    before_others,
    places,
    usable,
)
from posthouse.send.deliver.tried import Tried, dns_failure, kept, says_most
from posthouse.send.deliver.tries import is_login
from posthouse.send.hop import Hop, Target, TlsPolicy

EACH: Final = 5.0  # seconds for each of greeting, EHLO, TLS, while another could be tried
# The same of an MX, which may hold its greeting back to catch robots; for TCP it has ``EACH``.
MX_EACH: Final = 15.0
LOGIN: Final = 15.0  # seconds for a login while another could be tried: slow against guessing
LAST: Final = 60.0  # seconds for the last one; who greets later will not carry much either
TOTAL: Final = 120.0  # seconds for all servers together
ADDRESS: Final = 2.0  # seconds for an address while the same server has another one
Watch = Callable[[Hop, Place, Trace], None]
# What only we mind: who hears nothing more is told that we go (RFC 5321 section 4.1.1.10).
_UNFIT: Final = frozenset(
    {
        *(Failure.TLS_NOT_OFFERED, Failure.TLS_STRIPPED),
        *(Failure.AUTH_NOT_OFFERED, Failure.NO_COMMON_MECHANISM),
    }
)


class Line(Carrier):
    """A carrier that knows where it leads, and how it came there."""

    def __init__(
        self,
        hop: Hop,
        place: Place,
        trace: Trace,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(lmtp=hop.lmtp, tls=hop.security is Security.TLS)
        self.hop = hop
        self.place = place
        self.trace = trace
        self.address = ""  # where it leads
        self.equal: tuple[str, ...] = ()  # the host's addresses that might have been it
        self.places: Sequence[Place] = ()  # all that might have been it
        self._memory = memory

    @property
    def name(self) -> str:
        """The server's name and address, for logs: "mx.example.org [192.0.2.1]"."""
        host, peer = self.place.host, self.peer
        return host if peer in ("", host) else f"{host} [{peer}]"

    def went(self, *, well: bool) -> None:
        """A message was carried, or the server is in trouble: the connector remembers."""
        if self._memory is not None:
            self._memory.went(self.place.end, well)
            self._memory.went(_at(self.address, self.place.port), well)

    @property
    def most(self) -> int | None:
        """How many recipients the server takes at once, where it has shown that."""
        return self._memory.most(self.place.end) if self._memory is not None else None

    def too_many(self, count: int) -> None:
        """It refused a message for that many recipients: the connector remembers."""
        if self._memory is not None:
            self._memory.too_many(self.place.end, count)

    def leave(self, error: BaseException) -> None:
        """It won't do: say QUIT where the server still listens, else hang up."""
        failed = error if isinstance(error, NetworkFailure) else None
        if isinstance(error, Refused) or (failed and failed.failure in _UNFIT):
            self.quit()
        else:
            self.abort(failed or NetworkFailure(Failure.CLOSED, Stage.ANY))


PassedOver = Callable[[Hop, Place, NetworkFailure | Refused, Line], None]


class Connect:
    """The connector. ``now`` gives monotonic seconds, ``nonce`` random octets."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        ehlo: str,
        now: Callable[[], float],
        rng: random.Random,
        us: Ourselves = Ourselves(),  # noqa: B008  frozen
        nonce: Callable[[int], bytes] = secrets.token_bytes,
        watch: Watch = lambda _hop, _place, _trace: None,
        passed_over: PassedOver = lambda _hop, _place, _error, _instead: None,
        mx_port: int = MX_PORT,
    ) -> None:
        self._resolver = resolver
        self._ehlo = ehlo
        self._now = now
        self._rng = rng
        self._us = us
        self._nonce = nonce
        self._watch = watch
        self._passed_over = passed_over
        self._mx_port = mx_port
        self._contexts = Contexts(now)
        self._memory = Memory(now, rng)

    async def __call__(self, hop: Hop, domain: str = "", first: Target | None = None) -> Line:
        """A line ready to carry; ``first`` is tried before others that are as good.

        Raises NetworkFailure or Refused.
        """
        policy = policy_of(hop)
        found = await places(hop, domain, self._resolver, self._rng, self._us, port=self._mx_port)
        if first is not None:
            found = before_others(first, found)
        found.sort(key=lambda place: self._memory.sore_until(place.end))
        tried = Tried()
        end = self._now() + TOTAL
        for number, place in enumerate(found, 1):
            each = LAST if number == len(found) else MX_EACH if place.direct else EACH
            seconds = min(each, end - self._now())
            if seconds <= 0:
                break
            try:
                line = await self._reach(hop, place, policy, seconds, each)
            except (NetworkFailure, Refused) as error:
                if is_login(error):
                    raise
                tried.add(place, error)
                # Once for all who try it now.
                if not (place.direct or self._memory.sore_until(place.end)):
                    tried.news.append((place, error))
                self._memory.failed(place.end)
                continue
            line.places = found
            for other, said in tried.news:
                self._passed_over(hop, other, said, line)
            return line
        raise tried.told(domain, found)

    async def _reach(
        self, hop: Hop, place: Place, policy: TlsPolicy, seconds: float, each: float
    ) -> Line:
        """One server: ``seconds`` for everything up to the greeting, ``each`` for what follows."""
        trace = Trace(self._now)
        try:
            found = await self._resolve(place, trace, seconds)
            left = seconds - trace.now()
            connecting = left if seconds > MX_EACH else min(EACH, left)
            way = _Way(self, hop, place, policy, trace, left, connecting, each)
            return await way.ready(found)
        finally:
            self._watch(hop, place, trace)

    async def _resolve(self, place: Place, trace: Trace, seconds: float) -> list[str]:
        """The addresses of both families in turn. Raises NetworkFailure."""
        literal = parse_ip(place.host)
        if literal is not None:
            return self._usable([literal], place)
        step = trace.start("resolve", Stage.DNS)
        try:
            async with asyncio.timeout(seconds):
                answers = await addresses(place.host, self._resolver)
        except TimeoutError:
            trace.end(step, Status.FAIL)
            raise NetworkFailure(Failure.DNS_TIMEOUT, Stage.DNS, host=place.host) from None
        found = usable(answers, self._memory.turn(place.host))
        sore = self._memory.sore_until
        found.sort(key=lambda one: (sore(_at(one, place.port)), one != place.address))
        if not found:
            trace.end(step, Status.FAIL)
            statuses = {answer.status for answer in answers}
            detail = {"host": place.host, "direct": place.direct}
            raise NetworkFailure(dns_failure(statuses), Stage.DNS, **detail)
        trace.end(step, addresses=len(found))
        return self._usable(found, place)

    def _usable(self, found: Sequence[str], place: Place) -> list[str]:
        """Without those that lead into this machine, where the recipient names them."""
        others = [one for one in found if not (place.direct and self._us.has(one))]
        if not others:  # DNS was too slow to tell it before the others (``places``)
            raise NetworkFailure(Failure.NO_ADDRESS, Stage.DNS, host=place.host)
        return others[:ADDRESSES_LIMIT]

    # What ``_Way`` needs of the connector.

    def hello(self, hop: Hop) -> str:
        """The name for EHLO."""
        return hop.ehlo or self._ehlo

    def context(self, policy: TlsPolicy, hop: Hop) -> Sessions:
        """The TLS context."""
        return self._contexts.get(policy, hop.ca_file)

    def failed(self, address: str, port: int) -> None:
        """Whoever comes next tries the server's other addresses first."""
        self._memory.failed(_at(address, port), broke=True)

    def line(self, hop: Hop, place: Place, trace: Trace) -> Line:
        """A line that tells us how it goes."""
        return Line(hop, place, trace, self._memory)

    async def log_in(self, line: Line) -> None:
        """Sign in."""
        await log_in(line, line.hop, line.place, self._nonce)


@dataclass(slots=True)
class _Way:
    """One server on its way from an address to a line that is ready."""

    connect: Connect
    hop: Hop
    place: Place
    policy: TlsPolicy
    trace: Trace
    seconds: float  # up to the greeting
    connecting: float  # up to the end of TCP's handshake
    each: float  # for EHLO, for TLS

    async def ready(self, addresses: Sequence[str]) -> Line:
        """Raises NetworkFailure or Refused, with nothing left open."""
        line, address = await self._open_any(addresses)
        try:
            line = await self._secure(line, address)
            line.address, line.equal = address, _family(address, addresses)
            if self.hop.user:
                step = self.trace.start("auth", Stage.AUTH)
                seconds = max(self.each, LOGIN)
                work = _within(self.connect.log_in(line), seconds, self.place, Stage.AUTH)
                await self._step(step, work)
        except BaseException as error:
            line.leave(error)
            if isinstance(error, NetworkFailure | Refused) and not is_login(error):
                self.connect.failed(address, self.place.port)
            raise
        if line.tls is not None:  # by now the tickets of TLS 1.3 are there
            self._context().keep(self.place.host, line.tls)
        return line

    def _context(self) -> Sessions:
        return self.connect.context(self.policy, self.hop)

    async def _open_any(self, addresses: Sequence[str]) -> tuple[Line, str]:
        """The first that lets us in (RFC 5321 section 5.1); what a host says at one of its
        addresses may be about ours of that family."""
        end = self.trace.now() + self.seconds
        errors: list[NetworkFailure | Refused] = []
        for number, address in enumerate(addresses, 1):
            left = end - self.trace.now()
            share = min(self.connecting, left, ADDRESS if number < len(addresses) else left)
            if left <= 0:
                break
            try:
                return await self._open(address, share, left), address
            except (NetworkFailure, Refused) as error:
                errors.append(kept(error))
                self.connect.failed(address, self.place.port)
                if isinstance(error, NetworkFailure) and error.failure is Failure.CERTIFICATE:
                    break  # the same at each address
        if not errors:
            raise NetworkFailure(Failure.TIMEOUT, Stage.CONNECT, host=self.place.host)
        raise says_most(errors)

    async def _open(self, address: str, connecting: float, greeting: float) -> Line:
        """Connected, greeted, and EHLO said. Raises NetworkFailure or Refused."""
        line = self.connect.line(self.hop, self.place, self.trace)
        implicit = self.hop.security is Security.TLS
        step = self.trace.start("connect", Stage.CONNECT)
        opening = line.open(
            address,
            self.place.port,
            security=self.hop.security if implicit else Security.NONE,
            context=self._context() if implicit else None,
            host=self.place.host,
            source=self.hop.source,
            seconds=max(0.01, connecting),
        )
        try:
            await self._step(step, _within(opening, greeting, self.place), address=address)
            step = self.trace.start("ehlo", Stage.EHLO)
            hello = line.hello(self.connect.hello(self.hop), extended=self._needs_more(implicit))
            await self._step(step, _within(hello, self.each, self.place, Stage.EHLO))
        except BaseException as error:
            if implicit:
                self._context().forget(self.place.host)
            line.leave(error)
            raise
        return line

    async def _secure(self, line: Line, address: str) -> Line:
        """The line encrypted as the policy wants it; a fresh one in the clear where that may be."""
        if self.hop.security is Security.TLS or self.policy is TlsPolicy.NONE:
            return line
        may_be_plain = self.policy is TlsPolicy.OPPORTUNISTIC
        offered = self.hop.security is Security.STARTTLS and "STARTTLS" in line.extensions
        if not offered:
            if may_be_plain:
                return line
            kind = Failure.TLS_STRIPPED if erased(line.extensions) else Failure.TLS_NOT_OFFERED
            raise NetworkFailure(kind, Stage.TLS, host=self.place.host, port=self.place.port)
        step = self.trace.start("tls", Stage.TLS)
        try:
            await self._step(step, self._start_tls(line))
        except (NetworkFailure, Refused):
            self._context().forget(self.place.host)
            if not may_be_plain:
                raise
            # RFC 7435 section 4: opportunistic, so in the clear rather than not at all; what was
            # half encrypted is not to be trusted any more.
            line.abort(NetworkFailure(Failure.TLS_HANDSHAKE, Stage.TLS))
            return await self._open(address, self.each, self.each)
        return line

    async def _start_tls(self, line: Line) -> None:
        start = line.start_tls(self._context(), self.place.host)
        await _within(start, self.each, self.place, Stage.TLS)
        more = self._needs_more(secure=True)
        hello = line.hello(self.connect.hello(self.hop), extended=more)  # RFC 3207 section 4.2
        await _within(hello, self.each, self.place, Stage.EHLO)

    def _needs_more(self, secure: bool) -> bool:
        """Whether TLS or a login is to come."""
        must = self.policy in (TlsPolicy.REQUIRED, TlsPolicy.VERIFIED)
        return bool(self.hop.user) or (must and not secure)

    async def _step(self, step: Any, work: Any, **detail: Any) -> None:
        """One step of the trace, however it ends."""
        try:
            await work
        except (NetworkFailure, Refused) as error:
            self.trace.end(step, Status.FAIL, said=str(error)[:200], **detail)
            raise
        self.trace.end(step, **detail)


def _at(address: str, port: int) -> End:
    """An address by itself, told from a server that is named by its address."""
    return f"[{address}]", port


def _family(address: str, among: Sequence[str]) -> tuple[str, ...]:
    """Those of its family: the other one may not lead anywhere from here."""
    return tuple(one for one in among if (":" in one) == (":" in address))


async def _within(work: Any, seconds: float, place: Place, stage: Stage = Stage.GREETING) -> None:
    """``work`` in so many seconds, else it counts as silence."""
    try:
        async with asyncio.timeout(max(0.01, seconds)):
            await work
    except TimeoutError:
        detail = {"host": place.host, "port": place.port, "seconds": round(seconds, 1)}
        raise NetworkFailure(Failure.SILENT, stage, **detail) from None
