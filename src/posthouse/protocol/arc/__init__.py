"""arc: the chain of servers that handled a message and vouch for what they saw.

Enters: messages as bytes, DNS answers, a key. Leaves: ``ArcResult``; the three fields of a new
set. Called by the relay (verify on the way in, seal on the way out). Verifying never fails;
sealing fails with dkim's SigningError.

RFC 8617, Experimental; on its way to be Historic, still written and read by the largest servers.
"""

from __future__ import annotations

from posthouse.protocol.arc.chain import INSTANCES_LIMIT, ArcSet
from posthouse.protocol.arc.seal import Sealer
from posthouse.protocol.arc.verify import ArcCode, ArcResult, ArcVerifier, verify

__all__ = [
    "INSTANCES_LIMIT",
    "ArcCode",
    "ArcResult",
    "ArcSet",
    "ArcVerifier",
    "Sealer",
    "verify",
]
