"""What there is to say about one received mail, once all has been checked.

Enters: ``Proven``. Leaves: findings, "domain.message_spf_pass" for example. Called by ``message``.
Nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from posthouse.flow import Finding, Status
from posthouse.protocol import arc, authres, dkim, dmarc, spf
from posthouse.protocol.message.headers import Headers
from posthouse.protocol.message.received import parse_received
from posthouse.setup.domain import facts
from posthouse.setup.domain.checks.common import finding
from posthouse.setup.domain.hop import LINES_LIMIT, Hop
from posthouse.setup.domain.sample import Sample

FIELDS_LIMIT: Final = 20  # fields of one name that are looked at
SHOWN: Final = 200  # characters of what a filter wrote
SLOW_MINUTES: Final = 15  # at one server; greylisting alone takes less
_COMPARED: Final = ("spf", "dkim", "dmarc", "arc")
# RFC 3848, RFC 6531: protocols that say the mail came over TLS.
ENCRYPTED: Final = ("ESMTPS", "ESMTPSA", "UTF8SMTPS", "UTF8SMTPSA", "LMTPS", "LMTPSA")
Told = tuple[str, str, str, str]  # who says so, method, their result, ours


@dataclass(frozen=True, slots=True)
class Proven:
    """One mail, checked. ``checked`` None: nobody knows the client's address."""

    sample: Sample
    hop: Hop
    checked: spf.Result | None
    chain: arc.ArcResult
    compared: dmarc.Comparison

    @property
    def told(self) -> tuple[Told, ...]:
        """What servers on the way wrote, beside what we found."""
        ours = {
            "spf": self.checked.code.value if self.checked is not None else "",
            "dkim": self.sample.dkim.code.value,
            "arc": self.chain.code.value,
            "dmarc": self.compared.now.code.value,
        }
        return _told(self.sample.headers, ours)


def findings(mail: Proven) -> tuple[Finding, ...]:
    """All of it, in the order of the way a mail takes."""
    return (
        *_of_hop(mail.hop),
        *_of_spf(mail.hop, mail.checked),
        *_of_dkim(mail.sample),
        *_of_arc(mail.chain),
        *_of_dmarc(mail.compared),
        *_of_told(mail.told),
        *_of_list(mail.sample),
        *_of_fields(mail.sample.headers),
    )


def _told(headers: Headers, ours: dict[str, str]) -> tuple[Told, ...]:
    """What servers on the way wrote, beside what we found."""
    rows: list[Told] = []
    for text in headers.all("authentication-results")[:FIELDS_LIMIT]:
        read = authres.parse(text)
        for method in _COMPARED:
            results = [one.result for one in read.get(method)]
            if results:
                best = "pass" if "pass" in results else results[0]
                rows.append((read.authserv_id, method, best, ours[method]))
    return tuple(rows)


def _of_hop(hop: Hop) -> Iterator[Finding]:
    if not hop.ip:
        yield finding("message_no_hop", Status.UNKNOWN)
        return
    known = {"ip": hop.ip, "helo": hop.helo, "by": hop.by}
    yield finding("message_hop", Status.OK, **known)
    protocol = hop.protocol.upper()
    if protocol in ENCRYPTED:
        yield finding("message_tls", Status.OK, protocol=protocol)
    elif protocol:
        yield finding("message_tls_not_told", Status.SKIPPED, protocol=protocol)


def _of_spf(hop: Hop, checked: spf.Result | None) -> Iterator[Finding]:
    if checked is None:
        yield finding("message_spf_unknown", Status.UNKNOWN)
        return
    domain = checked.domain or (hop.mail_from or "").rpartition("@")[2] or hop.helo
    params = {"domain": domain, "ip": hop.ip, "result": checked.code.value, "term": checked.term}
    id_, status, cause = {
        spf.Code.PASS: ("pass", Status.OK, None),
        spf.Code.FAIL: ("fail", Status.FAIL, "sender.auth_failed"),
        spf.Code.SOFTFAIL: ("softfail", Status.WARN, "sender.auth_failed"),
        spf.Code.NEUTRAL: ("neutral", Status.WARN, None),
        spf.Code.NONE: ("none", Status.WARN, None),
        spf.Code.TEMPERROR: ("temperror", Status.UNKNOWN, None),
        spf.Code.PERMERROR: ("permerror", Status.FAIL, "sender.auth_failed"),
    }[checked.code]
    yield finding(f"message_spf_{id_}", status, cause, **params)


def _of_dkim(sample: Sample) -> Iterator[Finding]:
    if not sample.dkim.results:
        yield finding("message_dkim_none", Status.WARN)
    good = bool(sample.dkim.passed)
    for one in sample.dkim.results:
        known = {"domain": one.domain, "selector": one.selector, "reason": one.reason}
        if one.passed:
            yield finding("message_dkim_pass", Status.OK, **known)
            if one.uncovered:
                yield finding("message_dkim_open", Status.WARN, octets=one.uncovered, **known)
            if one.testing:
                yield finding("message_dkim_testing", Status.WARN, **known)
        elif one.code is dkim.Code.TEMPERROR:
            yield finding("message_dkim_temperror", Status.UNKNOWN, **known)
        else:
            status = Status.WARN if good else Status.FAIL
            yield finding("message_dkim_fail", status, "sender.auth_failed", **known)


