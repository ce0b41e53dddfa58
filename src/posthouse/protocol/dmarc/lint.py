"""What is wrong or unwise in one DMARC record, seen without DNS.

Enters: a record that has been read. Leaves: a ``Grade`` and findings, "dmarc.pct_removed" for
example; their words are "dmarc.finding.<rest>". Called by ``survey``, and by whoever writes a
record. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol.dmarc.parse import SHOWN
from posthouse.protocol.dmarc.record import Action, Problem, Psd, Record

# Every id of a finding, here and in ``survey``, with the params its words may use.
FINDING_IDS: Final = {
    "dmarc.none": ("domain",),
    "dmarc.several": ("domain", "count"),
    "dmarc.dns_failed": ("domain",),
    "dmarc.foreign": ("name", "count"),
    "dmarc.inherited": ("domain", "source", "policy"),
    "dmarc.unusable": ("tags",),
    "dmarc.policy_missing": (),
    "dmarc.syntax": ("problem", "position", "tag", "text"),
    "dmarc.duplicate": ("tag", "position"),
    "dmarc.unknown_tag": ("tag", "position"),
    "dmarc.pct_removed": ("value",),
    "dmarc.removed": ("tag", "value"),
    "dmarc.uri_size": ("tag", "text"),
    "dmarc.uri_scheme": ("tag", "text"),
    "dmarc.monitoring": (),
    "dmarc.enforced": ("policy",),
    "dmarc.testing": ("policy", "milder"),
    "dmarc.testing_nothing": (),
    "dmarc.rua_missing": (),
    "dmarc.reject_blind": (),
    "dmarc.sp_weaker": ("p", "sp"),
    "dmarc.np_weaker": ("p", "np"),
    "dmarc.fo_without_ruf": (),
    "dmarc.psd_yes": (),
    "dmarc.subdomain_tags": ("domain", "tags", "organizational"),
    "dmarc.rua_external": ("tag", "uri", "name"),
    "dmarc.rua_elsewhere": ("tag", "uri", "name"),
    "dmarc.rua_unsure": ("tag", "uri"),
    "dmarc.organizational_differs": ("domain", "now", "before"),
}
# Problems with a finding of their own; all others are "dmarc.syntax".
_OWN: Final = {
    "duplicate": "duplicate",
    "unknown": "unknown_tag",
    "uri_size": "uri_size",
}


class Grade(StrEnum):
    """How far a domain has come."""

    MISSING = "missing"  # no record, or none that leads to DMARC
    WARN = "warn"  # p=none: it watches, and protects nobody
    TEST = "test"  # t=y: one level milder than it says
    OK = "ok"  # quarantine or reject


def grade(record: Record | None, *, inherited: bool = False, exists: bool = True) -> Grade:
    """The grade of a record, for its own domain or, inherited, for one below it."""
    policy = record.effective if record is not None else None
    if policy is None:
        return Grade.MISSING
    action = policy.for_subdomain(exists=exists) if inherited else policy.p
    if action in (None, Action.NONE):
        return Grade.WARN
    return Grade.TEST if policy.testing else Grade.OK


def finding(id_: str, status: Status, /, **params: Any) -> Finding:
    """One finding; its params are those ``FINDING_IDS`` names."""
    return Finding(f"dmarc.{id_}", status, None, params)


def lint(record: Record) -> tuple[Finding, ...]:
    """All there is to say about one record."""
    return (*_policy(record), *_reports(record), *_texts(record), *_rest(record))


def _policy(record: Record) -> Iterator[Finding]:
    policy = record.effective
    if record.broken:
        status = Status.WARN if policy is not None else Status.FAIL
        yield finding("unusable", status, tags=" ".join(sorted(record.broken)))
    elif record.policy.p is None:
        yield finding("policy_missing", Status.WARN if policy is not None else Status.FAIL)
    if policy is None or policy.p is None:
        return
    if policy.testing and policy.p is not Action.NONE:
        milder = policy.p.milder.value
        yield finding("testing", Status.WARN, policy=policy.p.value, milder=milder)
    elif policy.p is Action.NONE:
        yield finding("monitoring", Status.WARN)
    else:
        yield finding("enforced", Status.OK, policy=policy.p.value)
    if policy.testing and not any(
        one not in (None, Action.NONE) for one in (policy.p, policy.sp, policy.np)
    ):
        yield finding("testing_nothing", Status.WARN)
    if policy.sp is not None and policy.sp.strength < policy.p.strength:
        yield finding("sp_weaker", Status.WARN, p=policy.p.value, sp=policy.sp.value)
    if policy.np is not None and policy.np.strength < policy.p.strength:
        yield finding("np_weaker", Status.WARN, p=policy.p.value, np=policy.np.value)


def _reports(record: Record) -> Iterator[Finding]:
    policy = record.policy
    if not any(uri.usable for uri in policy.rua):
        blind = policy.p is Action.REJECT
        yield finding("reject_blind" if blind else "rua_missing", Status.WARN)
    for tag, uris in (("rua", policy.rua), ("ruf", policy.ruf)):
        for uri in uris:
            if not uri.usable:  # no mistake (section 4.6), but nobody serves it
                yield finding("uri_scheme", Status.WARN, tag=tag, text=uri.uri[:SHOWN])
    if record.has("fo") and not record.has("ruf"):  # RFC 9989 section 4.7: fo is ignored
        yield finding("fo_without_ruf", Status.WARN)


def _texts(record: Record) -> Iterator[Finding]:
    for problem in record.problems:
        if problem.id == "removed":
            yield _removed(problem)
        elif own := _OWN.get(problem.id):
            params = {name: getattr(problem, name) for name in FINDING_IDS[f"dmarc.{own}"]}
            yield finding(own, Status.WARN, **params)
        else:
            yield finding(
                "syntax",
                Status.FAIL if problem.tag in record.broken else Status.WARN,
                problem=problem.id,
                position=problem.position,
                tag=problem.tag,
                text=problem.text,
            )


def _removed(problem: Problem) -> Finding:
    if problem.tag == "pct":
        return finding("pct_removed", Status.WARN, value=problem.text)
    return finding("removed", Status.WARN, tag=problem.tag, value=problem.text)


def _rest(record: Record) -> Iterator[Finding]:
    if record.policy.psd is Psd.YES:
        yield finding("psd_yes", Status.WARN)
