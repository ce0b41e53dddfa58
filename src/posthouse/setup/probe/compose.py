"""The test message in words: what goes into a ``Letter``, as the caller wishes.

Enters: envelope, wish, clock and randomness. Leaves: a ``Letter``. Called by ``run``.
"""

from __future__ import annotations

from posthouse.flow import Endpoint
from posthouse.setup.probe import letter, words
from posthouse.setup.probe.facts import Envelope, Net, TestMessage
from posthouse.setup.probe.letter import Letter


def compose(
    envelope: Envelope | None, message: TestMessage | None, net: Net, endpoint: Endpoint
) -> Letter | None:
    """The message to send, or None where none is asked for."""
    if envelope is None or message is None:
        return None
    if message.content is not None:
        domain = envelope.sender.rpartition("@")[2]
        return letter.ready(message.content, token=net.token(), domain=domain)
    return _written(envelope, message, net, endpoint)


def small(envelope: Envelope, net: Net, endpoint: Endpoint) -> Letter:
    """About 1 KB, to see whether only big messages are lost."""
    return _written(envelope, TestMessage(), net, endpoint)


def _written(envelope: Envelope, message: TestMessage, net: Net, endpoint: Endpoint) -> Letter:
    recipient = envelope.recipients[0]
    body = words.message_text(
        "body",
        message.lang,
        sender=envelope.sender,
        recipient=recipient,
        server=str(endpoint),
    )
    return letter.write(
        envelope.sender,
        recipient,
        subject=words.message_text("subject", message.lang),
        body=body,
        date=net.clock.now(),
        token=net.token(),
        pad=message.pad,
    )
