"""From everything seen to the result: facts for the verdict, the cause behind it, the findings.

Enters: ``Outcome``, what one probe did and learned. Leaves: ``ProbeResult``. Pure but for reading
the session's state; called once, at the end. Never fails.
"""

from __future__ import annotations

from dataclasses import dataclass

from posthouse import explain
from posthouse.explain import Explanation
from posthouse.flow import Finding, Stage
from posthouse.setup.probe import findings, hints
from posthouse.setup.probe.after import Aftermath
from posthouse.setup.probe.facts import Delivery, Facts, Login, ProbeResult, Stop
from posthouse.setup.probe.judge import Stopped
from posthouse.setup.probe.session import Session
from posthouse.setup.probe.verdict import decide


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything one probe did and learned. Of the login only its user name goes on."""

    session: Session
    stopped: Stopped | None
    aftermath: Aftermath
    delivery: Delivery
    login: Login | None
    hints: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def conclude(outcome: Outcome) -> ProbeResult:
    """The verdict, and all that goes with it."""
    session, aftermath = outcome.session, outcome.aftermath
    stop = outcome.stopped.stop if outcome.stopped else None
    facts = _facts(outcome, stop)
    verdict = decide(facts)
    before = session.options.before
    found = (
        *session.findings,
        *outcome.findings,
        *aftermath.findings,
        *findings.of_replies(session.replies),
        *(findings.of_change(before, session.extensions) if before is not None else ()),
    )
    return ProbeResult(
        endpoint=session.endpoint,
        verdict=verdict.finding,
        trace=session.trace,
        explanation=_explanation(verdict.finding, outcome.stopped, session.provider),
        findings=found,
        extensions=session.extensions,
        tls=aftermath.tls,
        neighbours=aftermath.neighbours,
        suggestion=verdict.suggestion,
        delivery=outcome.delivery,
    )


def _facts(outcome: Outcome, stop: Stop | None) -> Facts:
    session, aftermath, login = outcome.session, outcome.aftermath, outcome.login
    passed = frozenset(session.passed)
    return Facts(
        endpoint=session.endpoint,
        stop=stop,
        passed=passed,
        tls=session.tls,
        extensions=session.extensions,
        neighbours=aftermath.neighbours,
        names=aftermath.names,
        delivery=outcome.delivery,
        username=hints.shown(login) if login else "",
        hints=outcome.hints,
        ehlo_name=session.options.ehlo_name,
        clock_behind=aftermath.clock_behind,
        now=session.net.clock.now().isoformat(),
        provider=session.provider or "",
        broken_family=aftermath.broken_family,
        versions=aftermath.versions,
    )


def _explanation(
    verdict: Finding, stopped: Stopped | None, provider: str | None
) -> Explanation | None:
    """What explain said of the step, unless the verdict knows better by all it saw around."""
    if verdict.cause is None:
        return None
    explained = stopped.explanation if stopped else None
    if explained is not None and explained.cause.id == verdict.cause:
        return explained
    stop = stopped.stop if stopped else None
    return Explanation(
        cause=explain.cause(verdict.cause),
        stage=stop.stage if stop else Stage.ANY,
        confidence=1.0,
        rule=f"probe.{verdict.id}",
        evidence=(stop.text,) if stop and stop.text else (),
        provider=provider,
        variant=None,
        params=verdict.params,
    )
