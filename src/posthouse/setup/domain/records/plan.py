"""The whole plan of a domain, as one query.

Enters: an inventory, reports, the policy file of now, the day; and answers to the questions it
yields. Leaves: ``Plan``. Called by ``propose``, or with answers from a table. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from ipaddress import ip_address

from posthouse.flow import Status
from posthouse.protocol import dmarc, mtasts
from posthouse.protocol.dmarc.report import AggregateReport
from posthouse.protocol.dns import Ask, Query
from posthouse.protocol.fcrdns import reverse_name
from posthouse.protocol.host import parse_ip
from posthouse.protocol.mtasts.record import record_name
from posthouse.setup.domain import facts
from posthouse.setup.domain.records.ask import Answers
from posthouse.setup.domain.records.draft import BESIDE, CNAME, Draft
from posthouse.setup.domain.records.inventory import NOT_OFFERED, SERVERS, Inventory
from posthouse.setup.domain.records.model import Entry, Plan, Stage
from posthouse.setup.domain.records.policies import (
    LiveDmarc,
    live_dmarc,
    plan_bimi,
    plan_dmarc,
    plan_sts,
    plan_tls_reports,
)
from posthouse.setup.domain.records.reports import Unread, stage_evidence
from posthouse.setup.domain.records.sender_policy import Place, places, plan_spf
from posthouse.setup.domain.records.servers import plan_dane, plan_hosts, plan_mx, plan_srv
from posthouse.setup.domain.records.services import rows, services
from posthouse.setup.domain.records.signatures import plan_dkim


def plan(
    inventory: Inventory,
    now: datetime,
    *,
    reports: Sequence[AggregateReport] | None = None,
    unread: Sequence[Unread] = (),
    served: mtasts.Policy | None = None,
    known: Answers | None = None,
) -> Query[Plan]:
    """What to publish.

    ``reports``: the aggregate reports of the last months; None: nobody looked. ``unread``: files
    among them that could not be read. ``served``: the MTA-STS policy that is shown now. ``known``:
    answers there are already; it is filled with all others.
    """
    draft = Draft(inventory, {} if known is None else known)
    _unread(draft, unread)
    yield from plan_hosts(draft)
    hosts = yield from plan_mx(draft)
    yield from plan_srv(draft)
    policy = yield from live_dmarc(draft)
    evidence = yield from _evidence(draft, policy, reports or (), now)
    sending = yield from plan_spf(draft, evidence if reports is not None else None)
    yield from plan_dkim(draft, now.date())
    yield from plan_tls_reports(draft)
    rollout, wanted = yield from plan_dmarc(draft, policy, evidence)
    yield from plan_sts(draft, hosts, served)
    yield from plan_dane(draft)
    yield from plan_bimi(draft, wanted)
    return Plan(
        inventory.domain,
        tuple(sorted(draft.entries, key=lambda one: one.stage)),
        tuple(draft.files),
        tuple(draft.elsewhere),
        tuple(draft.findings),
        sending.coverage,
        sending.summary,
        rollout,
    )


def _unread(draft: Draft, files: Sequence[Unread]) -> None:
    if files:
        params = {"count": len(files), "file": files[0].file, "reason": files[0].reason}
        draft.say("reports_unread", Status.WARN, **params)


def _evidence(
    draft: Draft, policy: LiveDmarc, reports: Sequence[AggregateReport], now: datetime
) -> Query[dmarc.Evidence]:
    """What the reports say about the stage DMARC is in; the inventory's addresses are its own."""
    senders = yield from places(draft)

    def own(address: str) -> bool:
        return any(_inside(address, one) for one in senders)

    return stage_evidence(
        reports,
        draft.domain,
        action=policy.policy.p if policy.policy else None,
        own=own,
        strangers=draft.inventory.dmarc.strangers,
        now=now,
    )


def _inside(address: str, place: Place) -> bool:
    found = ip_address(address)
    return found.version == place.network.version and found in place.network


def questions(inventory: Inventory) -> Iterator[Ask]:
    """What the plan will most likely ask, so that it can be asked all at once."""
    domain = inventory.domain
    yield Ask(domain, "TXT")
    yield Ask(domain, "MX")
    for name in (f"_dmarc.{domain}", f"_smtp._tls.{domain}", record_name(domain)):
        yield Ask(name, "TXT")
    for server in inventory.servers:
        yield Ask(f"{SERVERS[server.service]}.{domain}", "SRV")
    for host in inventory.hosts:
        yield from (Ask(reverse_name(one), "PTR") for one in host.addresses)
    hosts = [*(one.name for one in inventory.hosts), *inventory.send_hosts, *inventory.names]
    targets = [one.host for one in inventory.mx] + [one.host for one in inventory.servers]
    hosts += [one for one in targets if one != NOT_OFFERED]
    hosts += [f"mta-sts.{domain}"] if inventory.sts is not None else []
    aliases = [name for name, target in inventory.names.items() if parse_ip(target[0]) is None]
    aliases += [f"mta-sts.{domain}"] if inventory.sts is not None and inventory.sts.host else []
    yield from (Ask(name, type_) for name in hosts for type_ in ("A", "AAAA"))
    yield from (Ask(name, type_) for name in aliases for type_ in (CNAME, *BESIDE))
    yield from _key_questions(inventory)


def _key_questions(inventory: Inventory) -> Iterator[Ask]:
    domain = inventory.domain
    for one in inventory.selectors:
        yield Ask(f"{one.selector}._domainkey.{domain}", CNAME if one.cname else "TXT")
    for service in inventory.services:
        known = services()[service.id]
        if known.spf:
            yield Ask(known.spf, "TXT")
        provider = facts.providers().get(known.id)
        for selector in provider.selectors if provider is not None else ():
            yield Ask(f"{selector}._domainkey.{domain}", "TXT")
        for row in rows(known, domain, service.params):
            types = (CNAME, *BESIDE) if row.type == CNAME else (row.type,)
            yield from (Ask(row.name, type_) for type_ in types)


def includes(texts: Sequence[str]) -> tuple[str, ...]:
    """The names that records lead to, to be asked ahead."""
    return tuple(dict.fromkeys(name for text in texts for name in facts.includes_in(text)))


def steps(plan: Plan) -> list[tuple[Stage, tuple[Entry, ...]]]:
    """What is to be done, in the order of publication."""
    made = []
    for stage in Stage:
        rows_ = tuple(one for one in plan.changes if one.stage is stage)
        if rows_:
            made.append((stage, rows_))
    return made
