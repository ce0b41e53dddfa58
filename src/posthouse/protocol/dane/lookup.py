"""Which TLSA records count for a mail server, and whether DNSSEC proves them. RFC 7672 section 2.

Enters: a domain or a mail server, and answers to the questions. Leaves: ``Mx`` and ``HostTlsa``.
One server takes three to six questions; servers may be asked about at the same time. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from posthouse.protocol.dane.chain import Judged, Outcome, judge
from posthouse.protocol.dane.tlsa import Tlsa, TlsaError, parse_all
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

SMTP: Final = 25
_OK: Final = AnswerStatus.OK


@dataclass(frozen=True, slots=True)
class Mx:
    """The mail servers of a domain, best first. ``secure``: DNSSEC proved them (or that there are
    none, and the domain's own address is meant)."""

    domain: str
    status: AnswerStatus
    hosts: tuple[str, ...] = ()
    secure: bool = False


@dataclass(frozen=True, slots=True)
class HostTlsa:
    """What is published for one mail server.

    ``outcome`` is set where it is known without a certificate; None: ``judged_by`` needs a chain.
    ``base`` is the name that stands before "_25._tcp": the server's, or the one its alias leads to.
    """

    host: str
    base: str = ""
    names: tuple[str, ...] = ()  # where TLSA records were looked for
    outcome: Outcome | None = None
    why: str = ""  # for INSECURE: "mx", "address", "tlsa"; for TEMPERROR the question that failed
    records: tuple[Tlsa, ...] = ()
    errors: tuple[TlsaError, ...] = ()
    texts: tuple[str, ...] = field(default=())  # as published, also where nothing counts

    def judged_by(
        self, chain: Sequence[bytes], domain: str = "", at: datetime | None = None
    ) -> Judged:
        """Whether a chain fits. ``domain``: whose mail it is (section 3.2.2)."""
        if self.outcome is not None:
            return Judged(self.outcome)
        names = tuple(dict.fromkeys(name for name in (self.base, self.host, domain) if name))
        return judge(self.records, chain, names, at)


def tlsa_name(host: str, port: int = SMTP) -> str:
    """Where the records of a server stand. RFC 6698 section 3."""
    return f"_{port}._tcp.{host}"


def mail_hosts(domain: str) -> Query[Mx]:
    """The mail servers of ``domain`` (A-labels). A null MX leaves none."""
    answer = yield Ask(domain, "MX")
    if answer.status is AnswerStatus.NODATA:  # RFC 5321 section 5.1: the domain's own address
        return Mx(domain, answer.status, (domain,), answer.authenticated)
    rows = sorted({row for row in map(_mx, answer.records) if row is not None})
    hosts = tuple(dict.fromkeys(host for _, host in rows))
    return Mx(domain, answer.status, hosts, answer.authenticated)


def _mx(record: str) -> tuple[int, str] | None:
    preference, _, host = record.partition(" ")
    name = host.strip().removesuffix(".").lower()
    if not name or not (preference.isascii() and preference.isdigit()):
        return None
    return int(preference[:10]), name


def lookup(host: str, *, mx_secure: bool = True, port: int = SMTP) -> Query[HostTlsa]:
    """The records of one mail server. ``mx_secure``: the way to its name was proven (section
    2.2.1); where it was not, records are read all the same, to be shown, and count for nothing."""
    name = host.lower().removesuffix(".")
    bases, problem = yield from _bases(name)
    if problem is not None:
        return problem
    asked: list[str] = []
    answer = None
    for base in bases:
        asked.append(tlsa_name(base, port))
        answer = yield Ask(asked[-1], "TLSA")
        if answer.failed:  # section 2.1.1: it may be what an attacker hides
            return HostTlsa(name, base, tuple(asked), Outcome.TEMPERROR, asked[-1])
        if answer.records:
            break
    return _found(name, bases[len(asked) - 1] if asked else name, asked, answer, mx_secure)


def _found(
    host: str, base: str, asked: list[str], answer: Answer | None, mx_secure: bool
) -> HostTlsa:
    texts = answer.records if answer is not None else ()
    records, errors = parse_all(texts)
    outcome, why = None, ""
    if answer is None:  # the address is not signed, so nobody asks
        outcome, why = Outcome.INSECURE, "address"
    elif not mx_secure:
        outcome, why = Outcome.INSECURE, "mx"
    elif not answer.authenticated:
        outcome, why = Outcome.INSECURE, "tlsa"
    elif not texts:
        outcome = Outcome.NO_TLSA
    elif not any(record.usable for record in records):
        outcome = Outcome.UNUSABLE
    return HostTlsa(host, base, tuple(asked), outcome, why, records, errors, texts)


def _bases(host: str) -> Generator[Ask, Answer, tuple[list[str], HostTlsa | None]]:
    """The names before "_25._tcp", in the order they are tried. Sections 2.1.3, 2.2.2 and 2.2.3."""
    answers = []
    for type_ in ("A", "AAAA"):
        answer = yield Ask(host, type_)
        answers.append(answer)
    told = next((answer for answer in answers if answer.status is _OK), answers[0])
    if told.failed or (told.status is not _OK and answers[1].failed):
        return [], HostTlsa(host, host, (), Outcome.TEMPERROR, host)
    alias = told.canonical.lower().removesuffix(".")
    if told.authenticated:  # all of the way: first where the alias leads, then the name itself
        return ([alias, host] if alias and alias != host else [host]), None
    if not alias or alias == host:
        return [], None
    # The alias leads out of what is signed; its own name may be signed all the same.
    own = yield Ask(host, "CNAME")
    return ([host] if own.authenticated and not own.failed else []), None
