"""DMARC, MTA-STS, TLS-RPT and BIMI: what others shall do with the domain's mail.

Enters: the draft, what reports say, the policy file of now. Leaves: entries, the policy file,
findings; ``Rollout``. Called by ``plan``. Nothing fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from posthouse.flow import Status
from posthouse.protocol import bimi, dmarc, mtasts, tlsrpt
from posthouse.protocol.dns import Answer, Query
from posthouse.protocol.host import parse_ip
from posthouse.protocol.mtasts.record import record_name
from posthouse.setup.domain.records.draft import Draft
from posthouse.setup.domain.records.inventory import NOT_OFFERED, Inventory
from posthouse.setup.domain.records.model import Change, Entry, File, Stage

ID_LENGTH: Final = 20  # of the policy's digest; RFC 8461 section 3.1 allows 32
URIS: Final = 5  # reports of one kind go to no more places: RFC 9990 lets receivers stop at two
_STRONG: Final = (dmarc.Action.QUARANTINE, dmarc.Action.REJECT)


@dataclass(frozen=True, slots=True)
class LiveDmarc:
    """The record of now. ``policy`` None: there is none that can be read, or DNS failed."""

    answer: Answer
    policy: dmarc.Policy | None = None


def live_dmarc(draft: Draft) -> Query[LiveDmarc]:
    """What stands there."""
    answer = yield from draft.ask(f"_dmarc.{draft.domain}", "TXT")
    found = [text for text in answer.records if dmarc.is_record(text)]
    for text in found[:1]:
        try:
            record = dmarc.parse(text)
        except dmarc.RecordError:
            break
        if record.broken:
            draft.say("dmarc_broken", Status.FAIL, tags=", ".join(sorted(record.broken)))
        return LiveDmarc(answer, record.policy)
    return LiveDmarc(answer)


def plan_dmarc(
    draft: Draft, live: LiveDmarc, evidence: dmarc.Evidence
) -> Query[tuple[dmarc.Plan, dmarc.Policy]]:
    """The record: the policy of now, or the next one where the reports allow it."""
    given = draft.inventory
    base = _base(live.policy, given)
    now = live.policy if live.policy and live.policy.p is not None else None
    rollout = dmarc.plan(
        replace(base, p=now.p) if now else None,
        evidence.days,
        evidence,
        uses_lists=given.dmarc.mailing_lists,
    )
    target = _target(draft, rollout, now)
    wanted = _below(replace(base, p=target, testing=_testing(base, rollout)), given)
    if not wanted.rua and given.sends:
        draft.say("dmarc_no_reports", Status.WARN)
    text = dmarc.build(wanted)
    yield from draft.only(
        "dmarc",
        draft.record(f"_dmarc.{draft.domain}", "TXT", text),
        live.answer,
        dmarc.is_record,
        why=f"dmarc_{target.value}" if given.sends else "dmarc_nobody",
        stage=Stage.POLICY,
        same=lambda one, _: _policy(one) == wanted,
    )
    yield from _permissions(draft, wanted)
    return rollout, wanted


def _base(live: dmarc.Policy | None, given: Inventory) -> dmarc.Policy:
    """The policy of now with what the inventory adds: nobody who gets reports loses them."""
    policy = live or dmarc.Policy(dmarc.Action.NONE)
    wish = given.dmarc
    return replace(
        policy,
        rua=_union(policy.rua, given.dmarc_reports),
        ruf=_union(policy.ruf, given.failure_reports),
        adkim=dmarc.Mode.STRICT if wish.strict_dkim else policy.adkim,
        aspf=dmarc.Mode.STRICT if wish.strict_spf else policy.aspf,
    )


def _union(live: Sequence[dmarc.ReportUri], wanted: Sequence[str]) -> tuple[dmarc.ReportUri, ...]:
    known = {(one.address or one.uri).lower() for one in live}
    more = [uri for text in wanted if (uri := dmarc.report_uri(text)) is not None]
    return (*live, *(one for one in more if (one.address or one.uri).lower() not in known))


def _target(draft: Draft, rollout: dmarc.Plan, now: dmarc.Policy | None) -> dmarc.Action:
    """The action to publish. Never milder than now: that is the owner's to decide."""
    given = draft.inventory
    current: dmarc.Action = (now.p if now else None) or dmarc.Action.NONE
    if not given.sends:
        return dmarc.Action.REJECT  # nothing legitimate can be lost
    if rollout.step is dmarc.Step.STAY and current is dmarc.Action.REJECT:
        draft.say("dmarc_lists", Status.WARN)
    reasons = [{"id": one.id, **one.params} for one in rollout.blockers]
    if rollout.step is dmarc.Step.WAIT:
        goal = given.dmarc.goal or rollout.goal
        if current.strength < goal.strength:
            params = {"stage": current.value, "goal": goal.value, "reasons": reasons}
            draft.say("dmarc_waits", Status.SKIPPED, **params)
        return current
    if rollout.step not in (dmarc.Step.QUARANTINE, dmarc.Step.REJECT):
        return current
    following = dmarc.Action(rollout.step.value)
    limit = given.dmarc.goal
    return current if limit is not None and following.strength > limit.strength else following


