"""A message in the form that this server takes.

Enters: a ``Message``, and what the server offers. Leaves: the message, in 7 bits where it has to
be, or Unusable: said before anything is tried. Called by ``crew`` for each message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from posthouse.protocol.message.recode import RecodeError, to_seven_bits
from posthouse.protocol.smtp.data import stuff, unstuff
from posthouse.protocol.smtp.extensions import size_limit
from posthouse.send.client.facts import Message, Problem, Unusable


def fitted(message: Message, offered: Mapping[str, str]) -> Message:
    """The same, or recoded (RFC 6152 section 3). Raises Unusable."""
    if message.utf8 and "SMTPUTF8" not in offered:
        raise Unusable(Problem.NO_SMTPUTF8)
    if message.eight_bit and "8BITMIME" not in offered:
        message = _in_seven_bits(message)
    limit = size_limit(offered)
    if limit is not None and message.size > limit:
        raise Unusable(Problem.TOO_BIG, size=message.size, limit=limit)
    return message


def _in_seven_bits(message: Message) -> Message:
    try:
        made = to_seven_bits(unstuff(message.content))
    except RecodeError:  # signed, or its header can't be written so
        raise Unusable(Problem.NO_8BITMIME) from None
    return replace(message, content=stuff(made), size=len(made), eight_bit=False)
