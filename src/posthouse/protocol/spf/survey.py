"""Everything a published SPF record leads to: lookups, address ranges, what is wrong on the way.

Enters: a domain, and answers to the questions it yields. Leaves: ``Survey``. Unlike a check it
follows every term, for no client in particular, so that it counts what the unluckiest client
would cost. Whether one address is covered is ``check_host``'s to say: a range listed here may be
excluded by a term before it. Called by the audit of a domain. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Final

from posthouse.flow import Finding, Status
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, Query
from posthouse.protocol.spf import names
from posthouse.protocol.spf.lint import finding, lint, syntax
from posthouse.protocol.spf.macro import expand
from posthouse.protocol.spf.model import DEFAULT_LIMITS, Limits
from posthouse.protocol.spf.parse import is_record, parse
from posthouse.protocol.spf.record import (
    MacroString,
    Mechanism,
    Modifier,
    Network,
    Record,
    RecordError,
)

# A record within the limits needs at most some 220 (ten mx of ten hosts, two families).
QUESTIONS: Final = 250
# Characters of all records together: eleven of the longest that are parsed, which is more than ten
# lookups can reach. Records made to cost time have includes of includes without end.
TEXT: Final = 200_000
NEAR: Final = 2  # this close to the limit, a provider that adds one include breaks the record

_OK: Final = AnswerStatus.OK
_EVERYTHING: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one term of the record stands for.

    ``complete``: these ranges are all of it, and nothing more, as DNS is now.
    """

    term: str
    qualifier: str
    networks: tuple[Network, ...]
    complete: bool
    lookups: int  # it costs, with all below it