def _testing(base: dmarc.Policy, rollout: dmarc.Plan) -> bool:
    """t=y goes with the step that ends the test."""
    return base.testing and rollout.step not in (dmarc.Step.QUARANTINE, dmarc.Step.REJECT)


def _below(policy: dmarc.Policy, given: Inventory) -> dmarc.Policy:
    """Subdomains as wished, but never ahead of the domain: they are rolled out with it."""
    wish = given.dmarc.subdomains
    if wish is None or policy.p is None:
        return policy
    milder = wish if wish.strength < policy.p.strength else None
    return replace(policy, sp=milder)


def _policy(text: str) -> dmarc.Policy | None:
    try:
        record = dmarc.parse(text)
    except dmarc.RecordError:
        return None
    return None if record.broken else record.policy


def _permissions(draft: Draft, policy: dmarc.Policy) -> Query[None]:
    """Who gets reports on a stranger's domain has to say so. RFC 9990 section 4."""
    for tag, uris in (("rua", policy.rua), ("ruf", policy.ruf)):
        for uri in uris[:URIS]:
            allowed = yield from draft.run(dmarc.permission(draft.domain, uri, tag=tag))
            if allowed.reason != "missing" or not allowed.name:
                continue
            draft.say("dmarc_external", Status.FAIL, address=uri.address, name=allowed.name)
            record = draft.record(allowed.name, "TXT", "v=DMARC1;")
            draft.elsewhere.append(
                Entry("dmarc", record, Change.ADD, "report_permission", Stage.REPORTS)
            )


# TLS


def plan_tls_reports(draft: Draft) -> Query[None]:
    """TLS-RPT: who is told where TLS with the domain's servers fails. RFC 8460."""
    name = f"_smtp._tls.{draft.domain}"
    answer = yield from draft.ask(name, "TXT")
    found = [text for text in answer.records if tlsrpt.is_record(text)]
    live: tuple[dmarc.ReportUri, ...] = ()
    for text in found[:1]:
        try:
            live = tlsrpt.parse(text).uris
        except tlsrpt.RecordError:
            continue
    uris = _union(live, draft.inventory.tls_reports)
    if not uris or not (draft.inventory.tls_reports or found):
        return
    yield from draft.only(
        "tls_rpt",
        draft.record(name, "TXT", tlsrpt.build(uris)),
        answer,
        tlsrpt.is_record,
        why="tls_rpt",
        stage=Stage.REPORTS,
        same=lambda one, wanted: _uris(one) == _uris(wanted),
    )


def _uris(text: str) -> tuple[str, ...] | None:
    try:
        return tuple(one.uri for one in tlsrpt.parse(text).uris)
    except tlsrpt.RecordError:
        return None


def policy_text(policy: mtasts.Policy) -> bytes:
    """The file. RFC 8461 section 3.2."""
    lines = ["version: STSv1", f"mode: {policy.mode.value}"]
    lines += [f"mx: {host}" for host in policy.mx]
    return "".join(f"{line}\r\n" for line in (*lines, f"max_age: {policy.max_age}")).encode()


