"""The dialogue of one login (RFC 4954): AUTH, challenges and responses, to the server's last word.

Enters: how to send a command and get its reply, a mechanism that holds the secret. Leaves: the
reply, and why we broke off where we did. Called by ``net.smtp`` for probe, by ``send.client`` and
``send.deliver``; whether the secret may go out, and what the reply means, is for them. Fails with
SaslError where the credentials do not fit the mechanism: then nothing was sent; else with what
``ask`` raises.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp import sasl
from posthouse.protocol.smtp.limits import COMMAND_LINE
from posthouse.protocol.smtp.reply import Reply

# Challenges answered. SCRAM and LOGIN need two, a long initial response one more; the mechanisms
# count their own as well.
ROUNDS: Final = 4


async def exchange(
    ask: Callable[[c.Command], Awaitable[Reply]], mechanism: sasl.ClientMechanism
) -> tuple[Reply, str]:
    """The last reply, and a SaslError's reason where it answers our "*"; "" where there was none.

    Whether a success is to be believed is ``mechanism.done()``'s word.
    """
    initial = mechanism.initial
    if initial is not None and _is_long(mechanism.name, initial):
        initial = None  # too long for the AUTH line: it is asked for with an empty challenge
    reply = await ask(c.Auth(mechanism.name, initial))
    rounds = 0
    while reply.code == 334:
        rounds += 1
        try:
            challenge = reply.challenge_data()
            if challenge is None:
                raise sasl.SaslError("not_base64")
            if rounds > ROUNDS:
                raise sasl.SaslError("unexpected_challenge")
            response = mechanism.respond(challenge)
        except sasl.SaslError as error:
            return await ask(c.AuthResponse(None)), error.reason  # RFC 4954 section 4: "*" ends it
        reply = await ask(c.AuthResponse(response))
    return reply, ""


def _is_long(mechanism: str, initial: bytes) -> bool:
    """RFC 4954 section 4: an AUTH line with its initial response is a command line as any."""
    base64_octets = (len(initial) + 2) // 3 * 4
    return len(f"AUTH {mechanism} \r\n") + base64_octets > COMMAND_LINE
