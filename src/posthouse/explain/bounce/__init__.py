"""bounce: a message that came back, read and explained.

Enters: the bytes of a message (or of a notification of Amazon SES). Leaves: ``Bounce`` with each
recipient's ``Explanation``, or None where it is no report of failed or delayed delivery. Called
by the command, by the probe after a test message, and for every bounce of the relay. Nothing
raises. ``looks_like_message`` and ``split_mbox`` tell a mail from a log and part a mailbox.

RFC 3464 fields where there are any; for the many forms that have none, ``rules/bounce.toml`` has
the phrases and ``scan`` reads any layout made of addresses, replies and labels.
"""

from __future__ import annotations

from posthouse.explain.bounce.model import Bounce, Failed
from posthouse.explain.bounce.read import read_bounce
from posthouse.protocol.message import looks_like_message, split_mbox

__all__ = ["Bounce", "Failed", "looks_like_message", "read_bounce", "split_mbox"]
