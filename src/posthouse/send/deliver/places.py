"""Where a message for a hop may be handed in, in the order to try. RFC 5321 section 5.1, RFC 2782.

Enters: a hop, the recipient's domain, a resolver, a source of chance. Leaves: ``Place``s, best
first. Called by ``connect``. Fails with Refused at stage DNS where mail can never go there (no such
domain, null MX, nowhere to go, only ourselves), with NetworkFailure where DNS gave no answer.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import groupby
from typing import Final

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.resolver import Resolver, answer
from posthouse.net.smtp_carry import Refused
from posthouse.protocol import mx
from posthouse.protocol.dns import AnswerStatus
from posthouse.protocol.host import parse_ip
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.hop import Hop, Target

MX_PORT: Final = 25
PLACES_LIMIT: Final = 10  # tried for one connection; a domain that names more gains nothing


@dataclass(frozen=True, slots=True)
class Place:
    """One server to try."""

    host: str
    port: int
    direct: bool = False  # the recipient's, not a server of our choice
    implied: bool = False  # the domain itself, which names no MX


@dataclass(frozen=True, slots=True)
class Ourselves:
    """How this relay is known, so that a domain whose MX it is makes no loop.

    ``loopback``: an MX that leads to this machine's inside is a loop or an attack on it.
    """

    names: frozenset[str] = frozenset()  # lower case
    addresses: frozenset[str] = frozenset()
    loopback: bool = True

    def has(self, address: str) -> bool:
        """Whether an address is ours."""
        if address in self.addresses:
            return True
        ip = ip_address(address)
        return self.loopback and (ip.is_loopback or ip.is_unspecified)


async def places(
    hop: Hop,
    domain: str,
    resolver: Resolver,
    rng: random.Random,
    us: Ourselves,
    *,
    port: int = MX_PORT,
) -> list[Place]:
    """The servers in the order to try. Raises Refused or NetworkFailure."""
    if hop.targets:
        ordered = in_order(hop.targets, rng)
        return [Place(target.host, target.port) for target in ordered][:PLACES_LIMIT]
    hosts, implied = await exchangers(domain, resolver, rng, us)
    return [Place(host, port, direct=True, implied=implied) for host in hosts[:PLACES_LIMIT]]


def in_order(targets: Iterable[Target], rng: random.Random) -> list[Target]:
    """By priority; among equals by weight, with chance (RFC 2782, "Usage rules")."""
    ordered: list[Target] = []
    for _, group in groupby(sorted(targets, key=_priority), _priority):
        # The ones of weight 0 first, so that they have a small chance beside the others.
        left = sorted(group, key=lambda target: target.weight)
        while left:
            chosen = rng.randint(0, sum(target.weight for target in left))
            for place, target in enumerate(left):
                chosen -= target.weight
                if chosen <= 0:
                    ordered.append(left.pop(place))
                    break
    return ordered


def _priority(target: Target) -> int:
    return target.priority


async def exchangers(
    domain: str, resolver: Resolver, rng: random.Random, us: Ourselves
) -> tuple[Sequence[str], bool]:
    """The hosts that take a domain's mail, and whether it is itself for want of any."""
    if domain.startswith("["):  # RFC 5321 section 4.1.3: an address literal is its own server
        literal = parse_ip(domain.strip("[]").removeprefix("ipv6:").removeprefix("IPv6:"))
        if literal is None:
            raise never(501, "5.1.3", f"{domain[:100]} is no address literal")
        return (literal,), False
    found = await answer(mx.lookup(domain), resolver)
    if found.null:  # RFC 7505 section 4.1
        raise never(556, "5.1.10", f"{domain} does not accept mail (null MX)")
    if found.status is AnswerStatus.NXDOMAIN:
        raise never(550, "5.1.2", f"The domain {domain} does not exist")
    if found.status not in (AnswerStatus.OK, AnswerStatus.NODATA):
        timed_out = found.status is AnswerStatus.TIMEOUT
        kind = Failure.DNS_TIMEOUT if timed_out else Failure.DNS_FAILED
        raise NetworkFailure(kind, Stage.DNS, host=domain, status=str(found.status))
    if not found.records:
        return (found.domain,), True  # RFC 5321 section 5.1: the implicit MX
    return _by_preference(found, rng, us), False


def _by_preference(found: mx.Exchanges, rng: random.Random, us: Ourselves) -> Sequence[str]:
    good = set(found.hosts)
    records = [record for record in found.records if record.host in good]
    if not records:
        raise NetworkFailure(Failure.NO_ADDRESS, Stage.DNS, host=found.domain)
    # RFC 5321 section 5.1: where we stand in the list, only those before us may be tried.
    ours = min((r.preference for r in records if r.host in us.names), default=None)
    if ours is not None:
        records = [record for record in records if record.preference < ours]
    if not records:
        raise loops(found.domain)
    hosts: list[str] = []
    for _, group in groupby(records, lambda record: record.preference):
        equal = [record.host for record in group]
        rng.shuffle(equal)  # section 5.1: to spread the load
        hosts += equal
    return tuple(dict.fromkeys(hosts))


def never(code: int, enhanced: str, text: str) -> Refused:
    """What DNS says for good, in the form of a reply."""
    return Refused(Stage.DNS, Reply.make(code, text, enhanced), heard=False)


def loops(domain: str) -> Refused:
    """The domain's mail would come back to us: RFC 5321 section 6.3."""
    return never(554, "5.4.6", f"Mail for {domain} loops back to this relay")


def no_server(domain: str) -> Refused:
    """A domain that exists, without MX and without an address."""
    return never(550, "5.1.2", f"The domain {domain} has no mail server")