@dataclass(frozen=True, slots=True)
class Survey:
    """The whole of a domain's SPF. ``record`` is None where there is none that can be read."""

    domain: str
    text: str = ""
    record: Record | None = None
    lookups: int = 0
    voids: int = 0
    terms: tuple[Coverage, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def ranges(self) -> tuple[Network, ...]:
        """The ranges that pass, joined where they touch."""
        passing = [each for each in self.terms if each.qualifier == "+"]
        return joined(network for each in passing for network in each.networks)

    def covers(self, ip: str) -> bool:
        """Whether a range that passes has this address. Raises ValueError for what is no address.

        For a domain's own servers; what exists, ptr or a macro would let through is not listed.
        """
        address = names.client(ip)
        return any(address in network for network in self.ranges)


def joined(networks: Iterable[Network]) -> tuple[Network, ...]:
    """The same addresses in as few ranges as can be."""
    given = list(networks)
    four = [each for each in given if isinstance(each, IPv4Network)]
    six = [each for each in given if isinstance(each, IPv6Network)]
    return (*collapse_addresses(four), *collapse_addresses(six))


def survey(domain: str, *, limits: Limits = DEFAULT_LIMITS) -> Query[Survey]:
    """Follow the SPF record of ``domain`` (U-labels are fine) to its ends."""
    return _Walk(names.a_labels(domain) or domain, limits).run()


@dataclass(frozen=True, slots=True)
class _Found:
    networks: tuple[Network, ...] = ()
    complete: bool = True


_UNKNOWN: Final = _Found(complete=False)


class _Walk:
    """The owner of the counters and findings of one survey."""

    def __init__(self, domain: str, limits: Limits) -> None:
        self._owner = domain.removesuffix(".").lower()
        self._limits = limits
        self._questions = 0
        self._lookups = 0
        self._voids = 0
        self._path: list[str] = []
        self._findings: list[Finding] = []
        self._text = ""
        self._left = TEXT

    def run(self) -> Query[Survey]:
        """The survey of the domain itself."""
        record = yield from self._read(self._owner, None, self._owner)
        terms: list[Coverage] = []
        if record is not None:
            self._findings += lint(record)
            self._path.append(self._owner)
            for term in _reached(record):
                before = self._lookups
                found = yield from self._term(term, self._owner)
                sign = term.qualifier if isinstance(term, Mechanism) else "+"
                cost = self._lookups - before
                terms.append(
                    Coverage(term.text, sign, joined(found.networks), found.complete, cost)
                )
        self._sum_up()
        return Survey(
            self._owner,
            self._text,
            record,
            self._lookups,
            self._voids,
            tuple(terms),
            tuple(self._findings),
        )

    def _sum_up(self) -> None:
        count, limit = self._lookups, self._limits.lookups
        if count > limit:
            self._say("lookups", Status.FAIL, count=count, limit=limit)
        elif count > limit - NEAR:
            self._say("lookups_near", Status.WARN, count=count, limit=limit)
        if self._voids > self._limits.voids:
            self._say("voids", Status.FAIL, count=self._voids, limit=self._limits.voids)
        if self._questions > QUESTIONS:
            self._say("unfinished", Status.UNKNOWN, limit=QUESTIONS)

    def _say(self, id_: str, status: Status, /, **params: object) -> None:
        made = finding(id_, status, **params)
        if made not in self._findings:
            self._findings.append(made)

    def _ask(self, name: str, type_: str) -> Generator[Ask, Answer, Answer | None]:
        """None where DNS failed, which is a finding, or where there were too many questions."""
        self._questions += 1
        if self._questions > QUESTIONS:
            return None
        answer = yield Ask(name, type_)
        if answer.failed:
            status = answer.status.value
            self._say("dns_failed", Status.UNKNOWN, name=name, type=type_, status=status)
            return None
        return answer

    def _read(
        self, domain: str, term: str | None, owner: str
    ) -> Generator[Ask, Answer, Record | None]:
        """The record of a domain; ``term`` is the one of ``owner``'s record that led there."""
        name = names.host(domain)
        answer = (yield from self._ask(name, "TXT")) if name is not None else None
        if name is not None and answer is None:
            return None
        found = [text for text in answer.records if is_record(text)] if answer is not None else []
        if len(found) != 1:
            kind = "several" if found else "none"
            if term is not None:
                self._say(f"include_{kind}", Status.FAIL, domain=owner, term=term, name=domain)
            elif found:
                self._say("several", Status.FAIL, domain=domain, count=len(found))
            else:
                self._say("none", Status.FAIL, domain=domain)
            return None
        self._text = self._text or found[0]
        self._left -= len(found[0])
        if self._left < 0:
            self._questions = QUESTIONS + 1
            return None
        try:
            return parse(found[0])
        except RecordError as error:
            self._unreadable(domain, term, owner, error)
            return None

    def _unreadable(self, domain: str, term: str | None, owner: str, error: RecordError) -> None:
        if term is None:
            self._findings.append(syntax(domain, error))
            return
        self._say(
            "include_syntax",
            Status.FAIL,
            domain=owner,
            term=term,
            name=domain,
            reason=error.reason,
            bad=error.term,
        )

    def _term(self, term: Mechanism | Modifier, domain: str) -> Generator[Ask, Answer, _Found]:
        """What one term stands for."""
        if isinstance(term, Mechanism):
            if term.network is not None:
                return _Found((term.network,))
            if term.name == "all":
                return _Found(_EVERYTHING)
        self._lookups += 1
        if self._questions > QUESTIONS:
            return _UNKNOWN
        target = self._target(term, domain)
        if target is None or (isinstance(term, Mechanism) and term.name in ("ptr", "exists")):
            if target is None or term.name == "exists":
                self._say("dynamic", Status.OK, domain=domain, term=term.text)
            return _UNKNOWN
        if term.name in ("include", "redirect"):
            return (yield from self._follow(target, term.text, domain))
        assert isinstance(term, Mechanism)  # noqa: S101  only "redirect" is reached otherwise
        hosts = yield from self._hosts(target, term, domain)
        return (yield from self._addresses(hosts, term, domain))

    def _target(self, term: Mechanism | Modifier, domain: str) -> str | None:
        """The name, None where it depends on the client or the message."""
        source: MacroString | None
        source = term.domain if isinstance(term, Mechanism) else term.value
        if source is None:
            return domain
        if source.letters - {"d", "o"}:
            return None
        return expand(source, {"d": domain, "o": self._owner})

    def _follow(self, target: str, term: str, domain: str) -> Generator[Ask, Answer, _Found]:
        """An include or redirect: what passes there."""
        name = target.removesuffix(".").lower()
        if name in self._path:
            self._say("loop", Status.FAIL, domain=domain, term=term)
            return _UNKNOWN
        record = yield from self._read(name, term, domain)
        if record is None:
            return _UNKNOWN
        if record.all is not None and record.all.qualifier == "+":
            self._say("include_all", Status.FAIL, domain=domain, term=term, name=name)
        self._path.append(name)
        networks: list[Network] = []
        complete = True
        for each in _reached(record):
            found = yield from self._term(each, name)
            passes = isinstance(each, Modifier) or each.qualifier == "+"
            if passes:
                networks += found.networks
            # a term that keeps addresses out has no like in a list of ranges
            complete &= found.complete if passes else each.name == "all"
        self._path.pop()
        return _Found(tuple(networks), complete)

    def _hosts(
        self, target: str, term: Mechanism, domain: str
    ) -> Generator[Ask, Answer, list[str] | None]:
        """The names whose addresses count; None where that could not be found out."""
        name = names.question(target)
        if name is None or term.name == "a":
            return [name] if name is not None else []
        answer = yield from self._ask(name, "MX")
        if answer is None:
            return None
        if answer.status is not _OK:
            return []
        count, limit = len(answer.records), self._limits.mx_names
        if count > limit:
            self._say(
                "mx_many",
                Status.FAIL,
                domain=domain,
                term=term.text,
                name=name,
                count=count,
                limit=limit,
            )
            return None
        rows = [names.question(row.rpartition(" ")[2]) for row in answer.records]
        return [row for row in rows if row is not None]

    def _addresses(
        self, hosts: list[str] | None, term: Mechanism, domain: str
    ) -> Generator[Ask, Answer, _Found]:
        if hosts is None:
            return _UNKNOWN
        networks: list[Network] = []
        complete = True
        for host in hosts:
            for type_, length in (("A", term.cidr4), ("AAAA", term.cidr6)):
                answer = yield from self._ask(host, type_)
                complete &= answer is not None
                networks += _networks(answer, length)
        if complete and not networks:
            self._voids += 1
            name = str(term.domain or domain)
            self._say("name_missing", Status.WARN, domain=domain, term=term.text, name=name)
        return _Found(tuple(networks), complete)


def _reached(record: Record) -> list[Mechanism | Modifier]:
    """The terms that can decide: up to ``all``, or all of them and then redirect."""
    made: list[Mechanism | Modifier] = []
    for mechanism in record.mechanisms:
        made.append(mechanism)
        if mechanism.name == "all":
            return made
    if record.redirect is not None:
        made.append(record.redirect)
    return made


def _networks(answer: Answer | None, length: int) -> list[Network]:
    made: list[Network] = []
    for text in answer.records if answer is not None and answer.status is _OK else ():
        try:
            made.append(ip_network(f"{text}/{length}", strict=False))
        except ValueError:
            continue
    return made
