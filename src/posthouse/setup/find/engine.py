"""The search itself: all sources at once, each with its own time, none longer than needed.

Enters: a query, the sources, what is known without a network. Leaves: a ``FindResult`` after every
answer (to the observer) and at the end. The owner of all mutable state of a search is ``Search``.

When it ends: all sources have ended; or no pending source can put another host on top, and one more
round trip has passed so that contradictions still show; or time is up. Fails: only by a bug of a
source; what networks and servers do ends in a ``SourceReport``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol.discovery.offer import Incoming
from posthouse.setup.find import trust
from posthouse.setup.find.advice import advice
from posthouse.setup.find.merge import Merged, merge, settled
from posthouse.setup.find.model import (
    Candidate,
    Claim,
    FindResult,
    Found,
    Net,
    Outcome,
    Query,
    Source,
    SourceReport,
    State,
)
from posthouse.setup.find.sources import guess

BUDGET: Final = 4.8  # seconds for all; people are promised 5, and ending takes a moment
DNS_LIMIT: Final = 3.0  # one resolver may fail silently (2 s) before the next is asked
WEB_LIMIT: Final = 4.2  # name, connection, TLS and answer of a slow web server
GRACE_LEAST: Final = 0.05  # an answer from a cache is no measure of the way to the others
ENDING: Final = 0.1  # seconds for cancelled work to close its sockets
WEB_TRIPS: Final = 4  # name, TCP, TLS, answer
GRACE_MOST: Final = 0.5  # contradictions are worth half a second, not more

LIMITS: Final[Mapping[Source, float]] = {
    Source.SRV: DNS_LIMIT,
    Source.MX: DNS_LIMIT,
    Source.NS: DNS_LIMIT,
    Source.GUESS: DNS_LIMIT,
}
INSTANT: Final = (Source.ORGANISATION, Source.DIRECTORY)
DNS_SOURCES: Final = (Source.SRV, Source.MX, Source.NS)

Ask = Callable[[Query, Net], Coroutine[Any, Any, Found]]
Observer = Callable[[FindResult], None]


class Search:
    """One search and all it has gathered so far."""

    def __init__(
        self,
        query: Query,
        net: Net,
        *,
        findings: tuple[Finding, ...] = (),
        observer: Observer | None = None,
        thorough: bool = False,
    ) -> None:
        self.query = query
        self.net = net
        self.claims: list[Claim] = []
        self.findings = list(findings)
        self.reports: dict[Source, SourceReport] = {}
        self._observer = observer
        self._thorough = thorough
        self._loop = asyncio.get_running_loop()  # its clock is the one that wakes us
        self._began = self._loop.time()
        self._tasks: dict[asyncio.Task[Found], Source] = {}
        self._dropped: set[asyncio.Task[Found]] = set()
        self._started: dict[Source, float] = {}
        self._quickest: float | None = None  # seconds the fastest network answer took
        self._grace_ends: float | None = None
        self._over = False
        self._mx: tuple[str, ...] = ()
        self._no_domain = False
        self._incoming: dict[Source, tuple[Incoming, ...]] = {}

    def take(self, source: Source, found: Found, seconds: float) -> None:
        """Record what a source gave, and tell the observer."""
        at = self._now() - self._began
        self.claims += [replace(c, evidence=replace(c.evidence, seconds=at)) for c in found.claims]
        self.findings += found.findings
        state = found.state or (State.ANSWERED if found.claims else State.NOTHING)
        self.reports[source] = SourceReport(source, state, seconds, found.detail, found.params)
        self._mx = self._mx or found.hosts
        if found.incoming:
            self._incoming[source] = found.incoming
        self._no_domain = self._no_domain or found.no_domain
        if self._observer is not None:
            self._observer(self.result())

    def skip(self, source: Source, detail: str) -> None:
        """Record that a source was not asked."""
        self.reports[source] = SourceReport(source, State.SKIPPED, 0.0, detail)

    async def run(self, sources: Mapping[Source, Ask]) -> None:
        """Ask all ``sources`` over the network, until nothing more is needed."""
        self.skip(Source.GUESS, "not_needed")
        for source, ask in sources.items():
            self._start(source, ask(self.query, self.net))
        try:
            while self._tasks and not self._finished():
                done, _ = await asyncio.wait(
                    self._tasks,
                    timeout=max(0.0, self._next_deadline() - self._now()),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    self._collect(task)
                self._expire()
                self._consider_guessing()
        finally:
            await self._stop()
        self.close()

    def close(self) -> None:
        """Nobody will be asked any more: ``result`` now also says what that means."""
        self._over = True

    def result(self) -> FindResult:
        """All that is known now."""
        merged = merge(self.claims, self.query.address)
        return FindResult(
            address=self.query.address,
            domain=self.query.domain,
            candidates=merged.candidates,
            conflicts=merged.conflicts,
            reports=tuple(self.reports[s] for s in Source if s in self.reports),
            findings=(*self._noticed(), *merged.findings, *self._closing(merged)),
            outcome=self._outcome(merged),
            seconds=self._now() - self._began,
            incoming=next((self._incoming[s] for s in Source if s in self._incoming), ()),
        )

    def _now(self) -> float:
        return self._loop.time()

    def _start(self, source: Source, work: Coroutine[Any, Any, Found]) -> None:
        self.reports.pop(source, None)
        self._started[source] = self._now()
        self._tasks[asyncio.create_task(work, name=source.value)] = source

    def _collect(self, task: asyncio.Task[Found]) -> None:
        source = self._tasks.pop(task)
        took = self._now() - self._started[source]
        found = task.result()
        if found.state not in (State.TIMED_OUT, State.FAILED):
            self._quickest = took if self._quickest is None else min(self._quickest, took)
        self.take(source, found, took)

    def _deadline(self, source: Source) -> float:
        own = self._started[source] + LIMITS.get(source, WEB_LIMIT)
        return min(own, self._began + BUDGET)

    def _next_deadline(self) -> float:
        deadlines = [self._deadline(source) for source in self._tasks.values()]
        return min([*deadlines, *([self._grace_ends] if self._grace_ends is not None else [])])

    def _expire(self) -> None:
        """Give up on sources whose time is over."""
        now = self._now()
        for task, source in list(self._tasks.items()):
            if self._deadline(source) <= now and not task.done():
                self._drop(task)
                waited = now - self._started[source]
                self.take(source, Found(state=State.TIMED_OUT), waited)

    def _drop(self, task: asyncio.Task[Found]) -> Source:
        task.cancel()
        self._dropped.add(task)
        return self._tasks.pop(task)

    def _finished(self) -> bool:
        """Whether what is still running is no longer needed."""
        if self._no_domain:
            return True  # RFC 8020: nothing exists below a name that does not exist
        if self._thorough:
            return False
        pending = set(self._tasks.values())
        best = next(iter(merge(self.claims, self.query.address).candidates), None)
        if best is None or not settled(self.claims, best, pending):
            self._grace_ends = None
            return False
        ends = self._now() + self._grace(best, pending)
        self._grace_ends = ends if self._grace_ends is None else min(ends, self._grace_ends)
        return self._grace_ends <= self._now()

    def _grace(self, best: Candidate, pending: Collection[Source]) -> float:
        """One round trip more, as the fastest answer measured it.

        All that a web answer takes, where it would outrank the best but for a contradiction: that
        is worth seeing.
        """
        if self._quickest is None:
            return GRACE_MOST
        outranked = any(trust.most(source) > best.score for source in pending)
        trips = WEB_TRIPS if outranked else 1
        return min(max(trips * self._quickest, GRACE_LEAST), GRACE_MOST)

    def _consider_guessing(self) -> None:
        """Likely names are looked up once everybody who answers in one round trip knows nothing."""
        asked = self.reports.get(Source.GUESS)
        waiting = set(self._tasks.values()) & set(DNS_SOURCES)
        if asked is None or asked.state is not State.SKIPPED or waiting or self._no_domain:
            return
        mx = self.reports.get(Source.MX)
        heard = any(trust.points_of(c.evidence) > 0 for c in self.claims)
        if not heard and mx is not None and mx.state not in (State.FAILED, State.TIMED_OUT):
            self._start(Source.GUESS, guess.ask(self.query, self.net, self._mx))

    def _why_not(self) -> str:
        """Why a source was cut short, or not asked at all."""
        if self._no_domain:
            return "no_domain"
        return "no_dns" if not self.claims and self._failed() is not None else "not_needed"

    async def _stop(self) -> None:
        if self._no_domain or self.reports[Source.GUESS].state is State.SKIPPED:
            self.skip(Source.GUESS, self._why_not())
        for task, source in list(self._tasks.items()):
            took = self._now() - self._started[source]
            self.reports[source] = SourceReport(source, State.CANCELLED, took, self._why_not())
            self._drop(task)
        if self._dropped:
            await asyncio.wait(self._dropped, timeout=ENDING)
        for task in self._dropped:
            if task.done() and not task.cancelled():
                task.exception()  # whatever it was about to say is no longer of interest

    def _failed(self) -> SourceReport | None:
        """The report of a DNS failure, without which "nobody knows" can't be said."""
        for source in (Source.MX, Source.SRV):
            report = self.reports.get(source)
            if report and report.state in (State.FAILED, State.TIMED_OUT):
                return report
        return None

    def _outcome(self, merged: Merged) -> Outcome:
        if merged.candidates:
            proven = merged.candidates[0].score >= trust.PROVING
            return Outcome.FOUND if proven else Outcome.UNPROVEN
        if any(f.id == "no_smtp" for f in self.findings):
            return Outcome.NOTHING
        offline = any(r.detail == "offline" for r in self.reports.values())
        unsure = offline or self._failed() is not None
        return Outcome.COULD_NOT_DETERMINE if unsure else Outcome.NOTHING

    def _closing(self, merged: Merged) -> tuple[Finding, ...]:
        """What can only be said at the end."""
        if not self._over:
            return ()
        failed = self._failed()
        trouble: tuple[Finding, ...] = ()
        if failed is not None:
            name = "dns_failed" if failed.params else "dns_silent"
            params = failed.params or {"took_seconds": round(failed.seconds, 1)}
            trouble = (Finding(name, Status.FAIL, "dns.temporary", params),)
        said = advice(merged.candidates, self._outcome(merged), self.query, self.findings)
        return (*trouble, *said)

    def _noticed(self) -> list[Finding]:
        """What sources noticed; a domain that is known cannot be missing, whatever DNS says."""
        known = any(c.evidence.source in INSTANT for c in self.claims)
        return [
            Finding("domain_hidden", Status.WARN, "dns.temporary", f.params)
            if known and f.id == "domain_not_found"
            else f
            for f in self.findings
        ]
