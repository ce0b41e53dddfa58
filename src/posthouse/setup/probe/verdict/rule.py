"""What a rule of the verdict is, and the helpers rules share. Pure: facts in, a hit or None out.

Enters: ``Facts`` and the ``Stop`` in them. Leaves: ``Hit``. Called by ``decide``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from posthouse.flow import Endpoint, Security, Status
from posthouse.protocol.ports import RELAY_PORT
from posthouse.setup.probe.facts import Facts, Neighbour, Relation, State, Stop

# RFC 8314 section 3.3: implicit TLS first; then what providers offer beside the two real ports.
PREFERENCE: Final = (465, 587, 2465, 2587, 2525, 994)
QUOTE_LIMIT: Final = 300  # characters of a server's words that a verdict repeats
FIRST_LIMIT: Final = 80  # characters of a foreign greeting
NAMES_LIMIT: Final = 5  # names a sentence can hold


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that fits. ``variant`` picks the words where one verdict has several wordings."""

    params: Mapping[str, Any] = field(default_factory=dict)
    suggestion: Endpoint | None = None
    variant: str = ""
    status: Status = Status.FAIL


When = Callable[[Facts, Stop], Hit | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """``cause`` overrides what explain said of the single reply or failure; None keeps it."""

    id: str
    when: When
    cause: str | None = None


def preferred(endpoints: list[Endpoint]) -> Endpoint | None:
    """The best of them for a mail client. Port 25 is for servers: never."""
    ranked = [e for e in endpoints if e.port != RELAY_PORT]
    return min(
        ranked,
        key=lambda e: (
            PREFERENCE.index(e.port) if e.port in PREFERENCE else len(PREFERENCE),
            e.security is not Security.TLS,
        ),
        default=None,
    )


def usable(facts: Facts, *relations: Relation) -> list[Neighbour]:
    """Neighbours that spoke SMTP with encryption."""
    return [n for n in facts.neighbours if n.usable and (not relations or n.relation in relations)]


def elsewhere(facts: Facts) -> Endpoint | None:
    """The best other port of the same host."""
    return preferred([n.endpoint for n in usable(facts, Relation.PORT)])


def submission(facts: Facts) -> Endpoint | None:
    """Where mail should be handed in instead: what the domain publishes, else another port."""
    here = facts.endpoint
    published = [e for e in facts.names.published if (e.host, e.port) != (here.host, here.port)]
    return published[0] if published else elsewhere(facts)


def open_ports(facts: Facts) -> list[int]:
    """Ports of the same host where something spoke SMTP."""
    ports = {
        n.endpoint.port
        for n in facts.neighbours
        if n.relation is Relation.PORT and n.state is State.OPEN and n.protocol == "smtp"
    }
    return sorted(ports)


def other_mode(facts: Facts) -> Neighbour | None:
    """The same port in the other security, if it was looked at."""
    return next((n for n in facts.neighbours if n.relation is Relation.MODE), None)


def quote(stop: Stop) -> str:
    """The server's own words, short enough for one line."""
    words = " ".join(stop.text.split())
    return words if len(words) <= QUOTE_LIMIT else words[: QUOTE_LIMIT - 1] + "…"


def first_words(stop: Stop) -> str:
    """What came instead of SMTP or TLS, as far as it can be shown."""
    told = str(stop.detail.get("text") or stop.detail.get("first") or stop.text)
    return " ".join(told.split())[:FIRST_LIMIT]


_URL = re.compile(r"https?://[^\s<>\"'\])]+")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")


def link_in(text: str) -> str:
    """The first web address in a server's words."""
    found = _URL.search(text)
    return found.group().rstrip(".,;:") if found else ""


def address_in(text: str) -> str:
    """The first IPv4 address in a server's words: usually ours, as it saw us."""
    found = _IPV4.search(text)
    return found.group() if found else ""


def some(names: tuple[str, ...] | list[str]) -> list[str]:
    """As many names as a sentence can hold."""
    return [*names[:NAMES_LIMIT], "…"] if len(names) > NAMES_LIMIT else list(names)


def is_ip(host: str) -> bool:
    """Whether the host is an address and not a name."""
    return ":" in host or bool(_IPV4.fullmatch(host))
