"""Where a message for a hop may be handed in, in the order to try. RFC 5321 section 5.1, RFC 2782.

Enters: a hop, the recipient's domain, a resolver, a source of chance. Leaves: ``Place``s, best
first. Called by ``connect``. Fails with Refused at stage DNS where mail can never go there (no such
domain, null MX, nowhere to go, only ourselves), with NetworkFailure where DNS gave no answer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import chain, groupby, zip_longest
from typing import Final

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.resolver import Resolver, answer
from posthouse.net.smtp_open import Refused
from posthouse.protocol import mx
from posthouse.protocol.dns import Answer, AnswerStatus
from posthouse.protocol.host import HostError, parse_ip, to_ascii
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.hop import Hop, Target

MX_PORT: Final = 25
ADDRESSES_LIMIT: Final = 4  # of one server
PLACES_LIMIT: Final = 10  # tried for one connection; a domain that names more gains nothing
OTHER: Final = 1.0  # seconds for the addresses of one family once the other's are known
LOOK: Final = 2.0  # seconds to find out whether an exchanger is ourselves


End = tuple[str, int]  # a server's host and port


@dataclass(frozen=True, slots=True)
class Place:
    """One server to try."""

    host: str
    port: int
    direct: bool = False  # the recipient's, not a server of our choice
    implied: bool = False  # the domain itself, which names no MX
    preference: int = 0  # of the MX
    spare: bool = False  # others come first
    address: str = ""  # the one to try first

    @property
    def end(self) -> End:
        """What tells servers apart."""
        return self.host, self.port


@dataclass(frozen=True, slots=True)
class Ourselves:
    """How this relay is known, so that a domain whose MX it is makes no loop.

    ``loopback``: an MX that leads to this machine's inside is a loop or an attack on it.
    """

    names: frozenset[str] = frozenset()  # lower case
    addresses: frozenset[str] = frozenset()  # where we listen, ``plain``
    loopback: bool = True
    local: Callable[[str], bool] = lambda _address: False  # where we listen on all of the machine

    def has(self, address: str) -> bool:
        """Whether an address is ours, or leads to this machine's inside, or to no mail server."""
        return self._is_inside(address) or self.listens(address) or is_nobodys(address)

    def listens(self, address: str) -> bool:
        """Whether we are meant by it: its own inside every machine has."""
        if plain(address) in self.addresses:
            return True
        return not self._is_inside(address) and self.local(plain(address))

    def _is_inside(self, address: str) -> bool:
        ip = ip_address(plain(address))
        return self.loopback and (ip.is_loopback or ip.is_unspecified)


def is_nobodys(address: str) -> bool:
    """Whether no mail server of the internet can be there: only what stands on our own link (where
    clouds keep their machines' secrets), many at once, or nothing (RFC 6890). Networks of one's own
    (RFC 1918, RFC 4193) are not among them: mail within a company goes there.
    """
    ip = ip_address(plain(address))
    return ip.is_link_local or ip.is_multicast or (ip.version == 4 and ip.is_reserved)


def plain(address: str) -> str:
    """An address in its shortest form; IPv4 within IPv6 is IPv4 (RFC 4291 section 2.5.5.2)."""
    ip = ip_address(address)
    return str((ip.version == 6 and ip.ipv4_mapped) or ip)


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
        best = ordered[0].priority
        made = [Place(one.host, one.port, spare=one.priority > best) for one in ordered]
        return made[:PLACES_LIMIT]
    found = (await exchangers(domain, resolver, rng, port))[:PLACES_LIMIT]
    return await _before_us(found, domain, resolver, us)


def before_others(first: Target, found: list[Place]) -> list[Place]:
    """With this one, and this address of it, in front; but not of a better preference."""
    for place in found:
        if place.end == (first.host, first.port):
            if place.preference > found[0].preference:
                break
            others = [one for one in found if one != place]
            return [replace(place, address=first.address), *others]
    return found


async def _before_us(
    found: Sequence[Place], domain: str, resolver: Resolver, us: Ourselves
) -> list[Place]:
    """RFC 5321 section 5.1: where we stand in the list, by name or address, only those before us
    may be tried; nor who has no address but of this machine's inside, or of nobody."""
    looks = await asyncio.gather(*(_look(place.host, resolver) for place in found))
    told = list(zip(found, looks, strict=True))
    ours = [
        place.preference
        for place, its in told
        if any(map(us.listens, its)) or (place.host in us.names and not place.implied)
    ]
    left = [
        place
        for place, its in told
        if not (its and all(map(us.has, its))) and not (ours and place.preference >= min(ours))
    ]
    if not left:
        seen = [address for _, its in told for address in its]
        raise loops(domain) if ours or not all(map(is_nobodys, seen)) else nowhere(domain, seen[0])
    return left


async def _look(host: str, resolver: Resolver) -> list[str]:
    """A host's addresses; none where DNS does not tell them in time, for then it isn't reached."""
    literal = parse_ip(host)
    if literal is not None:
        return [literal]
    try:
        async with asyncio.timeout(LOOK):
            return usable(await addresses(host, resolver))
    except TimeoutError:
        return []