def plan_sts(draft: Draft, hosts: Sequence[str], served: mtasts.Policy | None) -> Query[None]:
    """MTA-STS: file, host and record. ``served``: the policy that is shown now, where known."""
    given = draft.inventory
    if given.sts is None:
        return
    servers = [host for host in hosts if host != NOT_OFFERED]
    mode = mtasts.Mode(given.sts.mode or (served.mode.value if served else "testing"))
    if not servers and mode is not mtasts.Mode.NONE:
        draft.say("sts_no_mx", Status.FAIL)
        return
    policy = mtasts.Policy(mode, tuple(servers), given.sts.max_age)
    if served is not None and served.mode is not mode:
        draft.say("sts_mode", Status.SKIPPED, live=served.mode.value, wanted=mode.value)
    content = policy_text(policy)
    url = mtasts.policy_url(draft.domain)
    draft.files.append(File("mta-sts.txt", content, url, "sts_file"))
    yield from _sts_host(draft)
    yield from _sts_record(draft, policy, content, served)


def _sts_host(draft: Draft) -> Query[None]:
    """The web server with the policy."""
    given, name = draft.inventory, f"mta-sts.{draft.domain}"
    target = given.sts.host if given.sts else ()
    if target:
        yield from host_records(draft, "mta_sts", name, target, "sts_host")
        return
    if name in given.names:
        return
    for type_ in ("A", "AAAA"):
        answer = yield from draft.ask(name, type_)
        if answer.records or answer.failed:
            return
    draft.say("sts_no_host", Status.FAIL, name=name)


def _sts_record(
    draft: Draft, policy: mtasts.Policy, content: bytes, served: mtasts.Policy | None
) -> Query[None]:
    """Its id is made from the file, so that it changes when the file does, and only then."""
    name = record_name(draft.domain)
    answer = yield from draft.ask(name, "TXT")
    digest = hashlib.sha256(content).hexdigest()[:ID_LENGTH]
    unchanged = served is not None and _plain(served) == _plain(policy)

    def same(live: str, wanted: str) -> bool:
        if live == wanted:
            return True
        try:
            return unchanged and bool(mtasts.parse_record(live).id)
        except mtasts.RecordError:
            return False

    yield from draft.only(
        "mta_sts",
        draft.record(name, "TXT", f"v=STSv1; id={digest};"),
        answer,
        mtasts.is_record,
        why="sts_record",
        stage=Stage.POLICY,
        same=same,
    )


def _plain(policy: mtasts.Policy) -> tuple[str, frozenset[str], int]:
    return policy.mode.value, frozenset(policy.mx), policy.max_age


def host_records(
    draft: Draft, section: str, name: str, target: Sequence[str], why: str
) -> Query[None]:
    """A name that leads to another name, or to addresses."""
    if parse_ip(target[0]) is None:
        yield from draft.alias(section, name, target[0], why=why, stage=Stage.HOSTS)
        return
    for type_ in ("A", "AAAA"):
        values = [one for one in target if (":" in one) == (type_ == "AAAA")]
        live = yield from draft.ask(name, type_)
        if values or (live.records and not live.canonical):
            yield from draft.exactly(section, name, type_, values, live, why=why, stage=Stage.HOSTS)


# The logo


def plan_bimi(draft: Draft, policy: dmarc.Policy) -> Query[None]:
    """BIMI, once DMARC is enforced: before, no receiver shows a logo."""
    wish = draft.inventory.bimi
    if wish is None:
        return
    weak = policy.p not in _STRONG or policy.testing or policy.sp is dmarc.Action.NONE
    if weak:
        p = policy.p.value if policy.p else ""
        draft.say("bimi_waits", Status.SKIPPED, policy=p)
        return
    name = bimi.record_name(draft.domain, wish.selector)
    answer = yield from draft.ask(name, "TXT")
    text = f"v=BIMI1; l={wish.logo}; a={wish.certificate}"
    yield from draft.only(
        "bimi",
        draft.record(name, "TXT", text),
        answer,
        bimi.is_record,
        why="bimi",
        stage=Stage.BRAND,
        same=lambda live, wanted: _logo(live) == _logo(wanted),
    )


def _logo(text: str) -> tuple[str, str] | None:
    try:
        record = bimi.parse(text)
    except bimi.RecordError:
        return None
    return record.location, record.evidence
