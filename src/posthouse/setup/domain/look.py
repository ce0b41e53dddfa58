"""A look at a mail server: greeting, EHLO, STARTTLS, certificate. Nothing is ever sent.

Enters: a host, a port, whether TLS comes first. Leaves: ``Look``. Called by the checks where the
caller allowed connections. It signs in nowhere and names no sender. Nothing fails; what went wrong
is in the look.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from posthouse.flow import Failure, NetworkFailure, Security
from posthouse.net.smtp import SmtpClient
from posthouse.net.tls import TlsOptions, TlsSession
from posthouse.setup.domain.model import Net, Options

LOOK_SECONDS: Final = 8.0  # a server that greets later than that loses mail as well
STARTTLS: Final = "STARTTLS"


@dataclass(frozen=True, slots=True)
class Look:
    """What one server said. ``failure``: "" where the look came to its end."""

    host: str
    port: int
    address: str = ""
    banner: str = ""
    name: str = ""  # what it calls itself in the reply to EHLO
    extensions: tuple[str, ...] = ()  # of the last EHLO
    starttls: bool | None = None  # None: not got that far, or TLS came first
    auth_plain: tuple[str, ...] = ()  # mechanisms offered before TLS
    auth: tuple[str, ...] = ()  # mechanisms offered at the end
    tls: TlsSession | None = field(default=None, repr=False)
    failure: str = ""
    reached: bool = False

    @property
    def chain(self) -> tuple[bytes, ...]:
        """The certificates it showed, leaf first."""
        return tuple(one.der for one in self.tls.chain) if self.tls is not None else ()


async def look(
    net: Net, options: Options, host: str, port: int = 25, security: Security = Security.STARTTLS
) -> Look:
    """Connect once and look."""
    known: dict[str, Any] = {}  # what has been seen so far; kept when the rest fails
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            connected = await net.dialer.dial(host, port, timeout=LOOK_SECONDS)
            known |= {"address": connected.address, "reached": True}
            try:
                client = SmtpClient(connected.stream)
                tls = TlsOptions(
                    host, ca_file=options.ca_file, at=net.clock.now(), seconds=LOOK_SECONDS
                )
                await _talk(client, tls, security, options, known)
            finally:
                await connected.stream.close()
    except NetworkFailure as failure:
        known["failure"] = failure.failure.value
    except TimeoutError:
        reached = bool(known.get("reached"))
        known["failure"] = (Failure.SILENT if reached else Failure.TIMEOUT).value
    return Look(host, port, **known)


async def _talk(
    client: SmtpClient, tls: TlsOptions, security: Security, options: Options, known: dict[str, Any]
) -> None:
    if security is Security.TLS:
        known["tls"] = await client.upgrade(tls)
    greeting = await client.greeting()
    known["banner"] = greeting.text[:200]
    if not greeting.is_success:
        known["failure"] = "refused_greeting"
        return
    await _ehlo(client, options, known)
    if security is not Security.TLS:
        known["auth_plain"] = known["auth"]
        known["starttls"] = STARTTLS in client.extensions
        if known["starttls"]:
            await _upgrade(client, tls, known)
            if "failure" in known:
                return
            await _ehlo(client, options, known)
    await client.quit()


async def _ehlo(client: SmtpClient, options: Options, known: dict[str, Any]) -> None:
    reply = await client.ehlo(options.ehlo_name)
    known["name"] = reply.text.split(None, 1)[0][:255] if reply.text.split() else ""
    known["extensions"] = tuple(sorted(client.extensions))
    offered = client.extensions.get("AUTH", "")
    known["auth"] = tuple(offered.upper().split())


async def _upgrade(client: SmtpClient, tls: TlsOptions, known: dict[str, Any]) -> None:
    reply = await client.starttls()
    if not reply.is_success:
        known["failure"] = "starttls_refused"
        return
    known["tls"] = await client.upgrade(tls)