async def addresses(host: str, resolver: Resolver) -> list[Answer]:
    """What DNS says of a host: AAAA, A. Some servers leave questions for AAAA without an answer
    (RFC 4074 section 4.1), so where one family is known, the other is not waited for to the end."""
    asked = {type_: asyncio.ensure_future(resolver.ask(host, type_)) for type_ in ("AAAA", "A")}
    try:
        done, _ = await asyncio.wait(asked.values(), return_when=asyncio.FIRST_COMPLETED)
        known = any(one.result().records for one in done)
        await asyncio.wait(asked.values(), timeout=OTHER if known else None)
        return [
            one.result() if one.done() else Answer(host, type_, AnswerStatus.TIMEOUT)
            for type_, one in asked.items()
        ]
    finally:
        for one in asked.values():
            one.cancel()


def usable(answers: Iterable[Answer], turn: int = 0) -> list[str]:
    """The addresses of both families in turn; of each the one that has the ``turn`` first.

    A resolver changes their order from answer to answer, to spread the load (RFC 1794). An answer
    that is remembered has one order, and all mail would go to one server for as long.
    """
    families = []
    for told in answers:
        family = sorted(one for one in told.records if parse_ip(one) is not None)
        first = turn % len(family) if family else 0
        families.append(family[first:] + family[:first])
    mixed = chain.from_iterable(zip_longest(*families))
    return [address for address in mixed if address is not None]


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


_UNANSWERED: Final = {
    AnswerStatus.TIMEOUT: Failure.DNS_TIMEOUT,
    AnswerStatus.EXHAUSTED: Failure.EXHAUSTED,
}


async def exchangers(domain: str, resolver: Resolver, rng: random.Random, port: int) -> list[Place]:
    """The servers that take a domain's mail: itself, for want of any."""
    if domain.startswith("["):  # RFC 5321 section 4.1.3: an address literal is its own server
        literal = parse_ip(domain.strip("[]").removeprefix("ipv6:").removeprefix("IPv6:"))
        if literal is None:
            raise never(501, "5.1.3", f"{domain[:100]} is no address literal")
        return [Place(literal, port, direct=True)]
    found = await answer(mx.lookup(domain), resolver)
    if found.null:  # RFC 7505 section 4.1
        raise never(556, "5.1.10", f"{domain} does not accept mail (null MX)")
    if found.status is AnswerStatus.NXDOMAIN:
        raise never(550, "5.1.2", f"The domain {domain} does not exist")
    if found.status not in (AnswerStatus.OK, AnswerStatus.NODATA):
        kind = _UNANSWERED.get(found.status, Failure.DNS_FAILED)
        raise NetworkFailure(kind, Stage.DNS, host=domain, status=str(found.status))
    if not found.records:  # RFC 5321 section 5.1: the implicit MX
        return [Place(found.domain, port, direct=True, implied=True)]
    return _by_preference(found, rng, port)


def _by_preference(found: mx.Exchanges, rng: random.Random, port: int) -> list[Place]:
    records = [record for record in found.records if _is_name(record.host)]
    if not records:  # RFC 5321 section 5.1: an address where a name belongs, or worse
        said = ", ".join(record.host for record in found.records)[:100]
        raise never(550, "5.4.4", f"The MX of {found.domain} is no host name: {said}")
    hosts: dict[str, int] = {}  # and its best preference
    for preference, group in groupby(records, lambda record: record.preference):
        equal = [record.host for record in group]
        rng.shuffle(equal)  # section 5.1: to spread the load
        for host in equal:
            hosts.setdefault(host, preference)
    best = min(hosts.values())
    return [
        Place(host, port, direct=True, preference=number, spare=number > best)
        for host, number in hosts.items()
    ]


def _is_name(host: str) -> bool:
    """Whether it can be looked up."""
    try:
        return bool(to_ascii(host, underscores=True))
    except HostError:
        return False


def never(code: int, enhanced: str, text: str) -> Refused:
    """What DNS says for good, in the form of a reply."""
    return Refused(Stage.DNS, Reply.make(code, text, enhanced), heard=False)


def loops(domain: str) -> Refused:
    """The domain's mail would come back to us: RFC 5321 section 6.3."""
    return never(554, "5.4.6", f"Mail for {domain} loops back to this relay")


def nowhere(domain: str, address: str) -> Refused:
    """Its servers have no address but such as ``is_nobodys``."""
    return never(550, "5.4.4", f"The mail servers of {domain} have no public address: {address}")


def no_server(domain: str) -> Refused:
    """A domain that exists, without MX and without an address."""
    return never(550, "5.1.2", f"The domain {domain} has no mail server")


def takes_none(domain: str, host: str, reply: Reply) -> Refused:
    """A domain each of whose servers says 521 (RFC 7504 section 4)."""
    return never(556, "5.3.2", f"{domain} does not accept mail: {host} says {reply}")
