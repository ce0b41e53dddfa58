"""The DNS tree walk: which record applies, and whose name this is. RFC 9989 section 4.10.

Enters: a domain, and the answers to TXT questions at _dmarc names above it. Leaves: ``Discovery``
and organizational domains. ``Walker`` asks each name once, whatever is asked of it; ``evaluate``
owns one for each message. Nothing fails: what DNS did is in the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from posthouse.protocol.dmarc.parse import is_record, parse
from posthouse.protocol.dmarc.record import Psd, Record, RecordError
from posthouse.protocol.dmarc.result import Discovery, Found, Note
from posthouse.protocol.dns import AnswerStatus, Ask, Query
from posthouse.protocol.host import HostError, to_ascii

QUERIES: Final = 8  # of one walk: the name itself, and seven labels at most of what is above
SHORTENED: Final = 7  # labels
MAX_NAME: Final = 253


class Walker:
    """The walks of one message: each name is asked once. ``notes`` is the trace as it grows."""

    def __init__(self) -> None:
        self._found: dict[str, Found] = {}
        self.notes: list[Note] = []

    def note(self, id_: str, /, **params: Any) -> None:
        """One more step."""
        self.notes.append(Note(id_, params))

    @property
    def asked(self) -> tuple[Found, ...]:
        """All names asked, in order."""
        return tuple(self._found.values())

    def at(self, domain: str) -> Query[Found]:
        """The record at _dmarc.<domain>, asked once."""
        known = self._found.get(domain)
        if known is None:
            known = yield from self._ask(domain)
            self._found[domain] = known
        return known

    def _ask(self, domain: str) -> Query[Found]:
        name = f"_dmarc.{domain}"
        if len(name) > MAX_NAME:
            return Found(domain)
        answer = yield Ask(name, "TXT")
        if answer.failed:
            self.note("dns_failed", name=name, type="TXT", status=answer.status.value)
            return Found(domain, None, "dns")
        records = [text for text in answer.records if is_record(text)]
        if foreign := len(answer.records) - len(records):
            self.note("record_foreign", name=name, count=foreign)
        if len(records) > 1:  # section 4.10 steps 2 and 6: all are discarded
            self.note("record_several", name=name, count=len(records))
            return Found(domain, None, "several")
        return self._read(domain, name, records)

    def _read(self, domain: str, name: str, records: Sequence[str]) -> Found:
        try:
            record = parse(records[0]) if records else None
        except RecordError:
            record = None
        if record is None:
            self.note("record_none", name=name)
            return Found(domain)
        self.note("record_found", name=name, record=record.text)
        return Found(domain, record)

    def walk(self, domain: str) -> Query[tuple[Found, ...]]:
        """All names from ``domain`` up, until one says psd=n or psd=y. Section 4.10."""
        found: list[Found] = []
        for target in targets(domain):
            if len(found) == 1 and domain.count(".") > SHORTENED:
                self.note("shortened", name=domain, labels=SHORTENED)
            here = yield from self.at(target)
            found.append(here)
            if here.record is not None and here.record.policy.psd is not Psd.UNKNOWN:
                self.note("stop_psd", name=target, psd=here.record.policy.psd.value)
                break
        return tuple(found)

    def organizational(self, domain: str) -> Query[str | None]:
        """The organizational domain; None where DNS failed on the way. Section 4.10.2."""
        found = yield from self.walk(domain)
        if any(one.problem == "dns" for one in found):
            return None
        chosen = organizational(domain, found)
        self.note("organizational", name=domain, organizational=chosen)
        return chosen

    def discover(self, author: str) -> Query[Discovery]:
        """The record for mail from ``author``. Section 4.10.1: its own, its organizational
        domain's, its public suffix's, in this order.
        """
        own = yield from self.at(author)
        if own.record is not None:
            return self._chosen(author, own, "")
        if own.problem == "dns":
            return self._none(author, "dns_failed", failed=True)
        found = yield from self.walk(author)
        if any(one.problem == "dns" for one in found):
            return self._none(author, "dns_failed", failed=True)
        owner = organizational(author, found)
        self.note("organizational", name=author, organizational=owner)
        with_record = {one.domain: one for one in found if one.record is not None}
        chosen = with_record.get(owner) or next(
            (one for one in found if one.record is not None and _is_suffix(one.record)), None
        )
        if chosen is None:
            self.note("no_policy", name=author)
            return self._none(author, "no_policy", organizational=owner)
        return self._chosen(author, chosen, owner)

    def _chosen(self, author: str, found: Found, owner: str) -> Discovery:
        record = found.record
        problem = usable(self, found) if record is not None else ""
        return Discovery(author, found.domain, record, owner, problem=problem, asked=self.asked)

    def _none(
        self, author: str, problem: str, *, failed: bool = False, organizational: str = ""
    ) -> Discovery:
        return Discovery(
            author,
            organizational=organizational,
            failed=failed,
            problem=problem,
            asked=self.asked,
        )


def usable(walker: Walker, found: Found) -> str:
    """The note on a record without a policy to act on; "" where it has one. Section 4.10.1."""
    record = found.record
    if record is None or (record.policy.p is not None and not record.broken):
        return ""
    if record.effective is not None:
        walker.note("record_monitoring", name=found.domain)
        return ""
    if record.broken:
        walker.note("record_unusable", name=found.domain, tags=" ".join(sorted(record.broken)))
        return "record_unusable"
    walker.note("record_without_policy", name=found.domain)
    return "record_without_policy"


def _is_suffix(record: Record) -> bool:
    return record.policy.psd is Psd.YES


def targets(domain: str) -> list[str]:
    """The names of a walk: the domain, and its parents. Section 4.10 steps 3, 4 and 7.

    A name of eight labels or more is cut to seven after itself, so eight names are the most.
    """
    labels = domain.split(".")
    parents = labels[max(1, len(labels) - SHORTENED) :]
    return [domain, *(".".join(parents[start:]) for start in range(len(parents)))]


def organizational(domain: str, found: Sequence[Found]) -> str:
    """The organizational domain, from a walk that began at ``domain``. Section 4.10.2."""
    with_record = [one for one in found if one.record is not None]
    for one in with_record:  # from the longest name to the shortest
        psd = one.record.policy.psd if one.record is not None else Psd.UNKNOWN
        if psd is Psd.NO:
            return one.domain
        if psd is Psd.YES and one.domain != domain:
            return below(domain, one.domain)
    return with_record[-1].domain if with_record else domain


def below(domain: str, ancestor: str) -> str:
    """The name one label below ``ancestor`` on the way to ``domain``."""
    label = domain.removesuffix("." + ancestor).rpartition(".")[2]
    return f"{label}.{ancestor}"


def is_within(domain: str, ancestor: str) -> bool:
    """``domain`` is ``ancestor`` or below it."""
    return domain == ancestor or domain.endswith("." + ancestor)


def normal(name: str) -> str:
    """A domain in lower case and A-labels (section 5.3.1), "" where it is none."""
    name = name.strip().rstrip(".")
    try:
        return to_ascii(name)
    except HostError:
        pass
    # d= and MAIL FROM may hold underscores, which are no host names but are domain names
    plain = name.lower()
    fine = plain.isascii() and plain.isprintable() and len(plain) <= MAX_NAME
    labels = plain.split(".")
    return plain if fine and " " not in plain and all(0 < len(one) <= 63 for one in labels) else ""


def exists(domain: str, walker: Walker) -> Query[bool | None]:
    """Whether there is such a name, in the sense of RFC 8020 (section 3.2): only NXDOMAIN says no,
    whatever the type asked for. None where DNS failed.
    """
    answer = yield Ask(domain, "A")
    if answer.failed:
        walker.note("dns_failed", name=domain, type="A", status=answer.status.value)
        return None
    there = answer.status is not AnswerStatus.NXDOMAIN
    walker.note("exists" if there else "exists_not", name=domain)
    return there
