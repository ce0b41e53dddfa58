"""A next hop, and the choice of one: what ``route`` says and ``deliver`` does, as facts.

Hops are configuration: where it is, how it is reached, how much it gets at once. A ``Choice`` is
made for each recipient of each letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from posthouse.flow import Secret, Security

POOL: Final = 50  # connections at once to one hop
REUSE: Final = 1_000  # messages over one connection; providers close after some hundreds anyway
IDLE: Final = 5.0  # seconds an unused connection is kept
LIFETIME: Final = 600.0  # seconds a connection is used before a fresh one takes its place
START: Final = 5  # connections to begin with, before the hop has shown what it takes


class TlsPolicy(StrEnum):
    """How much encryption a hop must offer."""

    VERIFIED = "verified"  # TLS with a certificate good for the host's name
    REQUIRED = "required"  # TLS, whatever the certificate
    OPPORTUNISTIC = "opportunistic"  # TLS where it is offered (RFC 7435)
    NONE = "none"  # never: for this machine's own network


@dataclass(frozen=True, slots=True)
class Target:
    """One server of a hop. Lower ``priority`` first; ``weight`` among equals (as RFC 2782)."""

    host: str
    port: int
    priority: int = 0
    weight: int = 1
    address: str = ""  # that one of the host's, where it is meant


@dataclass(frozen=True, slots=True)
class Hop:
    """One next hop."""

    name: str
    targets: tuple[Target, ...] = ()  # () where the recipient's MX decides
    security: Security = Security.STARTTLS
    tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC
    ca_file: str | None = None
    user: str = ""
    secret: Secret | None = field(default=None, repr=False)
    lmtp: bool = False
    pool: int = POOL
    reuse: int = REUSE
    idle: float = IDLE
    lifetime: float = LIFETIME
    interval: float = 0.0  # seconds at least between two messages: pacing
    ehlo: str = ""
    source: str | None = None  # the address to connect from
    binary: bool = False  # undo base64 where the server takes BINARYMIME or 8BITMIME
    fallback: str = ""  # the hop that stands in while nobody here can be reached or takes us


def with_fallbacks(hops: Mapping[str, Hop], names: Iterable[str]) -> set[str]:
    """The names of these hops ("" is none), and of those that stand in for them."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name and name not in found:
            found.add(name)
            left.append(hops[name].fallback)
    return found


class Action(StrEnum):
    """What is done with a recipient of a letter."""

    DELIVER = "deliver"  # to a hop
    DISCARD = "discard"  # drop it, and say so in an event
    HOLD = "hold"  # keep it until a person decides


@dataclass(frozen=True, slots=True)
class Choice:
    """What the routes say of one recipient, and why."""

    action: Action
    hop: str = ""  # Hop.name, where it is delivered
    rule: str = ""  # the name of the rule that decided; "" is the default
