"""The way in: connections to one server, encrypted, checked and signed in.

Enters: a place and an account. Leaves: a ``Carrier`` ready for messages. Called by ``crew`` for
each connection. The certificate is verified before anything secret is said, and the password goes
out inside TLS alone. After one refused login there is no other: providers lock accounts for that.
Can fail: NetworkFailure, or Refused with the server's reply.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from dataclasses import dataclass, field
from typing import Final

from posthouse.flow import Failure, NetworkFailure, Secret, Security, Stage
from posthouse.net.resolver import Resolver, unresolved
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_login import exchange
from posthouse.net.smtp_open import Refused
from posthouse.net.tls import a_label, verify
from posthouse.protocol.host import parse_ip
from posthouse.protocol.smtp import sasl
from posthouse.protocol.smtp.extensions import auth_mechanisms, erased
from posthouse.protocol.smtp.reply import Reply

HELLO: Final = "[127.0.0.1]"  # RFC 5321 section 4.1.3; tells nothing about the user
STEPS: Final = 6  # waits of ``Place.timeout`` that opening may take: connect, greeting, EHLO...
NONCE: Final = 24  # random octets for SCRAM


@dataclass(frozen=True, slots=True)
class Account:
    """Who signs in."""

    user: str
    secret: Secret = field(repr=False)
    oauth: bool = False  # the secret is a token


@dataclass(frozen=True, slots=True)
class Place:
    """The server, and how it is approached."""

    host: str
    port: int
    security: Security
    account: Account | None = None
    hello: str = HELLO
    ca_file: str | None = None
    timeout: float = 10.0  # seconds for one step
    address: str = ""  # where it is, without asking DNS; ``host`` is the name it has to prove


class Door:
    """What has been learned about the way in: which address answers, whether a login holds."""

    def __init__(self, place: Place, resolver: Resolver) -> None:
        if place.account is not None and place.security is Security.NONE:
            raise ValueError("no password without TLS")
        self.place = place
        self._resolver = resolver
        self._addresses: list[str] = []  # first the one that answered last
        self._context: ssl.SSLContext | None = None
        self._holds = False  # a login was taken, and no connection lost since
        self._trial = asyncio.Lock()  # of the one login that shows whether it holds
        self.refused: Refused | None = None  # the login

    async def open(self, *, again: bool = False) -> Carrier:
        """One connection. ``again``: for one that was lost, maybe since the password was changed.

        Raises NetworkFailure, Refused.
        """
        if self.refused is not None:
            raise self.refused
        if again:
            self._holds = False
        if not self._addresses:
            self._addresses = await self._resolve()
        carrier = await self._connect()
        seconds = self.place.timeout * STEPS
        try:
            async with asyncio.timeout(seconds):
                await self._secure(carrier)
                await self._sign_in(carrier)
        except TimeoutError:
            failure = self._failure(Failure.SILENT, Stage.ANY, seconds=seconds)
            carrier.abort(failure)
            raise failure from None
        except BaseException:
            carrier.quit()
            raise
        return carrier

    async def _resolve(self) -> list[str]:
        host = self.place.address or self.place.host
        if parse_ip(host):
            return [host]
        name = a_label(host)
        answers = await asyncio.gather(*(self._resolver.ask(name, t) for t in ("AAAA", "A")))
        found = [record for answer in answers for record in answer.records if parse_ip(record)]
        if not found:
            kind, _ = unresolved(answers)
            raise self._failure(kind, Stage.DNS)
        return found

    async def _connect(self) -> Carrier:
        """The first address that lets us in (RFC 5321 section 5.1); from then on it comes first."""
        place, errors = self.place, list[NetworkFailure | Refused]()
        for address in tuple(self._addresses):
            carrier = Carrier(tls=place.security is Security.TLS)
            try:
                await self._greeted(carrier, address)
            except NetworkFailure as failure:
                carrier.abort(failure)
                errors.append(failure)
                if failure.failure is Failure.CERTIFICATE:  # the same at each
                    break
            except Refused as refused:
                carrier.quit()
                errors.append(refused)
            except BaseException:
                carrier.quit()
                raise
            else:
                self._addresses.sort(key=lambda one: one != address)
                return carrier
        error = max(errors, key=_tells)
        if isinstance(error, Refused):
            raise error
        detail = {"host": place.host, "port": place.port, "seconds": place.timeout}
        raise NetworkFailure(error.failure, error.stage, **{**error.detail, **detail})

    async def _greeted(self, carrier: Carrier, address: str) -> None:
        """Connected, encrypted where that comes first, and the server has said 220."""
        place = self.place
        seconds = place.timeout * STEPS
        try:
            async with asyncio.timeout(seconds):
                await carrier.open(
                    address,
                    place.port,
                    security=place.security,
                    context=self._tls() if place.security is Security.TLS else None,
                    host=a_label(place.host),
                    seconds=place.timeout,
                )
        except TimeoutError:
            raise self._failure(Failure.SILENT, Stage.GREETING, seconds=seconds) from None

    async def _secure(self, carrier: Carrier) -> None:
        place = self.place
        login, starts = place.account is not None, place.security is Security.STARTTLS
        await carrier.hello(place.hello, extended=login or starts)
        if not starts:
            return
        if "STARTTLS" not in carrier.extensions:
            stripped = erased(carrier.extensions)
            kind = Failure.TLS_STRIPPED if stripped else Failure.TLS_NOT_OFFERED
            raise self._failure(kind, Stage.TLS)
        await carrier.start_tls(self._tls(), a_label(place.host))
        await carrier.hello(place.hello, extended=login)  # RFC 3207 section 4.2

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8997
            try:
                verify(context, self.place.ca_file)
            except (OSError, ssl.SSLError):
                reason = f"cannot read {self.place.ca_file}"
                raise self._failure(Failure.CERTIFICATE, Stage.TLS, reason=reason) from None
            self._context = context
        return self._context

    async def _sign_in(self, carrier: Carrier) -> None:
        """One try; all connections at once only where one of them has shown that it holds."""
        account = self.place.account
        if account is None:
            return
        if not self._holds:
            async with self._trial:
                if not self._holds:
                    await self._try_login(carrier, account)
                    self._holds = True
                    return
        await self._try_login(carrier, account)

    async def _try_login(self, carrier: Carrier, account: Account) -> None:
        """With one mechanism (RFC 4954)."""
        if self.refused is not None:  # another connection has learned it meanwhile
            raise self.refused
        offered = auth_mechanisms(carrier.extensions)
        name = sasl.choose(offered, have_oauth=account.oauth, channel_binding=False)
        if name is None:
            kind = Failure.NO_COMMON_MECHANISM if offered else Failure.AUTH_NOT_OFFERED
            raise self._failure(kind, Stage.AUTH, offered=list(offered))
        reply = await self._exchange(carrier, name, account)
        if not reply.is_success:
            self.refused = Refused(Stage.AUTH, reply)
            raise self.refused

    async def _exchange(self, carrier: Carrier, name: str, account: Account) -> Reply:
        try:
            mechanism = sasl.client(
                name,
                username=account.user,
                secret=account.secret,
                host=a_label(self.place.host),
                port=self.place.port,
                nonce=secrets.token_bytes(NONCE),
            )
            reply, _ = await exchange(carrier.ask, mechanism)
        except sasl.SaslError as error:  # nothing was sent
            return Reply.make(535, f"{name}: {error.reason}", "5.7.8")
        if reply.is_success:
            try:
                mechanism.done()
            except sasl.SaslError as error:  # a server that does not know the password either
                return Reply.make(535, f"{name}: {error.reason}", "5.7.8")
        return reply

    def _failure(self, kind: Failure, stage: Stage, **more: object) -> NetworkFailure:
        return NetworkFailure(kind, stage, host=self.place.host, port=self.place.port, **more)


def _tells(error: NetworkFailure | Refused) -> int:
    """How much it says of the server; a way that leads nowhere is often that of IPv6."""
    if isinstance(error, Refused):
        return 3
    return {Failure.UNREACHABLE: 0, Failure.TIMEOUT: 1}.get(error.failure, 2)
