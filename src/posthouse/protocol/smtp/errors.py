"""Whose fault a breach of the protocol is: ours (LocalProtocolError) or theirs.

A local error is a bug or a bad argument of the caller, raised by ``Connection.send`` before
anything is written. A remote error never crosses ``Connection.receive``: it comes out as an event
(``Refused`` or ``RemoteError``), so that what was understood before it is not lost. Texts of
errors never hold what the peer or the user wrote, so they cannot hold a credential.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """A breach of SMTP; see the two kinds."""


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol. Nothing was written; the state is unchanged."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol. ``reason`` is a stable word; ``raw`` is what it sent."""

    def __init__(self, reason: str, raw: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.raw = raw
