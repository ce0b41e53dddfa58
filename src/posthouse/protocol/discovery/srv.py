"""SRV records for mail (RFC 2782, RFC 6186, RFC 8314 section 5.1).

Enters: records in presentation form (``0 1 465 smtp.example.com.``) and a ``pick`` that stands
for chance. Leaves: SrvRecord in the order to try, or NOT_OFFERED. Called by setup.find.
Fails with DiscoveryError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.discovery.offer import (
    MAX_SERVERS,
    DiscoveryError,
    Incoming,
    Offer,
    host_field,
)

SUBMISSIONS: Final = "_submissions._tcp"  # RFC 8314 section 5.1: before the next
SUBMISSION: Final = "_submission._tcp"
SERVICES: Final = (SUBMISSIONS, SUBMISSION)
INCOMING_SERVICES: Final = ("_imaps._tcp", "_imap._tcp", "_pop3s._tcp", "_pop3._tcp")

# RFC 6186 section 3.2: without "s" the connection starts plain and must be upgraded.
_SECURITY: Final = {SUBMISSIONS: Security.TLS, SUBMISSION: Security.STARTTLS}

# RFC 2782: a target of "." says that the service is decidedly not available at this domain.
NOT_OFFERED: Final = "."


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """One record. ``target`` in normal form, or NOT_OFFERED."""

    priority: int
    weight: int
    port: int
    target: str


def name(service: str, domain: str) -> str:
    """The name to ask for; ``domain`` in A-labels."""
    return f"{service}.{domain}"


def parse(record: str) -> SrvRecord:
    """Read one record. Raises DiscoveryError ``bad_record``, ``bad_port`` or ``bad_host``."""
    fields = record.split()
    numbers = fields[:3]
    if len(fields) != 4 or not all(
        item.isascii() and item.isdigit() and len(item) <= 5 and int(item) <= 65_535
        for item in numbers
    ):
        raise DiscoveryError("bad_record", None, record)
    priority, weight, port = (int(item) for item in numbers)
    if fields[3] == ".":
        return SrvRecord(priority, weight, port, NOT_OFFERED)
    if not port:
        raise DiscoveryError("bad_port", None, record)
    return SrvRecord(priority, weight, port, host_field(fields[3]))


def parse_all(records: Iterable[str]) -> tuple[tuple[SrvRecord, ...], tuple[DiscoveryError, ...]]:
    """The readable records, and why the others are not: one bad record spoils no good one."""
    found, errors = [], []
    for record in list(records)[:MAX_SERVERS]:
        try:
            found.append(parse(record))
        except DiscoveryError as error:
            errors.append(error)
    return tuple(found), tuple(errors)


def not_offered(records: Sequence[SrvRecord]) -> bool:
    """Whether the domain says that it has no such service."""
    return bool(records) and all(record.target == NOT_OFFERED for record in records)


def order(records: Iterable[SrvRecord], pick: Callable[[int], int]) -> tuple[SrvRecord, ...]:
    """The order to try: lowest priority first, by weighted chance within it (RFC 2782).

    ``pick(n)`` gives a whole number from 0 to n - 1, as ``random.randrange`` does. Records that
    say "not offered" are left out.
    """
    usable = [record for record in records if record.target != NOT_OFFERED]
    ordered: list[SrvRecord] = []
    for priority in sorted({record.priority for record in usable}):
        group = [record for record in usable if record.priority == priority]
        group.sort(key=lambda record: record.weight != 0)  # weight 0 first, says the RFC
        while group:
            ordered.append(group.pop(_draw(group, pick)))
    return tuple(ordered)


def _draw(group: Sequence[SrvRecord], pick: Callable[[int], int]) -> int:
    """The first whose running sum of weights reaches a number drawn from 0 to their sum."""
    chosen = pick(sum(record.weight for record in group) + 1)
    running = 0
    for index, record in enumerate(group):
        running += record.weight
        if running >= chosen:
            return index
    return len(group) - 1


def offer(record: SrvRecord, service: str, address: str) -> Offer:
    """What a record of SERVICES offers. SRV knows no user name: RFC 6186 section 4 tries the
    whole address first."""
    endpoint = Endpoint(record.target, record.port, _SECURITY[service])
    return Offer(endpoint, address, (), CredentialKind.UNKNOWN)


def incoming(record: SrvRecord, service: str) -> Incoming:
    """What a record of INCOMING_SERVICES says."""
    label = service.partition(".")[0].strip("_")
    security = Security.TLS if label.endswith("s") else Security.STARTTLS
    return Incoming(label.rstrip("s"), record.target, record.port, security)
