"""The SPF record: what is live and needed, what lacks, and all of it within ten lookups. RFC 7208.

Enters: the draft (what is live), the places mail leaves from. Leaves: an entry, findings, who is
covered. Called by ``plan``. Nothing fails: where DNS does not answer, nothing is proposed, for a
record written from half the answers would lock senders out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Final

from posthouse.flow import Status
from posthouse.protocol import dmarc, spf
from posthouse.protocol.dns import Query
from posthouse.protocol.spf import edit
from posthouse.protocol.spf.survey import joined
from posthouse.setup.domain import facts
from posthouse.setup.domain.records.ask import texts
from posthouse.setup.domain.records.draft import Draft
from posthouse.setup.domain.records.inventory import Network
from posthouse.setup.domain.records.model import Cover, SpfSummary, Stage
from posthouse.setup.domain.records.services import services
from posthouse.setup.domain.records.spf_text import in_front, salvaged, same, with_end

MANY: Final = 16  # addresses of their own in one record; more are joined to ranges
NEW: Final = "v=spf1 ~all"
NOBODY: Final = "v=spf1 -all"
# To see what a record covers, whatever it costs: a record over the limit covers nobody, which the
# findings say, and not which sender lacks.
UNLIMITED: Final = replace(spf.DEFAULT_LIMITS, lookups=200, voids=200)


@dataclass(frozen=True, slots=True)
class Place:
    """One place mail leaves from."""

    network: Network
    source: str

    @property
    def text(self) -> str:
        """As people write it."""
        whole = self.network.prefixlen == self.network.max_prefixlen
        return str(self.network.network_address if whole else self.network)


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it."""

    summary: SpfSummary
    coverage: tuple[Cover, ...] = ()
    text: str = ""  # of the record as planned; "" where none is proposed


def places(draft: Draft) -> Query[tuple[Place, ...]]:
    """Every address mail leaves from."""
    given = draft.inventory
    found = [Place(one, "addresses") for one in given.addresses]
    for host in given.hosts:
        if host.sends:
            found += [Place(ip_network(one), host.name) for one in host.addresses]
    unknown = [one.name for one in given.hosts if one.sends and not one.addresses]
    for name in dict.fromkeys((*given.send_hosts, *unknown)):
        found += yield from _resolved(draft, name)
    unique = {one.network: one for one in reversed(found)}
    return tuple(reversed(unique.values()))


def _resolved(draft: Draft, name: str) -> Query[list[Place]]:
    made: list[Place] = []
    status = ""
    for type_ in ("A", "AAAA"):
        answer = yield from draft.ask(name, type_)
        made += [Place(ip_network(one), name) for one in answer.records]
        status = status or answer.status.value
    if not made:
        draft.say("egress_unresolved", Status.UNKNOWN, host=name, status=status)
    return made


def plan_spf(draft: Draft, evidence: dmarc.Evidence | None) -> Query[Made]:
    """The record of the domain."""
    answer = yield from draft.ask(draft.domain, "TXT")
    senders = yield from places(draft)
    if answer.failed:
        unsure = tuple(Cover(one.text, one.source, None, None) for one in senders)
        return Made(SpfSummary(), unsure)
    live = [text for text in answer.records if spf.is_record(text)]
    work = _Work(draft, senders, live)
    made = yield from work.run(evidence)
    if made.text:
        wanted = draft.record(draft.domain, "TXT", made.text)
        yield from draft.only(
            "spf",
            wanted,
            answer,
            spf.is_record,
            why="spf" if draft.inventory.sends else "spf_nobody",
            stage=Stage.SENDERS,
            same=same,
        )
    return made


