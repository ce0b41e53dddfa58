"""What DNS and the directory know about the names in play, asked only after something failed.

Enters: where the way stopped. Leaves: ``Names`` for the verdict: the host that was meant, the
servers the domain publishes, its MX, certificate names that lead to the same machine, the record a
domain lacks. Questions go out together; each is bounded by the resolver. Never fails: what cannot
be learned stays empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Final

from posthouse import directory
from posthouse.flow import Endpoint, Failure, Security
from posthouse.net.resolver import Answer, AnswerStatus, Resolver
from posthouse.net.tls import Problem, TlsSession, a_label
from posthouse.setup.probe.facts import NO_DOMAIN, NULL_MX, Delivery, Names, Stop
from posthouse.setup.probe.verdict.rule import address_in, is_ip

SAN_LIMIT: Final = 8  # names of a certificate that are looked up
MX_LIMIT: Final = 10
# RFC 8314 section 5.1: _submissions is implicit TLS, and comes before _submission.
SERVICES: Final = (("_submissions._tcp.", Security.TLS), ("_submission._tcp.", Security.STARTTLS))


async def look_up(
    resolver: Resolver,
    known: Names,
    *,
    host: str,
    stop: Stop,
    tls: TlsSession | None,
    delivery: Delivery,
) -> Names:
    """``known`` with everything that helps to explain this stop."""
    domain = known.domain
    about = domain or ("" if is_ip(host) else host)
    incoming, by_srv = await asyncio.gather(
        _incoming(resolver, about, host), _published(resolver, about)
    )
    published = tuple(dict.fromkeys([*by_srv, *_listed(about, incoming)]))
    names = replace(known, incoming=incoming, published=published)
    if stop.failure is Failure.NAME_NOT_FOUND:
        names = replace(names, suggestion=directory.suggest_host(host, domain=domain) or "")
    if stop.failure is Failure.CERTIFICATE and tls is not None:
        names = replace(names, same_address=await _same_machine(resolver, tls, known.addresses))
    if stop.code is not None:
        names = replace(names, **await _about_reply(resolver, stop, delivery))
    return names


async def _incoming(resolver: Resolver, domain: str, host: str) -> tuple[str, ...]:
    """MX hosts of the address's domain; without an address, of the host and its parent."""
    if not domain:
        return ()
    parent = host.partition(".")[2]
    asked = [domain] if domain != host or "." not in parent else [domain, parent]
    answers = await asyncio.gather(*(resolver.ask(d, "MX") for d in asked))
    return tuple(dict.fromkeys(h for a in answers for h in _mx_hosts(a)))[:MX_LIMIT]


def _mx_hosts(answer: Answer) -> list[str]:
    found = []
    for record in answer.records:
        preference, _, host = record.partition(" ")
        if preference.isdigit() and host.strip(". "):
            found.append((int(preference), a_label(host.strip().rstrip("."))))
    return [host for _, host in sorted(found)]


async def _published(resolver: Resolver, domain: str) -> list[Endpoint]:
    """Submission servers by SRV (RFC 6186), the lower priority first; "." means none."""
    if not domain:
        return []
    answers = await asyncio.gather(*(resolver.ask(s + domain, "SRV") for s, _ in SERVICES))
    found = []
    for answer, (_, security) in zip(answers, SERVICES, strict=True):
        rows = []
        for record in answer.records:
            parts = record.split()
            if len(parts) == 4 and all(p.isdigit() for p in parts[:3]) and parts[3] != ".":
                host = a_label(parts[3].rstrip("."))
                rows.append(
                    (int(parts[0]), -int(parts[1]), Endpoint(host, int(parts[2]), security))
                )
        found += [endpoint for _, _, endpoint in sorted(rows)]
    return found


def _listed(domain: str, incoming: Iterable[str]) -> list[Endpoint]:
    """What the directory knows of the domain or of whoever takes in its mail."""
    provider = directory.by_domain(domain) if domain else None
    if provider is None:
        matches = (directory.by_mx(host) for host in incoming)
        match = next((m for m in matches if m is not None), None)
        provider = match.provider if match else None
    return [server.endpoint for server in provider.offered] if provider else []


async def _same_machine(
    resolver: Resolver, tls: TlsSession, addresses: tuple[str, ...]
) -> tuple[str, ...]:
    """Names in the certificate that lead to the address we are connected to."""
    leaf = tls.leaf
    if leaf is None or tls.problem(Problem.WRONG_NAME) is None:
        return ()
    names = [n for n in leaf.names if "*" not in n and not is_ip(n)][:SAN_LIMIT]
    found = await asyncio.gather(*(addresses_of(resolver, n) for n in names))
    ours = set(addresses)
    return tuple(n for n, theirs in zip(names, found, strict=True) if ours & set(theirs))


async def addresses_of(resolver: Resolver, host: str) -> list[str]:
    """All addresses of a name, IPv6 first; [] where there are none or DNS fails."""
    answers = await asyncio.gather(resolver.ask(host, "AAAA"), resolver.ask(host, "A"))
    return [r for a in answers for r in a.records]


async def _about_reply(resolver: Resolver, stop: Stop, delivery: Delivery) -> Mapping[str, Any]:
    """What a reply about addresses, identity or authentication makes worth knowing."""
    sender, recipient = (_domain(a) for a in (delivery.sender, delivery.recipient))
    if stop.cause == "sender.invalid" and sender:
        return {"missing_record": await _missing(resolver, sender)}
    if stop.cause in ("rcpt.domain", "rcpt.unknown") and recipient:
        meant = directory.suggest_domain(recipient) or ""
        return {"missing_record": await _missing(resolver, recipient), "domain_suggestion": meant}
    if stop.cause in ("sender.ip_identity", "sender.reputation"):
        ip = address_in(stop.text)
        return {"ip": ip, "pointer": await pointer(resolver, ip)}
    if stop.cause == "sender.auth_failed" and sender:
        ip = address_in(stop.text)
        return {"ip": ip, "record": await _spf_to_publish(resolver, sender, ip)}
    return {}


async def _missing(resolver: Resolver, domain: str) -> str:
    """What keeps a domain from having mail (RFC 5321 section 5.1, RFC 7505), or ""."""
    mx, a, aaaa = await asyncio.gather(*(resolver.ask(domain, t) for t in ("MX", "A", "AAAA")))
    if mx.status is AnswerStatus.NXDOMAIN:
        return NO_DOMAIN
    if mx.records and not _mx_hosts(mx):
        return NULL_MX
    if mx.status is AnswerStatus.NODATA and not a.records and not aaaa.records:
        return "MX"
    return ""


async def pointer(resolver: Resolver, ip: str) -> str:
    """The name of an address in reverse DNS, or ""."""
    try:
        name = ip_address(ip).reverse_pointer
    except ValueError:
        return ""
    records = (await resolver.ask(name, "PTR")).records
    return records[0].rstrip(".") if records else ""


async def _spf_to_publish(resolver: Resolver, domain: str, ip: str) -> str:
    """The domain's SPF record with ``ip`` in it, as a zone file line (RFC 7208 section 3)."""
    try:
        mechanism = f"ip{ip_address(ip).version}:{ip}"
    except ValueError:
        return ""
    answer = await resolver.ask(domain, "TXT")
    current = next((r for r in answer.records if r.lower().startswith("v=spf1")), "")
    if mechanism in current.split():
        return ""  # SPF is fine: DKIM or DMARC failed
    terms = current.split()[1:] or ["~all"]
    return f'{domain}. TXT "{" ".join(["v=spf1", mechanism, *terms])}"'


def _domain(address: str) -> str:
    return a_label(address.rpartition("@")[2])