def _of_arc(chain: arc.ArcResult) -> Iterator[Finding]:
    known = {"reason": chain.reason, "instance": chain.instance, "sealers": list(chain.sealers)}
    if chain.code is arc.ArcCode.PASS:
        yield finding("message_arc_pass", Status.OK, **known)
    elif chain.code is arc.ArcCode.FAIL:
        status = Status.UNKNOWN if chain.temporary else Status.WARN
        yield finding("message_arc_fail", status, **known)


def _of_dmarc(compared: dmarc.Comparison) -> Iterator[Finding]:
    verdict = compared.now
    domain = verdict.author
    policy = verdict.policy.value if verdict.policy is not None else ""
    known = {"domain": domain, "policy": policy, "disposition": verdict.disposition.value}
    code = verdict.code
    if code is dmarc.Code.PASS:
        by = [f"{row.mechanism} ({row.domain})" for row in verdict.alignments if row.passed]
        yield finding("message_dmarc_pass", Status.OK, by=by, **known)
    elif code is dmarc.Code.FAIL:
        yield finding("message_dmarc_fail", Status.FAIL, "sender.auth_failed", **known)
    elif code is dmarc.Code.NONE:
        several = verdict.problem in ("author_several", "author_none", "author_malformed")
        id_ = "message_dmarc_author" if several else "message_dmarc_none"
        yield finding(id_, Status.WARN, problem=verdict.problem, **known)
    else:
        status = Status.UNKNOWN if code is dmarc.Code.TEMPERROR else Status.FAIL
        yield finding(f"message_dmarc_{code.value}", status, **known)
    yield from _why_not(compared)


def _why_not(compared: dmarc.Comparison) -> Iterator[Finding]:
    """What passed without counting, and what older receivers make of it."""
    verdict = compared.now
    code, domain = verdict.code, verdict.author
    unaligned = [row for row in verdict.alignments if row.result == "pass" and row.aligned is False]
    if code is dmarc.Code.FAIL:
        for row in unaligned:
            row_known = {"mechanism": row.mechanism, "other": row.domain, "domain": domain}
            yield finding("message_dmarc_unaligned", Status.FAIL, **row_known)
    if compared.differs:
        before = compared.before
        yield finding(
            "message_dmarc_differs",
            Status.WARN,
            now=code.value,
            before=before.code.value,
            domain=domain,
        )


def _of_told(told: Sequence[Told]) -> Iterator[Finding]:
    for by, method, theirs, ours in told:
        if not ours or _same(theirs, ours):
            continue
        params = {"by": by, "method": method, "theirs": theirs, "ours": ours}
        yield finding("message_told_differs", Status.WARN, **params)


def _same(theirs: str, ours: str) -> bool:
    """Whether two results say the same; servers differ in how they call what is no pass."""
    alike = (
        {"none", "neutral"},
        {"fail", "permerror", "policy", "neutral"},
        {"bestguesspass", "none"},
    )
    return theirs == ours or any({theirs, ours} <= group for group in alike)


def _of_list(sample: Sample) -> Iterator[Finding]:
    given = sample.unsubscribe
    if given.one_click and given.signed:
        yield finding("message_one_click", Status.OK)
    elif given.one_click:
        yield finding("message_one_click_unsigned", Status.WARN)
    elif given.uris:
        yield finding("message_not_one_click", Status.WARN, uris=list(given.uris[:3]))
    else:
        yield finding("message_no_unsubscribe", Status.SKIPPED)
    if sample.wrong:
        yield finding("message_fields", Status.FAIL, "msg.malformed", names=list(sample.wrong))


def _of_fields(headers: Headers) -> Iterator[Finding]:
    """What filters wrote. A field can be forged: it says why, it proves nothing."""
    for sign in facts.signs():
        for text in headers.all(sign.field)[:FIELDS_LIMIT]:
            found = sign.pattern.search(text)
            if found is None:
                continue
            status = {"spam": Status.WARN, "clean": Status.OK}.get(sign.weight, Status.SKIPPED)
            value = (found[1] if found.groups() else found[0]).strip()[:SHOWN]
            params = {"field": sign.field, "value": value, "who": sign.who}
            yield finding(f"sign_{sign.id}", status, **params)
            break
    slow = _slowest(headers)
    if slow is not None:
        yield finding("message_slow", Status.WARN, by=slow[0], minutes=slow[1])


def _slowest(headers: Headers) -> tuple[str, int] | None:
    """The server that held the mail longest, where that was long."""
    lines = [parse_received(text) for text in headers.all("received")[:LINES_LIMIT]]
    dated = [(line.by, line.date) for line in lines if line.date is not None]
    waits = []
    for (by, later), (_, earlier) in pairwise(dated):
        if (later.tzinfo is None) == (earlier.tzinfo is None):
            waits.append((int((later - earlier).total_seconds() // 60), by))
    longest = max(waits, default=(0, ""))
    return (longest[1], longest[0]) if longest[0] >= SLOW_MINUTES else None