class _Work:
    """One SPF record on its way from what is live to what shall be."""

    def __init__(self, draft: Draft, senders: Sequence[Place], live: Sequence[str]) -> None:
        self._draft = draft
        self._given = draft.inventory
        self._senders = senders
        self._live = live
        self._known = [services()[one.id] for one in self._given.services]

    def run(self, evidence: dmarc.Evidence | None) -> Query[Made]:
        first = self._live[0] if len(self._live) == 1 else ""
        now = (yield from self._survey(first)) if first else None
        before = yield from self._covered(first)
        if not self._given.sends:
            summary = SpfSummary(now.lookups if now else None, 0)
            return Made(summary, self._coverage(before, before), NOBODY)
        text = self._base()
        text = self._renamed(self._without(self._closed(text), self._given.spf.remove))
        text = self._alive(text, (yield from self._survey(text)))
        for service in self._known:
            text = yield from self._include(text, service.spf, service.shows)
        text = yield from self._addresses(text)
        text = self._ended(text, evidence)
        text, survey = yield from self._fitting(text)
        self._unclaimed(text)
        after = yield from self._covered(text)
        costs = tuple((one.term, one.lookups) for one in survey.terms if one.lookups)
        summary = SpfSummary(now.lookups if now else None, survey.lookups, costs=costs)
        over = survey.lookups > spf.DEFAULT_LIMITS.lookups
        unsure = any(one.status is Status.UNKNOWN for one in survey.findings)
        if unsure:
            for one in survey.findings:
                if one.status is Status.UNKNOWN:
                    self._draft.say("live_failed", Status.UNKNOWN, **_asked(one.params))
        said = [one for one in survey.findings if one.status is Status.FAIL]
        self._draft.findings += [one for one in said if one.id != "spf.lookups"]
        self._draft.findings += [one for one in survey.findings if one.id == "spf.long"]
        coverage = self._coverage(before, before if over or unsure else after)
        return Made(summary, coverage, "" if over or unsure else text)

    # From what is live

    def _base(self) -> str:
        """One record that can be read, from none or many that may be broken."""
        if not self._live:
            self._draft.say("spf_none", Status.FAIL, domain=self._draft.domain)
            return NEW
        if len(self._live) > 1:
            self._draft.say("spf_several", Status.FAIL, count=len(self._live))
        readable, dropped = [], []
        for text in self._live:
            whole, bad = salvaged(text)
            readable.append(whole)
            dropped += bad
        if dropped:
            self._draft.say("spf_broken", Status.FAIL, terms=" ".join(dropped))
        return readable[0] if len(readable) == 1 else edit.merge(readable)

    def _without(self, text: str, terms: Iterable[str]) -> str:
        for term in terms:
            try:
                text = edit.remove(text, term)
            except edit.EditError:
                self._draft.say("spf_not_there", Status.SKIPPED, term=term)
        return text

    def _renamed(self, text: str) -> str:
        """Names that are often written wrongly, put right."""
        for mistake in facts.mistakes():
            if mistake.wrong not in facts.includes_in(text):
                continue
            try:
                text = edit.remove_include(text, mistake.wrong)
            except edit.EditError:  # a redirect leads there: the owner's to mend
                continue
            term = f"include:{mistake.wrong}"
            self._draft.say("spf_renamed", Status.FAIL, term=term, right=mistake.right)
            text = edit.add_include(text, mistake.right)
        return text

    def _alive(self, text: str, now: spf.Survey) -> str:
        """Without includes that lead nowhere: each makes the whole record an error."""
        for one in now.findings:
            if one.id != "spf.include_none" or one.params["domain"] != self._draft.domain:
                continue
            term = str(one.params["term"])
            try:
                text = edit.remove(text, term)
            except edit.EditError:
                continue
            self._draft.say("spf_dead", Status.FAIL, term=term, name=one.params["name"])
        return text

    # What lacks

    def _include(self, text: str, domain: str, shows: frozenset[str]) -> Query[str]:
        """The include of a service, unless the record leads there or covers it already."""
        if not domain:
            return text
        survey = yield from self._survey(text)
        known = self._draft.known
        if facts.reaches(text, {domain, *shows}, lambda name: known.get((name, "TXT"))):
            return text
        theirs = yield from self._draft.run(spf.survey(domain))
        if theirs.record is None:
            if not any(one.status is Status.UNKNOWN for one in theirs.findings):
                self._draft.say("spf_dead", Status.FAIL, term=f"include:{domain}", name=domain)
                return text
        elif _whole(theirs) and all(_within(one, survey) for one in theirs.ranges):
            return text  # flattened before
        return edit.add_include(text, domain)

    def _addresses(self, text: str) -> Query[str]:
        """What is not covered yet, joined where it is much: a record must stay short."""
        lacking: list[Place] = []
        for place in self._senders:
            if not (yield from self._passes(text, place)):
                lacking.append(place)
        if len(lacking) > MANY:
            lacking = [Place(one, "") for one in joined(each.network for each in lacking)]
        for place in lacking:
            added = edit.add_ip(text, place.text)
            if not (yield from self._passes(added, place)):
                added = in_front(text, place.text)  # before what keeps it out, or is broken
            text = added
        return text

    def _closed(self, text: str) -> str:
        """An end where everybody may send, or nothing is said: else all others would be covered."""
        record = spf.parse(text)
        now = record.all.qualifier if record.all else ""
        if now == "+":
            self._draft.say("spf_open_end", Status.FAIL, end=f"{now}all")
        if now == "+" or (not now and record.redirect is None):
            return with_end(text, "~all")
        return text

    def _ended(self, text: str, evidence: dmarc.Evidence | None) -> str:
        """How strangers are treated. Never milder than now unless it is wished."""
        wish = self._given.spf.end
        end = spf.parse(text).all
        if wish in ("~all", "-all"):
            return with_end(text, wish)
        if evidence is None or (end is not None and end.qualifier == "-"):
            return text
        advice = dmarc.spf_advice(evidence)
        if advice.strict:
            self._draft.say("spf_strict", Status.OK)
            return with_end(text, "-all") if wish == "auto" else text
        if wish == "auto":
            reasons = [{"id": one.id, **one.params} for one in advice.blockers]
            self._draft.say("spf_not_strict", Status.SKIPPED, reasons=reasons)
        return text

    # Within the limit

    def _fitting(self, text: str) -> Query[tuple[str, spf.Survey]]:
        """The record, flattened as little as needed where that is wished."""
        survey = yield from self._survey(text)
        limit = spf.DEFAULT_LIMITS.lookups
        if survey.lookups <= limit:
            return text, survey
        if self._given.spf.flatten:
            flat = self._flattened(text, survey)
            if flat != text:
                text = flat
                survey = yield from self._survey(text)
        if survey.lookups > limit:
            terms = ", ".join(f"{one.term} ({one.lookups})" for one in survey.terms if one.lookups)
            self._draft.say("spf_over", Status.FAIL, count=survey.lookups, limit=limit, terms=terms)
        return text, survey

    def _flattened(self, text: str, survey: spf.Survey) -> str:
        """Those terms replaced by ranges that save most lookups for each range they cost."""
        chosen: list[spf.Coverage] = []
        left = survey.lookups
        able = [one for one in survey.terms if one.complete and one.lookups and one.networks]
        for one in sorted(able, key=lambda one: len(one.networks) / one.lookups):
            if left <= spf.DEFAULT_LIMITS.lookups:
                break
            chosen.append(one)
            left -= one.lookups
        if not chosen:
            return text
        terms = ", ".join(one.term for one in chosen)
        self._draft.say("spf_flattened", Status.WARN, terms=terms, count=len(chosen))
        return edit.flatten(text, chosen)

    # Questions to the record

    def _survey(self, text: str) -> Query[spf.Survey]:
        domain = self._draft.domain
        return (yield from self._draft.run(spf.survey(domain), texts(domain, text)))

    def _passes(self, text: str, place: Place) -> Query[bool | None]:
        """Whether the record lets it send; None where DNS does not say."""
        domain = self._draft.domain
        if place.network.num_addresses == 1:
            address = str(place.network.network_address)
            check = spf.check_host(address, domain, f"postmaster@{domain}", limits=UNLIMITED)
            result = yield from self._draft.run(check, texts(domain, text))
            return None if result.code is spf.Code.TEMPERROR else result.code is spf.Code.PASS
        survey = yield from self._survey(text)
        if _within(place.network, survey):
            return True
        unsure = any(one.status is Status.UNKNOWN for one in survey.findings)
        return None if unsure else False

    def _covered(self, text: str) -> Query[list[bool | None]]:
        if not text:
            return [False for _ in self._senders]
        made = []
        for one in self._senders:
            made.append((yield from self._passes(text, one)))
        return made

    def _coverage(
        self, before: Sequence[bool | None], after: Sequence[bool | None]
    ) -> tuple[Cover, ...]:
        rows = zip(self._senders, before, after, strict=True)
        made = tuple(Cover(one.text, one.source, now, then) for one, now, then in rows)
        bad = [one.address for one in made if one.live is False]
        if bad and self._given.sends:
            self._draft.say(
                "egress_uncovered",
                Status.FAIL,
                addresses=", ".join(bad),
                count=len(bad),
                total=len(made),
            )
        return made

    def _unclaimed(self, text: str) -> None:
        """What the record lets send and the inventory does not know: nobody may miss it."""
        shown = {name for one in self._known for name in (one.spf, *one.shows)}
        strange = [f"include:{name}" for name in facts.includes_in(text) if name not in shown]
        if strange and (self._known or self._senders):
            self._draft.say("spf_unclaimed", Status.SKIPPED, terms=", ".join(strange))


def _within(network: Network, survey: spf.Survey) -> bool:
    return any(
        one.version == network.version and network.subnet_of(one)  # type: ignore[arg-type]
        for one in survey.ranges
    )


def _whole(survey: spf.Survey) -> bool:
    """The ranges are all there is to it."""
    passing = [one for one in survey.terms if one.qualifier == "+"]
    return bool(survey.ranges) and all(one.complete for one in passing)


def _asked(params: object) -> dict[str, str]:
    """What a finding of the survey says about a question that failed."""
    given = params if isinstance(params, dict) else {}
    return {name: str(given.get(name, "")) for name in ("name", "type", "status")}
