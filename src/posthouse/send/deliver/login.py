"""Signing in to a next hop: SMTP AUTH as the client, one mechanism, once. RFC 4954.

Enters: a line inside verified TLS, the hop with its user and secret. Leaves: nothing. Called by
``connect``, which has made sure of the TLS. Raises Refused at stage AUTH with the server's reply,
or NetworkFailure where no mechanism fits or the exchange makes no sense.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.smtp_carry import Carrier, Refused
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp import sasl
from posthouse.protocol.smtp.extensions import auth_mechanisms
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.deliver.places import Place
from posthouse.send.hop import Hop

NONCE: Final = 24  # octets, for SCRAM
ROUNDS: Final = 4  # challenges of one exchange; SCRAM and LOGIN need two


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
        reply = await _exchange(line, mechanism)
        if not reply.is_success:
            raise Refused(Stage.AUTH, reply)
        mechanism.done()
    except sasl.SaslError as error:
        raise NetworkFailure(Failure.BAD_REPLY, Stage.AUTH, reason=error.reason, **detail) from None


async def _exchange(line: Carrier, mechanism: sasl.ClientMechanism) -> Reply:
    """The server's last word. Raises SaslError once the exchange is cancelled."""
    reply = await line.ask(c.Auth(mechanism.name, mechanism.initial))
    for _ in range(ROUNDS):
        if not reply.is_intermediate:
            return reply
        challenge = reply.challenge_data()
        try:
            if challenge is None:
                raise sasl.SaslError("not_base64")
            response = mechanism.respond(challenge)
        except sasl.SaslError:
            await line.ask(c.AuthResponse(None))  # RFC 4954 section 4: "*" ends it
            raise
        reply = await line.ask(c.AuthResponse(response))
    raise sasl.SaslError("unexpected_challenge")
