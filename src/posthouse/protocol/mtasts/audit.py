"""What is wrong, or could be better, in a domain's MTA-STS.

Enters: the record, the fetch, the domain's mail servers, what an earlier run saw. Leaves: findings,
"mtasts.testing" for example; their words are "mtasts.finding.<rest>". Nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol.mtasts.fetch import Fetched, Problem, policy_url
from posthouse.protocol.mtasts.policy import Mode, Policy
from posthouse.protocol.mtasts.record import Discovery, Found, record_name

# Section 3.2 wants weeks: an attacker who can hold back the policy only has to outlast it.
SHORT_AGE: Final = 7 * 86_400

# Every id of a finding, with the params its words may use.
FINDING_IDS: Final = {
    "mtasts.none": ("domain", "name"),
    "mtasts.several": ("name", "count"),
    "mtasts.record_syntax": ("name", "record", "reason", "position"),
    "mtasts.dns_failed": ("name", "status"),
    "mtasts.record_without_policy": ("domain", "url", "problem", "http"),
    "mtasts.policy_syntax": ("url", "reason", "line", "detail"),
    "mtasts.policy_without_record": ("name", "url"),
    "mtasts.off": ("url",),
    "mtasts.testing": ("url",),
    "mtasts.mx_uncovered": ("host", "patterns", "mode"),
    "mtasts.mx_unused": ("pattern",),
    "mtasts.max_age_short": ("seconds", "limit"),
    "mtasts.repeated": ("keys",),
    "mtasts.id_changed": ("before", "now"),
    "mtasts.id_kept": ("id",),
    "mtasts.ok": ("domain", "id"),
}


def finding(id_: str, status: Status, /, **params: Any) -> Finding:
    """One finding; its params are those ``FINDING_IDS`` names."""
    return Finding(f"mtasts.{id_}", status, None, params)


def audit(
    discovery: Discovery,
    fetched: Fetched | None,
    mx: Sequence[str] = (),
    *,
    before: tuple[str, Policy] | None = None,
) -> tuple[Finding, ...]:
    """All there is to say. ``fetched`` None: nobody looked. ``before``: id and policy of an
    earlier run. ``mx``: the domain's mail servers, empty where it has none or they are unknown."""
    policy = fetched.policy if fetched is not None else None
    found = [*_record(discovery, policy)]
    if discovery.found is Found.ONE and fetched is not None:
        found += _fetch(discovery, fetched)
    if policy is not None:
        found += _policy(discovery.domain, policy, mx)
        found += _change(discovery, policy, before)
        if discovery.record is not None and all(f.status is Status.OK for f in found):
            id_ = discovery.record.id
            found.append(finding("ok", Status.OK, domain=discovery.domain, id=id_))
    return tuple(found)


def _record(discovery: Discovery, policy: Policy | None) -> Iterator[Finding]:
    domain, name = discovery.domain, record_name(discovery.domain)
    match discovery.found:
        case Found.FAILED:
            yield finding("dns_failed", Status.UNKNOWN, name=name, status=discovery.status)
        case Found.SEVERAL:
            yield finding("several", Status.FAIL, name=name, count=len(discovery.texts))
        case Found.INVALID if discovery.error is not None:
            yield finding(
                "record_syntax",
                Status.FAIL,
                name=name,
                record=discovery.texts[0][:200],
                reason=discovery.error.reason,
                position=discovery.error.position,
            )
        case Found.NONE if policy is not None:
            yield finding("policy_without_record", Status.FAIL, name=name, url=policy_url(domain))
        case Found.NONE:
            yield finding("none", Status.WARN, domain=domain, name=name)


def _fetch(discovery: Discovery, fetched: Fetched) -> Iterator[Finding]:
    url, error = policy_url(discovery.domain), fetched.error
    if fetched.problem is Problem.SYNTAX and error is not None:
        params = {"reason": error.reason, "line": error.line, "detail": error.detail}
        yield finding("policy_syntax", Status.FAIL, url=url, **params)
    elif fetched.problem is not None:
        problem, http = str(fetched.problem), fetched.status
        yield finding(
            "record_without_policy",
            Status.FAIL,
            domain=discovery.domain,
            url=url,
            problem=problem,
            http=http,
        )


def _policy(domain: str, policy: Policy, mx: Sequence[str]) -> Iterator[Finding]:
    if policy.mode is Mode.NONE:
        yield finding("off", Status.WARN, url=policy_url(domain))
        return
    enforced = policy.mode is Mode.ENFORCE
    if not enforced:
        yield finding("testing", Status.WARN, url=policy_url(domain))
    for host in mx:
        if not policy.covers(host):
            params = {"host": host, "patterns": list(policy.mx[:20]), "mode": str(policy.mode)}
            yield finding("mx_uncovered", Status.FAIL if enforced else Status.WARN, **params)
    for pattern in policy.mx if mx else ():
        if not any(Policy(policy.mode, (pattern,), 0).covers(host) for host in mx):
            yield finding("mx_unused", Status.OK, pattern=pattern)
    if policy.max_age < SHORT_AGE:
        yield finding("max_age_short", Status.WARN, seconds=policy.max_age, limit=SHORT_AGE)
    if policy.repeated:
        yield finding("repeated", Status.WARN, keys=list(policy.repeated))


def _change(
    discovery: Discovery, policy: Policy, before: tuple[str, Policy] | None
) -> Iterator[Finding]:
    """Senders look at the policy again only where the id is another (section 3.1)."""
    if before is None or discovery.record is None:
        return
    id_, old = before
    if discovery.record.id != id_:
        yield finding("id_changed", Status.OK, before=id_, now=discovery.record.id)
    elif old != policy:
        yield finding("id_kept", Status.FAIL, id=id_)
