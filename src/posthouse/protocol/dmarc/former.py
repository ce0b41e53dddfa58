"""What RFC 7489 and a public suffix list make of the same message, for comparison.

Enters: what ``evaluate`` takes, and a list. Leaves: ``Verdict``, its method "psl", and
``Comparison``, both side by side. Called by whoever tells a domain's owner what changes with
RFC 9989: many receivers still work in the old way. Nothing fails.

RFC 7489 sections 3.2 (organizational domain), 6.6.2 (steps), 6.6.3 (policy discovery), 6.6.4
(sampling by pct). It knows no np=, psd= or t=, and no walk.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from posthouse.protocol.dmarc.evaluate import SIGNATURES, evaluate
from posthouse.protocol.dmarc.record import Action, Mode, Policy, Record
from posthouse.protocol.dmarc.result import (
    Alignment,
    Code,
    Discovery,
    Dkim,
    Found,
    Method,
    Spf,
    Verdict,
)
from posthouse.protocol.dmarc.walk import Walker, normal, usable
from posthouse.protocol.dns import Query

_PERCENT: Final = re.compile(r"[0-9]{1,3}")


class Suffixes(Protocol):
    """A public suffix list; ``psl.PublicSuffixList`` is one."""

    def organizational(self, name: str) -> str | None:
        """The registrable domain; None for a suffix itself."""
        ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same message by both standards."""

    now: Verdict  # RFC 9989
    before: Verdict  # RFC 7489

    @property
    def differs(self) -> bool:
        """Another result, or another thing done with the message."""
        return (self.now.code, self.now.disposition) != (self.before.code, self.before.disposition)


def compare(
    suffixes: Suffixes, authors: Sequence[str], spf: Spf | None = None, dkim: Sequence[Dkim] = ()
) -> Query[Comparison]:
    """The message by both standards."""
    now = yield from evaluate(authors, spf, dkim)
    before = yield from evaluate_psl(suffixes, authors, spf, dkim)
    return Comparison(now, before)


def evaluate_psl(
    suffixes: Suffixes, authors: Sequence[str], spf: Spf | None = None, dkim: Sequence[Dkim] = ()
) -> Query[Verdict]:
    """The verdict of RFC 7489."""
    walker = Walker()
    names = {normal(name) for name in authors}
    if len(names) != 1 or "" in names:  # section 6.6.1
        id_ = "author_several" if len(names) > 1 else "author_none"
        walker.note(id_, **({"domains": " ".join(sorted(names))} if len(names) > 1 else {}))
        return Verdict(Code.NONE, problem=id_, trace=tuple(walker.notes))
    author = names.pop()
    walker.note("author", domain=author)
    found = yield from _discover(walker, suffixes, author)
    policy = _policy(found.record)
    if policy is None:
        code = Code.TEMPERROR if found.failed else Code.NONE
        code = Code.PERMERROR if found.problem == "record_unusable" else code
        return Verdict(code, author, found, problem=found.problem, trace=tuple(walker.notes))
    rows = [_align(walker, suffixes, "spf", Dkim(*spf), found, mode=policy.aspf)] if spf else []
    rows += [
        _align(walker, suffixes, "dkim", one, found, mode=policy.adkim) for one in dkim[:SIGNATURES]
    ]
    verdict = _judged(walker, Verdict(Code.PASS, author, found, alignments=tuple(rows)), policy)
    return replace(verdict, trace=tuple(walker.notes))


def _discover(walker: Walker, suffixes: Suffixes, author: str) -> Query[Discovery]:
    """Section 6.6.3: the author's record, else that of its organizational domain."""
    owner = suffixes.organizational(author) or author
    walker.note("organizational_psl", name=author, organizational=owner)
    found: Found = yield from walker.at(author)
    if found.record is None and found.problem != "dns" and owner != author:
        found = yield from walker.at(owner)
    problem = usable(walker, found)
    if found.record is None:
        failed = found.problem == "dns"
        problem = "dns_failed" if failed else "no_policy"
        if not failed:
            walker.note("no_policy", name=author)
    return Discovery(
        author,
        found.domain if found.record is not None else "",
        found.record,
        owner,
        Method.PSL,
        found.problem == "dns",
        problem,
        walker.asked,
    )


def _policy(record: Record | None) -> Policy | None:
    """Without the tags RFC 7489 does not know; a broken np breaks nothing there."""
    if record is None:
        return None
    policy = replace(record.policy, np=None, testing=False)
    known = replace(record, policy=policy, broken=record.broken - {"np"})
    return known.effective


def _align(
    walker: Walker, suffixes: Suffixes, mechanism: str, one: Dkim, found: Discovery, *, mode: Mode
) -> Alignment:
    domain = normal(one.domain)
    theirs = suffixes.organizational(domain) or domain
    same = domain == found.author
    aligned = same or (mode is Mode.RELAXED and bool(domain) and theirs == found.organizational)
    if one.result != "pass":
        walker.note("not_passed", mechanism=mechanism, domain=domain, result=one.result)
    elif same:
        walker.note("same", mechanism=mechanism, domain=domain)
    elif aligned:
        walker.note("relaxed", mechanism=mechanism, domain=domain, organizational=theirs)
    elif mode is Mode.STRICT:
        walker.note("strict_differs", mechanism=mechanism, domain=domain, author=found.author)
    else:
        walker.note(
            "outside", mechanism=mechanism, domain=domain, organizational=found.organizational
        )
    return Alignment(mechanism, domain, one.result, aligned, mode.value, theirs, one.selector)


def _judged(walker: Walker, verdict: Verdict, policy: Policy) -> Verdict:
    found = verdict.discovery
    inherited = found is not None and found.inherited
    action = policy.for_subdomain(exists=True) if inherited else policy.p or Action.NONE
    source = "sp" if inherited and policy.sp is not None else "p"
    if found is not None and inherited:
        walker.note("policy_inherited", name=found.domain, tag=source, policy=action.value)
    else:
        walker.note("policy_own", name=verdict.author, policy=action.value)
    percent = _percent(found.record if found is not None else None)
    verdict = replace(verdict, policy=action, source=source, sampled=percent)
    if good := next((one for one in verdict.alignments if one.passed), None):
        walker.note("passed", mechanism=good.mechanism, domain=good.domain)
        return verdict
    # section 6.6.2: what may still come out well keeps the policy from being applied
    rows = (one for one in verdict.alignments if one.result == "temperror" and one.aligned)
    if unsure := next(rows, None):
        walker.note("temporary", mechanism=unsure.mechanism, domain=unsure.domain)
        return replace(verdict, code=Code.TEMPERROR, problem="temporary")
    walker.note("failed", policy=action.value)
    if percent < 100 and action is not Action.NONE:  # section 6.6.4
        milder = action.milder.value
        walker.note("sampled", percent=percent, policy=action.value, milder=milder)
    return replace(verdict, code=Code.FAIL, disposition=action)


def _percent(record: Record | None) -> int:
    """pct; 100 where it is not there or none."""
    text = (record.former or {}).get("pct", "") if record is not None else ""
    return min(100, int(text)) if _PERCENT.fullmatch(text) else 100
