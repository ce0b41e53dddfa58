"""DNS questions and answers as facts, and algorithms that ask them without a resolver.

Enters: nothing but values. Leaves: ``Ask`` and ``Answer``, and ``Query``: a generator that yields
an ``Ask`` and is sent an ``Answer``, so that the same code runs live (``net.resolver.answer``),
from a table (``run``) or one step after the other. SPF, DKIM, DMARC, MTA-STS and DANE are such
generators. Nothing here fails; what DNS did is in the answer's status.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class AnswerStatus(StrEnum):
    """How a question came out."""

    OK = "ok"
    NXDOMAIN = "nxdomain"  # no such name
    NODATA = "nodata"  # the name exists, not with this type
    SERVFAIL = "servfail"  # also: bogus DNSSEC, a malformed answer
    TIMEOUT = "timeout"
    REFUSED = "refused"
    EXHAUSTED = "exhausted"  # this machine has no room for one more socket to ask by


@dataclass(frozen=True, slots=True)
class Ask:
    """One question."""

    name: str  # without a dot at the end
    type: str  # "TXT", "MX", "A"...


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one question.

    ``records`` are in presentation form ("10 mx.example.org."); a TXT record is its strings joined,
    without quotes. ``server`` is who answered or, in a failure, who failed ("" if nobody was
    asked). ``authenticated`` is the resolver's word that DNSSEC proved it (AD flag).
    """

    name: str
    type: str
    status: AnswerStatus
    records: tuple[str, ...] = ()
    ttl: int = 0
    authenticated: bool = False
    server: str = ""
    canonical: str = ""  # the name the records belong to, where a CNAME led elsewhere
    offline: bool = False  # this machine has no route to any of its resolvers

    @property
    def failed(self) -> bool:
        """DNS did not say yes or no: whoever asked must treat it as temporary."""
        return self.status not in (AnswerStatus.OK, AnswerStatus.NXDOMAIN, AnswerStatus.NODATA)


Query = Generator[Ask, Answer, T]


def run(query: Query[T], lookup: Callable[[Ask], Answer]) -> T:
    """The result of ``query``, its questions answered by ``lookup``."""
    try:
        ask = next(query)
        while True:
            ask = query.send(lookup(ask))
    except StopIteration as end:
        result: T = end.value
        return result
