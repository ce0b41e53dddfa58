"""Does a message pass DMARC, and what does its author's domain want if not? RFC 9989 section 5.3.

Enters: the author's domain or domains (of From), how SPF and DKIM came out, and the answers to the
DNS questions asked on the way. Leaves: ``Verdict`` with every step. Called by the receiving side
and by whoever explains a message. Nothing fails.

A failing DNS lookup makes temperror only where it stands between the message and a pass: a
signature by a stranger whose name servers are silent must not keep anybody's policy from working.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from posthouse.protocol.dmarc.record import Action, Mode, Policy
from posthouse.protocol.dmarc.result import Alignment, Code, Discovery, Dkim, Spf, Verdict
from posthouse.protocol.dmarc.walk import Walker, exists, is_within, normal
from posthouse.protocol.dns import Query

# Signatures compared. A message may carry any number; a report has room for 100 (RFC 9990).
SIGNATURES: Final = 100
# Domains of one From that are evaluated where the receiver wants that (section 11.5).
AUTHORS: Final = 5
_WORST: Final = (Code.FAIL, Code.TEMPERROR, Code.PERMERROR, Code.NONE, Code.PASS)


def discover(domain: str) -> Query[Discovery]:
    """The record that applies to mail from ``domain``."""
    walker = Walker()
    name = normal(domain)
    if not name:
        walker.note("author_malformed", name=domain[:100])
        return Discovery("", problem="author_malformed", trace=tuple(walker.notes))
    found = yield from walker.discover(name)
    return replace(found, trace=tuple(walker.notes))


def policy_for(domain: str) -> Query[Verdict]:
    """What would become of mail from ``domain`` that has no SPF or DKIM at all."""
    return (yield from evaluate((domain,)))


def evaluate(
    authors: Sequence[str],
    spf: Spf | None = None,
    dkim: Sequence[Dkim] = (),
    *,
    each: bool = False,
) -> Query[Verdict]:
    """The verdict for one message. ``authors``: the domains of its From.

    None, or more than one, ends it (section 5.3.1); with ``each``, all of them are evaluated and
    the worst counts (section 11.5). More than ``AUTHORS`` end it all the same.
    """
    walker = Walker()
    names = list(dict.fromkeys(name for name in map(normal, authors)))
    if not names or "" in names:
        id_ = "author_malformed" if names else "author_none"
        bad = next((one for one in authors if not normal(one)), "")
        walker.note(id_, **({"name": bad[:100]} if names else {}))
        return Verdict(Code.NONE, problem=id_, trace=tuple(walker.notes))
    if len(names) > (AUTHORS if each else 1):
        walker.note("author_several", domains=" ".join(names[:AUTHORS]))
        return Verdict(Code.NONE, problem="author_several", trace=tuple(walker.notes))
    if len(names) > 1:
        walker.note("each_author", domains=" ".join(names))
    verdicts = []
    for name in names:
        verdicts.append((yield from _Message(walker, name, spf, dkim).verdict()))
    worst = min(verdicts, key=lambda one: (_WORST.index(one.code), -one.disposition.strength))
    return replace(worst, trace=tuple(walker.notes))


class _Message:
    """One author's domain and what was authenticated, on the way to a verdict."""

    def __init__(self, walker: Walker, author: str, spf: Spf | None, dkim: Sequence[Dkim]) -> None:
        self._walker = walker
        self._author = author
        # section 4.4.2: MAIL FROM alone counts; the caller gives that result and no other
        self._spf = [Dkim(spf.domain, spf.result)] if spf is not None else []
        self._dkim = list(dkim)[:SIGNATURES]
        self._owner: str | None = None

    def verdict(self) -> Query[Verdict]:
        """The steps of section 5.3, in their order."""
        self._walker.note("author", domain=self._author)
        found = yield from self._walker.discover(self._author)
        policy = found.policy
        if policy is None:
            return self._without(found)
        self._owner = found.organizational or None
        alignments = yield from self._alignments(policy)
        found = replace(found, organizational=self._owner or found.organizational)
        verdict = Verdict(
            Code.PASS, self._author, found, alignments=alignments, testing=policy.testing
        )
        return (yield from self._judged(verdict, policy))

    def _without(self, found: Discovery) -> Verdict:
        code = Code.TEMPERROR if found.failed else Code.NONE
        if found.problem == "record_unusable":
            code = Code.PERMERROR
        return Verdict(code, self._author, found, problem=found.problem)

    def _alignments(self, policy: Policy) -> Query[tuple[Alignment, ...]]:
        rows: list[Alignment] = []
        for one in self._spf:
            rows.append((yield from self._alignment("spf", one, policy.aspf)))
        for one in self._dkim:
            rows.append((yield from self._alignment("dkim", one, policy.adkim)))
        return tuple(rows)

    def _alignment(self, mechanism: str, one: Dkim, mode: Mode) -> Query[Alignment]:
        domain = normal(one.domain)
        row = Alignment(mechanism, domain, one.result, None, mode.value, selector=one.selector)
        # what failed for good can't be an authenticated identifier, so nobody needs to know
        if one.result not in ("pass", "temperror") or not domain:
            self._walker.note("not_passed", mechanism=mechanism, domain=domain, result=one.result)
            return replace(row, aligned=True) if domain == self._author else row
        aligned, owner = yield from self._aligned(mechanism, domain, mode)
        return replace(row, aligned=aligned, organizational=owner)

    def _aligned(self, mechanism: str, domain: str, mode: Mode) -> Query[tuple[bool | None, str]]:
        """Section 4.10.2. DNS is asked only where the answer can change the outcome."""
        note = self._walker.note
        if domain == self._author:
            note("same", mechanism=mechanism, domain=domain)
            return True, ""
        if mode is Mode.STRICT:
            note("strict_differs", mechanism=mechanism, domain=domain, author=self._author)
            return False, ""
        if self._owner is None:
            self._owner = yield from self._walker.organizational(self._author)
        # a common organizational domain is the name itself or one above it
        if self._owner is not None and not is_within(domain, self._owner):
            note("outside", mechanism=mechanism, domain=domain, organizational=self._owner)
            return False, ""
        return (yield from self._relaxed(mechanism, domain))

    def _relaxed(self, mechanism: str, domain: str) -> Query[tuple[bool | None, str]]:
        """By a walk of its own for the other domain."""
        note, theirs = self._walker.note, None
        if self._owner is not None:
            theirs = yield from self._walker.organizational(domain)
        if self._owner is None or theirs is None:
            note("align_failed", mechanism=mechanism, domain=domain)
            return None, ""
        if theirs == self._owner:
            note("relaxed", mechanism=mechanism, domain=domain, organizational=theirs)
            return True, theirs
        note(
            "other_organizational",
            mechanism=mechanism,
            domain=domain,
            organizational=theirs,
            author=self._owner,
        )
        return False, theirs

    def _judged(self, verdict: Verdict, policy: Policy) -> Query[Verdict]:
        """Section 5.3.5 and 5.3.6."""
        good = next((one for one in verdict.alignments if one.passed), None)
        action, source, known = yield from self._policy(verdict, policy, needed=good is None)
        verdict = replace(verdict, policy=action, source=source, exists=known)
        if good is not None:
            self._walker.note("passed", mechanism=good.mechanism, domain=good.domain)
            return verdict
        unsure = next((one for one in verdict.alignments if _unsure(one)), None)
        if unsure is not None:
            self._walker.note("temporary", mechanism=unsure.mechanism, domain=unsure.domain)
            return replace(verdict, code=Code.TEMPERROR, problem="temporary")
        if action is None:
            return replace(verdict, code=Code.TEMPERROR, problem="dns_failed")
        return replace(verdict, code=Code.FAIL, disposition=self._disposition(action, policy))

    def _policy(
        self, verdict: Verdict, policy: Policy, *, needed: bool
    ) -> Query[tuple[Action | None, str, bool | None]]:
        """The policy, the tag it is from, and whether the author's domain exists."""
        found = verdict.discovery
        if found is None or not found.inherited:
            action = policy.p or Action.NONE
            self._walker.note("policy_own", name=self._author, policy=action.value)
            return action, "p", None
        there, missing = policy.for_subdomain(exists=True), policy.for_subdomain(exists=False)
        known: bool | None = None
        if needed and there is not missing:
            known = yield from exists(self._author, self._walker)
            if known is None:
                return None, "", None
        action = missing if known is False else there
        source = _source(policy, known)
        self._walker.note("policy_inherited", name=found.domain, tag=source, policy=action.value)
        return action, source, known

    def _disposition(self, action: Action, policy: Policy) -> Action:
        note = self._walker.note
        note("failed", policy=action.value)
        if policy.testing and action is not Action.NONE:  # section 4.7, tag t
            note("testing", policy=action.value, milder=action.milder.value)
            action = action.milder
        if action is Action.REJECT:  # section 7.4
            note("reject_alone")
        return action


def _source(policy: Policy, known: bool | None) -> str:
    if known is False and policy.np is not None:
        return "np"
    return "sp" if policy.sp is not None else "p"


def _unsure(one: Alignment) -> bool:
    """A later try may let the message pass by this identifier."""
    return (one.result == "pass" and one.aligned is None and bool(one.domain)) or (
        one.result == "temperror" and one.aligned is not False and bool(one.domain)
    )
