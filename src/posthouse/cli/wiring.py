"""Put the real network together for one command, as its options ask.

Enters: a Session. Leaves: the resolver, dialer, HTTP and clock that ``setup`` is given. Imported
only by commands that use the network.
"""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.cli.options import Session
from posthouse.net.clock import Clock, SystemClock
from posthouse.net.dial import Dialer, NetDialer
from posthouse.net.http import Http, NetHttp
from posthouse.net.resolver import DnsResolver, Resolver


@dataclass(frozen=True, slots=True)
class Network:
    """The ways to the outside."""

    resolver: Resolver
    dialer: Dialer
    http: Http
    clock: Clock


def network(session: Session) -> Network:
    """The real thing."""
    clock = SystemClock()
    resolver = DnsResolver(session.resolver, clock=clock)
    dialer = NetDialer(resolver)
    return Network(resolver, dialer, NetHttp(dialer, ca_file=session.ca_file), clock)
