"""Signing in to a next hop: SMTP AUTH as the client, one mechanism, once. RFC 4954.

Enters: a line inside verified TLS, the hop with its user and secret. Leaves: nothing. Called by
``connect``, which has made sure of the TLS. Raises Refused at stage AUTH with the server's reply,
or NetworkFailure where no mechanism fits or the exchange makes no sense.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_login import exchange
from posthouse.net.smtp_open import Refused
from posthouse.protocol.smtp import sasl
from posthouse.protocol.smtp.extensions import auth_mechanisms
from posthouse.send.deliver.places import Place
from posthouse.send.hop import Hop

NONCE: Final = 24  # octets, for SCRAM


async def log_in(line: Carrier, hop: Hop, place: Place, nonce: Callable[[int], bytes]) -> None:
    """See the module."""
    if line.tls is None:  # the last line of defence: connect never comes here without
        raise NetworkFailure(Failure.TLS_NOT_OFFERED, Stage.AUTH, host=place.host)
    offered = auth_mechanisms(line.extensions)
    name = sasl.choose(offered, have_oauth=False, channel_binding=False)
    detail = {"host": place.host, "port": place.port, "tls": True}
    if name is None or hop.secret is None:
        kind = Failure.NO_COMMON_MECHANISM if offered else Failure.AUTH_NOT_OFFERED
        raise NetworkFailure(kind, Stage.AUTH, offered=list(offered)[:20], **detail)
    try:
        mechanism = sasl.client(
            name,
            username=hop.user,
            secret=hop.secret,
            host=place.host,
            port=place.port,
            nonce=nonce(NONCE),
        )
        reply, cancelled = await exchange(line.ask, mechanism)
        if cancelled:
            raise sasl.SaslError(cancelled)
        if not reply.is_success:
            raise Refused(Stage.AUTH, reply, host=place.host)
        mechanism.done()
    except sasl.SaslError as error:
        raise NetworkFailure(Failure.BAD_REPLY, Stage.AUTH, reason=error.reason, **detail) from None
