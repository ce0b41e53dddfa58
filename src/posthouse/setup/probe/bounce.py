"""A bounce that came back after the server had accepted the message.

Enters: a message as bytes. Leaves: ``Bounce`` facts with the explanation of each recipient, or
None where the message is no report. The reading itself is ``explain.bounce``'s. Never fails.
"""

from __future__ import annotations

from posthouse.explain.bounce import Bounce, Failed
from posthouse.explain.bounce import read_bounce as read

__all__ = ["Bounce", "Failed", "read"]
